// Progress of long work on standard error: on a terminal a bar with rate and
// ETA, redrawn at most ten times a second; elsewhere one plain line every 30 s
// and one at the end. Nothing is printed for work under two seconds.
#ifndef VARALIGN_BASE_PROGRESS_H_
#define VARALIGN_BASE_PROGRESS_H_

#include <cstdint>
#include <memory>
#include <string>

namespace varalign::base {

// Thread safe.
class Progress {
 public:
  enum class Style { kAuto, kQuiet };  // kAuto honours NO_COLOR and TERM=dumb

  // `unit` is what is counted, in the plural: "rows", "bytes" (shown as MiB).
  // `total` 0: unknown.
  Progress(std::string activity, std::string unit, uint64_t total,
           Style style = Style::kAuto);
  // Ends the line; without Finish it says that the work stopped.
  ~Progress();
  Progress(const Progress&) = delete;

  void Advance(uint64_t done);  // adds
  void Update(uint64_t done);   // sets
  void Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_PROGRESS_H_
