#include "base/digest.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <array>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "base/file.h"
#include "base/require.h"
#include "base/status_macros.h"

namespace varalign::base {
namespace {

std::string ToHex(const XXH128_hash_t& hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return absl::BytesToHexString(
      {reinterpret_cast<const char*>(canonical.digest),
       sizeof(canonical.digest)});
}

struct DeleteXxh3 {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

struct DeleteEvp {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// SHA-256 as OpenSSL has it. It fails only where the library is broken or
// memory is gone, which nobody could handle.
class Sha256Context {
 public:
  Sha256Context() : context_(EVP_MD_CTX_new()) {
    Check(context_ != nullptr);
    Check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }

  void Update(std::string_view bytes) {
    Check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }

  std::string Finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned int size = 0;
    Check(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    return absl::BytesToHexString(
        {reinterpret_cast<const char*>(digest.data()), size});
  }

 private:
  static void Check(bool ok) { Require(ok, "SHA-256 of OpenSSL fails"); }

  std::unique_ptr<EVP_MD_CTX, DeleteEvp> context_;
};

}  // namespace

std::string Xxh3(std::string_view bytes) {
  return ToHex(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string Sha256(std::string_view bytes) {
  Sha256Context context;
  context.Update(bytes);
  return context.Finish();
}

absl::StatusOr<std::string> Xxh3OfFile(const std::filesystem::path& path) {
  Xxh3Stream stream;
  RETURN_IF_ERROR(ReadFileInBlocks(
      path, [&](std::string_view block) { stream.Update(block); }));
  return stream.Finish();
}

absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path) {
  Sha256Context context;
  RETURN_IF_ERROR(ReadFileInBlocks(
      path, [&](std::string_view block) { context.Update(block); }));
  return context.Finish();
}

struct Xxh3Stream::State {
  std::unique_ptr<XXH3_state_t, DeleteXxh3> xxh3{XXH3_createState()};
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->xxh3.get());
}

Xxh3Stream::~Xxh3Stream() = default;

void Xxh3Stream::Update(std::string_view bytes) {
  XXH3_128bits_update(state_->xxh3.get(), bytes.data(), bytes.size());
}

std::string Xxh3Stream::Finish() const {
  return ToHex(XXH3_128bits_digest(state_->xxh3.get()));
}

struct Sha256Stream::State {
  Sha256Context context;
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::UpdateField(std::string_view bytes) {
  std::array<char, 8> length;  // little endian
  for (size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<char>((uint64_t{bytes.size()} >> (8 * i)) & 0xff);
  }
  state_->context.Update({length.data(), length.size()});
  state_->context.Update(bytes);
}

std::string Sha256Stream::Finish() { return state_->context.Finish(); }

}  // namespace varalign::base
