// XXH3-128 for integrity, SHA-256 for identity; both as lower-case hex.
#ifndef VARALIGN_BASE_DIGEST_H_
#define VARALIGN_BASE_DIGEST_H_

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace varalign::base {

std::string Xxh3(std::string_view bytes);
std::string Sha256(std::string_view bytes);

absl::StatusOr<std::string> Xxh3OfFile(const std::filesystem::path& path);
absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path);

// For data that arrives in parts.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  void Update(std::string_view bytes);
  std::string Finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Length-prefixed fields, so that ("ab","c") and ("a","bc") differ.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  void UpdateField(std::string_view bytes);
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_DIGEST_H_
