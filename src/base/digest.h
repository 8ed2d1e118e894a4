// XXH3-128 for integrity, SHA-256 for identity; both as lower-case hex. XXH3 is
// fast and finds damage, not intent: nothing that must resist an attacker, or
// that names a thing for ever, rests on it.
//
// Functions: any thread. Streams: one thread at a time.
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

// A block at a time, whatever the size. Codes of base::ReadFileInBlocks.
absl::StatusOr<std::string> Xxh3OfFile(const std::filesystem::path& path);
absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path);

// For data that arrives in parts: as Xxh3 of all of them joined.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  void Update(std::string_view bytes);
  // Of what came so far; Update may follow.
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
  // The length in 8 bytes, little endian, then the bytes.
  void UpdateField(std::string_view bytes);
  // Once; nothing may follow.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_DIGEST_H_
