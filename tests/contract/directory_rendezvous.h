// A rendezvous for processes of one host, in a directory.
#ifndef VARALIGN_TESTS_CONTRACT_DIRECTORY_RENDEZVOUS_H_
#define VARALIGN_TESTS_CONTRACT_DIRECTORY_RENDEZVOUS_H_

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "collective/process_group.h"

namespace varalign::collective {

class DirectoryRendezvous final : public Rendezvous {
 public:
  explicit DirectoryRendezvous(std::filesystem::path directory)
      : directory_(std::move(directory)) {
    std::filesystem::create_directories(directory_);
  }

  absl::Status Set(const std::string& key, const std::string& value) override {
    const std::filesystem::path temporary =
        directory_ / absl::StrCat(".", getpid());
    std::ofstream(temporary, std::ios::binary) << value;
    std::filesystem::rename(temporary, PathOf(key));
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Get(const std::string& key,
                                  absl::Duration timeout) override {
    const absl::Time deadline = absl::Now() + timeout;
    do {
      std::ifstream file(PathOf(key), std::ios::binary);
      if (file) return std::string(std::istreambuf_iterator<char>(file), {});
      absl::SleepFor(absl::Milliseconds(2));
    } while (absl::Now() < deadline);
    return absl::DeadlineExceededError(absl::StrCat("no such key: ", key));
  }

 private:
  std::filesystem::path PathOf(const std::string& key) const {
    return directory_ / absl::BytesToHexString(key);
  }

  const std::filesystem::path directory_;
};

}  // namespace varalign::collective

#endif  // VARALIGN_TESTS_CONTRACT_DIRECTORY_RENDEZVOUS_H_
