// The whole coordinator: state, services, metrics port. What main starts, and
// tests too.
#ifndef VARALIGN_COORDINATOR_COORDINATOR_H_
#define VARALIGN_COORDINATOR_COORDINATOR_H_

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/host_port.h"
#include "coordinator/coordinator_state.h"

namespace varalign::coordinator {

struct CoordinatorOptions {
  std::string listen = "127.0.0.1:0";
  std::string metrics_listen = "127.0.0.1:0";
  base::Exposure exposure = base::Exposure::kLoopbackOnly;
  std::filesystem::path state_directory;
  std::filesystem::path run_root;  // empty: state_directory/runs
  Rules rules;
};

// Thread safe. The destructor stops serving.
class Coordinator {
 public:
  // Goes on from what the state directory holds. `clock` outlives it. Errors of
  // the state directory, the database and the two ports.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(
      const CoordinatorOptions& options, const base::Clock& clock);
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;
  ~Coordinator();

  const std::string& address() const;
  const std::string& metrics_address() const;

  // Not ok once the database has failed: the process should end.
  absl::Status health() const;

 private:
  struct Parts;
  explicit Coordinator(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_COORDINATOR_H_
