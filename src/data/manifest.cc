#include "data/manifest.h"

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "google/protobuf/util/json_util.h"

namespace varalign::data {
namespace {

constexpr uint32_t kFormatVersion = 1;
constexpr uint64_t kMaxManifestBytes = 16ull << 20;

absl::Status NotAManifest(const std::filesystem::path& path,
                          absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(
      "not the manifest of a data set: ", path.string(), ": ", reason));
}

// A base name that stays in its directory: [A-Za-z0-9._-]+.safetensors.
bool IsShardName(absl::string_view name) {
  return absl::EndsWith(name, ".safetensors") && !absl::StartsWith(name, ".") &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '.' || c == '_' || c == '-';
         });
}

absl::Status CheckShards(const std::filesystem::path& path,
                         const v1::DatasetManifest& manifest) {
  absl::flat_hash_set<absl::string_view> names;
  uint64_t examples = 0, rows = 0;
  for (const v1::Shard& shard : manifest.shards()) {
    if (!IsShardName(shard.file())) {
      return NotAManifest(
          path, absl::StrCat("shard name not allowed: '", shard.file(), "'"));
    }
    if (!names.insert(shard.file()).second) {
      return NotAManifest(path,
                          absl::StrCat("shard named twice: ", shard.file()));
    }
    examples += shard.num_examples();
    rows += shard.num_rows();
  }
  if (examples != manifest.num_examples() || rows != manifest.num_rows()) {
    return NotAManifest(path, "counts of its shards do not add up");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::DatasetManifest> ReadManifest(
    const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kManifestFile;
  absl::StatusOr<std::string> text = base::ReadFile(path, kMaxManifestBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(
        absl::StrCat("no data set in ", directory.string(), ": ", kManifestFile,
                     " is missing; make one with `varalign prepare`"));
  }
  if (absl::IsOutOfRange(text.status())) {
    return NotAManifest(path, "larger than 16 MiB");
  }
  RETURN_IF_ERROR(text.status());

  // Our reader's rules (depth, duplicate keys, UTF-8) come first.
  if (const auto json = base::ParseJson(*text); !json.ok()) {
    return NotAManifest(path, json.status().message());
  }
  v1::DatasetManifest manifest;
  const auto parsed =
      google::protobuf::util::JsonStringToMessage(*text, &manifest);
  if (!parsed.ok()) {
    return NotAManifest(path, absl::StrCat(std::string(parsed.message())));
  }
  if (manifest.format_version() != kFormatVersion) {
    return NotAManifest(
        path, absl::StrCat("format version ", manifest.format_version(),
                           " is not known to this program"));
  }
  RETURN_IF_ERROR(CheckShards(path, manifest));
  return manifest;
}

absl::Status WriteManifest(const std::filesystem::path& directory,
                           const v1::DatasetManifest& manifest) {
  v1::DatasetManifest written = manifest;
  written.set_format_version(kFormatVersion);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto printed =
      google::protobuf::util::MessageToJsonString(written, &text, options);
  if (!printed.ok()) {
    return absl::InternalError(absl::StrCat("cannot print the manifest: ",
                                            std::string(printed.message())));
  }
  return base::WriteFileAtomically(directory / kManifestFile, text);
}

absl::Status CheckTokenizer(const v1::DatasetManifest& manifest,
                            const std::filesystem::path& model) {
  const std::string& expected = manifest.policy_view().tokenizer_sha256();
  // Token ids may come without a tokenizer.
  if (expected.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string actual,
                   base::Sha256OfFile(model / "tokenizer.json"));
  if (actual == expected) return absl::OkStatus();
  return base::WithExitCode(
      absl::FailedPreconditionError(absl::StrCat(
          "the data set was made with the tokenizer of another model; prepare "
          "it again with --model ",
          model.string())),
      base::kExitBadData);
}

bool SameText(const v1::TextView& a, const v1::TextView& b) {
  return a.tokenizer_sha256() == b.tokenizer_sha256() &&
         a.template_sha256() == b.template_sha256();
}

bool IsScored(const v1::DatasetManifest& manifest) {
  return manifest.has_rewards() && manifest.has_logprobs();
}

}  // namespace varalign::data
