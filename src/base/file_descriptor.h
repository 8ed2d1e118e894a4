// Closes a file descriptor when it goes out of scope.
#ifndef VARALIGN_BASE_FILE_DESCRIPTOR_H_
#define VARALIGN_BASE_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace varalign::base {

// Owns one descriptor, or none (-1). Movable. Errors of close are dropped: who
// writes calls fsync first, and that reports them.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    Close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    return *this;
  }
  ~FileDescriptor() { Close(); }

  int get() const { return descriptor_; }
  bool valid() const { return descriptor_ >= 0; }
  void Close() {
    if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
  }

 private:
  int descriptor_ = -1;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_FILE_DESCRIPTOR_H_
