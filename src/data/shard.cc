#include "data/shard.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::data {
namespace {

absl::Status CheckBytes(const std::filesystem::path& path,
                        const v1::Shard& shard) {
  ASSIGN_OR_RETURN(const base::MappedFile file, base::MappedFile::Open(path));
  if (file.bytes().size() != shard.num_bytes()) {
    return absl::DataLossError(absl::StrCat(
        "data set shard is damaged, prepare the data set again or restore the "
        "file: ",
        path.string(), " has ", file.bytes().size(),
        " bytes, the manifest says ", shard.num_bytes()));
  }
  if (base::Xxh3(file.text()) != shard.xxh3_128()) {
    return absl::DataLossError(absl::StrCat(
        "data set shard is damaged, prepare the data set again or restore the "
        "file: checksum of ",
        path.string(), " differs from the manifest's"));
  }
  return absl::OkStatus();
}

// A tensor that may be left out; empty then.
template <typename T>
absl::StatusOr<std::span<const T>> Optional(const base::SafetensorsFile& file,
                                            const char* name, uint64_t count) {
  auto values = file.Values<T>(name);
  if (absl::IsNotFound(values.status())) return std::span<const T>();
  RETURN_IF_ERROR(values.status());
  if (values->size() != count) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", name, " has ", values->size(), " values, not ", count));
  }
  return *values;
}

absl::StatusOr<Texts> ReadTexts(const base::SafetensorsFile& file,
                                const char* ids, const char* lengths,
                                uint64_t count, uint32_t min_length,
                                uint32_t vocabulary_size) {
  ASSIGN_OR_RETURN(const auto sizes, Optional<uint32_t>(file, lengths, count));
  if (sizes.empty()) return Texts{};
  Texts texts;
  ASSIGN_OR_RETURN(texts.ids, file.Values<uint32_t>(ids));
  texts.begins.reserve(count + 1);
  texts.begins.push_back(0);
  for (const uint32_t size : sizes) {
    if (size < min_length) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", lengths, " holds an empty text"));
    }
    texts.begins.push_back(texts.begins.back() + size);
  }
  if (texts.begins.back() != texts.ids.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", ids, " has ", texts.ids.size(), " ids, ",
                     lengths, " add up to ", texts.begins.back()));
  }
  if (vocabulary_size > 0 && !texts.ids.empty() &&
      *std::max_element(texts.ids.begin(), texts.ids.end()) >=
          vocabulary_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", ids, " holds an id outside the vocabulary of ",
                     vocabulary_size));
  }
  return texts;
}

absl::StatusOr<std::vector<uint64_t>> ReadFirstRows(
    const base::SafetensorsFile& file, const v1::Shard& shard) {
  ASSIGN_OR_RETURN(const auto counts, Optional<uint32_t>(file, kNumResponses,
                                                         shard.num_examples()));
  std::vector<uint64_t> first_rows = {0};
  for (const uint32_t count : counts) {
    if (count == 0) {
      return absl::InvalidArgumentError("an example has no response");
    }
    first_rows.push_back(first_rows.back() + count);
  }
  if (first_rows.back() != shard.num_rows()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kNumResponses, " add up to ", first_rows.back(),
                     " rows, the manifest says ", shard.num_rows()));
  }
  return first_rows;
}

absl::StatusOr<std::span<const uint8_t>> ReadRoles(
    const base::SafetensorsFile& file, uint64_t rows) {
  ASSIGN_OR_RETURN(const auto roles, Optional<uint8_t>(file, kRoles, rows));
  if (std::any_of(roles.begin(), roles.end(),
                  [](uint8_t r) { return r > 2; })) {
    return absl::InvalidArgumentError("tensor roles holds an unknown role");
  }
  return roles;
}

absl::StatusOr<std::vector<std::string_view>> ReadKeptTexts(
    const base::SafetensorsFile& file, const std::string& name,
    uint64_t examples) {
  ASSIGN_OR_RETURN(const auto bytes, file.Values<uint8_t>(kTextsPrefix + name));
  ASSIGN_OR_RETURN(const auto lengths,
                   file.Values<uint32_t>(kTextLengthsPrefix + name));
  std::vector<std::string_view> texts;
  const auto* next = reinterpret_cast<const char*>(bytes.data());
  uint64_t left = bytes.size();
  for (const uint32_t length : lengths) {
    if (length > left) break;
    texts.emplace_back(next, length);
    next += length;
    left -= length;
  }
  if (texts.size() == examples && lengths.size() == examples && left == 0) {
    return texts;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the texts and their lengths do not fit: ", name));
}

// The columns that were kept: whatever has their prefixes.
absl::Status ReadKept(const base::SafetensorsFile& file, OpenShard& shard,
                      const v1::Shard& counts) {
  for (const base::TensorSpan& tensor : file.tensors()) {
    if (tensor.name.starts_with(kNumbersPrefix)) {
      const std::string name = tensor.name.substr(sizeof(kNumbersPrefix) - 1);
      ASSIGN_OR_RETURN(
          const auto values,
          Optional<double>(file, tensor.name.c_str(), counts.num_rows()));
      if (!std::all_of(values.begin(), values.end(),
                       [](double value) { return std::isfinite(value); })) {
        return absl::InvalidArgumentError(
            absl::StrCat("tensor ", tensor.name, " holds what is not finite"));
      }
      shard.numbers[name] = values;
    } else if (tensor.name.starts_with(kTextsPrefix)) {
      const std::string name = tensor.name.substr(sizeof(kTextsPrefix) - 1);
      ASSIGN_OR_RETURN(shard.texts[name],
                       ReadKeptTexts(file, name, counts.num_examples()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<OpenShard> ReadShard(const std::filesystem::path& path,
                                    const v1::Shard& shard,
                                    const v1::DatasetManifest& manifest) {
  const uint64_t examples = shard.num_examples(), rows = shard.num_rows();
  const uint32_t policy_ids = manifest.policy_view().vocabulary_size();
  const uint32_t reward_ids = manifest.reward_view().vocabulary_size();
  ASSIGN_OR_RETURN(base::SafetensorsFile file,
                   base::SafetensorsFile::Open(path));
  ASSIGN_OR_RETURN(auto first_rows, ReadFirstRows(file, shard));
  ASSIGN_OR_RETURN(auto prompts, ReadTexts(file, kPromptIds, kPromptLengths,
                                           examples, 1, policy_ids));
  ASSIGN_OR_RETURN(
      auto responses,
      ReadTexts(file, kResponseIds, kResponseLengths, rows, 1, policy_ids));
  if (prompts.begins.empty() || responses.begins.empty()) {
    return absl::InvalidArgumentError("prompts or responses are missing");
  }
  ASSIGN_OR_RETURN(auto reward_prompts,
                   ReadTexts(file, kRewardPromptIds, kRewardPromptLengths,
                             examples, 0, reward_ids));
  ASSIGN_OR_RETURN(auto reward_responses,
                   ReadTexts(file, kRewardResponseIds, kRewardResponseLengths,
                             rows, 0, reward_ids));
  ASSIGN_OR_RETURN(const auto rewards, Optional<double>(file, kRewards, rows));
  ASSIGN_OR_RETURN(const auto logprobs,
                   Optional<double>(file, kLogprobSums, rows));
  ASSIGN_OR_RETURN(const auto roles, ReadRoles(file, rows));
  OpenShard opened{.file = std::move(file),
                   .prompts = std::move(prompts),
                   .responses = std::move(responses),
                   .reward_prompts = std::move(reward_prompts),
                   .reward_responses = std::move(reward_responses),
                   .first_rows = std::move(first_rows),
                   .rewards = rewards,
                   .logprob_sums = logprobs,
                   .roles = roles,
                   .numbers = {},
                   .texts = {}};
  RETURN_IF_ERROR(ReadKept(opened.file, opened, shard));
  return opened;
}

}  // namespace

absl::StatusOr<OpenShard> OpenVerifiedShard(
    const std::filesystem::path& directory, const v1::Shard& shard,
    const v1::DatasetManifest& manifest) {
  const std::filesystem::path path = directory / shard.file();
  RETURN_IF_ERROR(CheckBytes(path, shard));
  absl::StatusOr<OpenShard> opened = ReadShard(path, shard, manifest);
  if (absl::IsInvalidArgument(opened.status()) ||
      absl::IsNotFound(opened.status())) {
    return absl::DataLossError(
        absl::StrCat("not a data set shard: ", path.string(), ": ",
                     opened.status().message()));
  }
  return opened;
}

}  // namespace varalign::data
