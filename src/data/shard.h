// One shard of a data set, opened and checked. Private to `data`.
#ifndef VARALIGN_DATA_SHARD_H_
#define VARALIGN_DATA_SHARD_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/safetensors.h"
#include "varalign/v1/dataset.pb.h"

namespace varalign::data {

// Tensors of a shard (docs/formats/dataset.md). E examples, R rows.
inline constexpr char kNumResponses[] = "num_responses";        // U32 [E]
inline constexpr char kPromptIds[] = "prompt_ids";              // U32 [*]
inline constexpr char kPromptLengths[] = "prompt_lengths";      // U32 [E]
inline constexpr char kResponseIds[] = "response_ids";          // U32 [*]
inline constexpr char kResponseLengths[] = "response_lengths";  // U32 [R]
inline constexpr char kRewards[] = "rewards";                   // F64 [R]
inline constexpr char kLogprobSums[] = "logprob_sums";          // F64 [R]
inline constexpr char kRoles[] = "roles";                       // U8 [R]
// Columns that were kept, by name: "numbers.NAME" F64 [R]; "texts.NAME" U8 [*]
// with "text_lengths.NAME" U32 [E].
inline constexpr char kNumbersPrefix[] = "numbers.";
inline constexpr char kTextsPrefix[] = "texts.";
inline constexpr char kTextLengthsPrefix[] = "text_lengths.";
// Only where the reward model's text differs; length 0: as the policy's.
inline constexpr char kRewardPromptIds[] = "reward_prompt_ids";
inline constexpr char kRewardPromptLengths[] = "reward_prompt_lengths";
inline constexpr char kRewardResponseIds[] = "reward_response_ids";
inline constexpr char kRewardResponseLengths[] = "reward_response_lengths";

// Texts end to end, and where each begins.
struct Texts {
  std::span<const uint32_t> ids;
  std::vector<uint64_t> begins;  // [count + 1]; empty: no such texts

  // Empty where there are no such texts.
  std::span<const uint32_t> At(uint64_t index) const {
    if (begins.empty()) return {};
    return ids.subspan(begins[index], begins[index + 1] - begins[index]);
  }
};

// Immutable; the spans point into the mapped file.
struct OpenShard {
  base::SafetensorsFile file;
  Texts prompts, responses;                // of E examples, of R rows
  Texts reward_prompts, reward_responses;  // may be empty
  std::vector<uint64_t> first_rows;        // [E + 1], within the shard
  std::span<const double> rewards;         // empty, or [R] with NaN for unknown
  std::span<const double> logprob_sums;    // the same
  std::span<const uint8_t> roles;          // empty, or [R]
  // Columns that were kept: [R], [E].
  std::map<std::string, std::span<const double>> numbers;
  std::map<std::string, std::vector<std::string_view>> texts;
};

// Maps the file, compares size and checksum with the manifest, and checks that
// its parts fit together.
//
//   NotFound   the file is missing
//   DataLoss   it differs from the manifest, or its parts do not fit; names it
absl::StatusOr<OpenShard> OpenVerifiedShard(
    const std::filesystem::path& directory, const v1::Shard& shard,
    const v1::DatasetManifest& manifest);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_SHARD_H_
