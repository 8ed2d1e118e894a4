// Child processes: always exec'd, ended with their parent, never orphaned.
#ifndef VARALIGN_BASE_SUBPROCESS_H_
#define VARALIGN_BASE_SUBPROCESS_H_

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace varalign::base {

struct ProcessExit {
  int code = 0;    // valid where signal == 0
  int signal = 0;  // the signal that ended it; 0: none
  bool ok() const { return code == 0 && signal == 0; }
  // "exited with code 70", "killed by signal 9 (SIGKILL)".
  std::string ToString() const;
};

struct ProcessOptions {
  std::vector<std::string> argv;  // argv[0] is the path of the program
  std::map<std::string, std::string> environment;  // added to ours
  // Standard output and standard error go here (appended); empty: inherited.
  std::filesystem::path log_file;
  // A session of its own, so that a terminal's Ctrl-C reaches only us. What
  // the child leaves behind in it is killed as the child is reaped.
  bool new_session = false;
};

// Not thread safe. Spawn from the main thread: the child dies (SIGKILL) when
// the thread that spawned it ends. The destructor kills and reaps, and so does
// assigning another child.
class Subprocess {
 public:
  // NotFound or PermissionDenied if the program cannot be executed.
  static absl::StatusOr<Subprocess> Spawn(const ProcessOptions& options);
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&& other) noexcept;
  ~Subprocess();

  pid_t pid() const { return pid_; }
  // The exit if the child has ended, without waiting.
  std::optional<ProcessExit> Poll();
  // Waits up to `timeout`.
  std::optional<ProcessExit> Wait(absl::Duration timeout);
  void Signal(int signal) const;
  // SIGTERM, up to `grace`, SIGKILL; reaps.
  ProcessExit Stop(absl::Duration grace);

 private:
  explicit Subprocess(pid_t pid) : pid_(pid) {}
  // `flags` of waitid: 0 or WNOHANG. Sets exit_ if the child has ended.
  void Reap(int flags);
  ProcessExit KillAndReap();

  pid_t pid_ = -1;
  bool owns_session_ = false;
  std::optional<ProcessExit> exit_;
};

// First call in the main of a program that must not outlive its parent:
// PR_SET_PDEATHSIG, then a check against the race. `parent` is the pid that the
// parent passed on the command line. Exits the process if it is already gone.
void DieWithParent(pid_t parent);

// The directory of the running executable.
std::filesystem::path ExecutableDirectory();

// The last `max_bytes` of a file, from the start of a line if one starts there;
// empty on any error.
std::string TailOfFile(const std::filesystem::path& path, size_t max_bytes);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_SUBPROCESS_H_
