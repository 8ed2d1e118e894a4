// Declarations only, so that torch/csrc/distributed/c10d/ProcessGroupGloo.hpp
// of libtorch 2.11 compiles: libtorch ships that header but none of Gloo's.
// Objects of these types are made, used and destroyed inside libtorch_cpu;
// gloo_process_group.cc passes shared pointers through and nothing else.
//
// Nothing here may be constructed, called or derived from: the object file must
// hold no undefined gloo:: symbol and no vtable of a Gloo class. A test looks
// (tests/collective/check_gloo_object.sh). Look again when libtorch is raised.
#ifndef VARALIGN_COLLECTIVE_GLOO_SHIM_DECLARATIONS_H_
#define VARALIGN_COLLECTIVE_GLOO_SHIM_DECLARATIONS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds);
};

namespace transport {
class Device;
class UnboundBuffer;
}  // namespace transport

namespace rendezvous {
class Store {
 public:
  virtual ~Store();
  virtual void set(const std::string&, const std::vector<char>&) = 0;
  virtual std::vector<char> get(const std::string&) = 0;
  virtual void wait(const std::vector<std::string>&) = 0;
  virtual void wait(const std::vector<std::string>&,
                    const std::chrono::milliseconds&);
};
}  // namespace rendezvous

}  // namespace gloo

#endif  // VARALIGN_COLLECTIVE_GLOO_SHIM_DECLARATIONS_H_
