#include "base/subprocess.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/file_descriptor.h"
#include "base/status_macros.h"

namespace varalign::base {
namespace {

// Everything that the child needs, made before fork: between fork and exec it
// may neither allocate nor take a lock.
struct Launch {
  std::vector<char*> argv;
  std::vector<std::string> environment;
  std::vector<char*> envp;
  FileDescriptor log;      // invalid: inherited output
  FileDescriptor failure;  // the child writes errno here; closed by exec
  pid_t parent = 0;
  bool new_session = false;
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    pointers.push_back(const_cast<char*>(text.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> MergedEnvironment(
    const std::map<std::string, std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!added.contains(std::string(text.substr(0, text.find('='))))) {
      merged.emplace_back(text);
    }
  }
  for (const auto& [name, value] : added) {
    merged.push_back(absl::StrCat(name, "=", value));
  }
  return merged;
}

// In the child, between fork and exec: only calls that are safe after fork in
// a process with threads. Returns errno where exec failed.
int ExecInChild(const Launch& launch) {
  if (launch.new_session) setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != launch.parent) _exit(kExitUnavailable);
  // What the parent blocks or ignores is no business of the child.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (launch.log.valid()) {
    dup2(launch.log.get(), STDOUT_FILENO);
    dup2(launch.log.get(), STDERR_FILENO);
  }
  // Libraries open descriptors without O_CLOEXEC; a child that holds a socket
  // of its parent would keep the port after the parent's end.
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  execve(launch.argv[0], launch.argv.data(), launch.envp.data());
  return errno;
}

// Returns the errno of a failed exec, 0 once the program runs.
int ReadExecError(const FileDescriptor& pipe_end) {
  int error = 0;
  ssize_t count = 0;
  do {
    count = read(pipe_end.get(), &error, sizeof(error));
  } while (count < 0 && errno == EINTR);
  return count == sizeof(error) ? error : 0;
}

absl::StatusOr<FileDescriptor> OpenLog(const std::filesystem::path& path) {
  if (path.empty()) return FileDescriptor();
  FileDescriptor log(
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!log.valid()) return ErrnoStatus(errno, "open log", path);
  return log;
}

ProcessExit FromWaitStatus(int status) {
  if (WIFSIGNALED(status)) return {.code = 0, .signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status), .signal = 0};
}

// Waits until the process `pid` has ended, up to `timeout`; does not reap.
void AwaitEnd(pid_t pid, absl::Duration timeout) {
  const FileDescriptor process(
      static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const absl::Time deadline = absl::Now() + timeout;
  pollfd ended = {.fd = process.get(), .events = POLLIN, .revents = 0};
  while (true) {
    const absl::Duration left =
        std::clamp(deadline - absl::Now(), absl::ZeroDuration(),
                   absl::Milliseconds(INT32_MAX));
    const auto milliseconds =
        absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    if (poll(&ended, 1, static_cast<int>(milliseconds)) != -1 ||
        errno != EINTR) {
      return;
    }
  }
}

}  // namespace

std::string ProcessExit::ToString() const {
  if (signal == 0) return absl::StrCat("exited with code ", code);
  const char* name = sigabbrev_np(signal);
  return absl::StrCat("killed by signal ", signal, " (SIG",
                      name == nullptr ? "?" : name, ")");
}

absl::StatusOr<Subprocess> Subprocess::Spawn(const ProcessOptions& options) {
  if (options.argv.empty()) {
    return absl::InvalidArgumentError("no program to start: argv is empty");
  }
  Launch launch;
  launch.argv = Pointers(options.argv);
  launch.environment = MergedEnvironment(options.environment);
  launch.envp = Pointers(launch.environment);
  launch.parent = getpid();
  launch.new_session = options.new_session;
  ASSIGN_OR_RETURN(launch.log, OpenLog(options.log_file));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return ErrnoStatus(errno, "make a pipe for", options.argv[0]);
  }
  const FileDescriptor result(ends[0]);
  launch.failure = FileDescriptor(ends[1]);

  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork for", options.argv[0]);
  if (pid == 0) {
    const int error = ExecInChild(launch);
    // If even this fails, the exit code tells the parent.
    [[maybe_unused]] const ssize_t written =
        write(launch.failure.get(), &error, sizeof(error));
    _exit(kExitInternal);
  }
  Subprocess process(pid);
  process.owns_session_ = options.new_session;
  launch.failure.Close();
  const int error = ReadExecError(result);
  if (error != 0) return ErrnoStatus(error, "execute", options.argv[0]);
  return process;
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      owns_session_(other.owns_session_),
      exit_(other.exit_) {}

Subprocess& Subprocess::operator=(Subprocess&& other) noexcept {
  if (this == &other) return *this;
  if (pid_ > 0) KillAndReap();
  pid_ = std::exchange(other.pid_, -1);
  owns_session_ = other.owns_session_;
  exit_ = other.exit_;
  return *this;
}

Subprocess::~Subprocess() {
  if (pid_ > 0) KillAndReap();
}

std::optional<ProcessExit> Subprocess::Poll() {
  if (!exit_ && pid_ > 0) Reap(WNOHANG);
  return exit_;
}

void Subprocess::Reap(int flags) {
  // Seen first and reaped second: until then the pid and thus the session are
  // ours, and the signal cannot hit a stranger.
  siginfo_t ended = {};
  while (waitid(P_PID, static_cast<id_t>(pid_), &ended,
                WEXITED | WNOWAIT | flags) != 0 &&
         errno == EINTR) {
  }
  if (ended.si_pid != pid_) return;
  if (owns_session_) kill(-pid_, SIGKILL);
  int status = 0;
  if (waitpid(pid_, &status, 0) == pid_) exit_ = FromWaitStatus(status);
}

std::optional<ProcessExit> Subprocess::Wait(absl::Duration timeout) {
  if (!Poll() && pid_ > 0) AwaitEnd(pid_, timeout);
  return Poll();
}

void Subprocess::Signal(int signal) const {
  // Once reaped, the pid may belong to somebody else.
  if (!exit_ && pid_ > 0) kill(pid_, signal);
}

ProcessExit Subprocess::Stop(absl::Duration grace) {
  Signal(SIGTERM);
  Signal(SIGCONT);  // a stopped process could not obey
  Wait(grace);
  return KillAndReap();
}

ProcessExit Subprocess::KillAndReap() {
  Signal(SIGKILL);
  if (!exit_) Reap(0);
  return exit_.value_or(ProcessExit{.code = 0, .signal = SIGKILL});
}

void DieWithParent(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kExitUnavailable);
}

std::filesystem::path ExecutableDirectory() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

std::string TailOfFile(const std::filesystem::path& path, size_t max_bytes) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return "";
  const off_t size = lseek(file.get(), 0, SEEK_END);
  if (size < 0) return "";
  const off_t start = std::max<off_t>(0, size - static_cast<off_t>(max_bytes));
  std::string tail(static_cast<size_t>(size - start), '\0');
  const ssize_t count = pread(file.get(), tail.data(), tail.size(), start);
  if (count < 0) return "";
  tail.resize(static_cast<size_t>(count));
  if (start == 0) return tail;
  const size_t line = tail.find('\n') + 1;
  // Of one long line the end is better than nothing.
  return line == 0 || line == tail.size() ? tail : tail.substr(line);
}

}  // namespace varalign::base
