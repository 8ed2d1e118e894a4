#include <algorithm>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/safetensors.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "data/dataset.h"
#include "data/shard.h"

namespace varalign::data {
namespace {

namespace fs = std::filesystem;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

struct TextColumn {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> lengths;

  void Add(const std::vector<uint32_t>& text) {
    ids.insert(ids.end(), text.begin(), text.end());
    lengths.push_back(static_cast<uint32_t>(text.size()));
  }
};

struct KeptText {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> lengths;
};

// The shard that is being filled.
struct Columns {
  std::vector<uint32_t> num_responses;
  TextColumn prompts, responses, reward_prompts, reward_responses;
  std::vector<double> rewards, logprob_sums;
  std::vector<uint8_t> roles;
  std::vector<std::vector<double>> numbers;  // of each column that is kept
  std::vector<KeptText> texts;

  uint64_t Bytes() const {
    uint64_t kept = 8 * numbers.size() * rewards.size();
    for (const KeptText& text : texts) kept += text.bytes.size();
    return kept +
           4 * (prompts.ids.size() + responses.ids.size() +
                reward_prompts.ids.size() + reward_responses.ids.size()) +
           25 * rewards.size() + 12 * num_responses.size();
  }
};

template <typename T>
base::TensorSpan Column(const std::string& name, base::Dtype dtype,
                        const std::vector<T>& values) {
  return {.name = name,
          .dtype = dtype,
          .shape = {static_cast<int64_t>(values.size())},
          .bytes = std::as_bytes(std::span<const T>(values))};
}

// Widest first, so that every tensor starts at a multiple of its size. A column
// without a known value is left out.
std::vector<base::TensorSpan> TensorsOf(const Columns& columns,
                                        const KeptColumns& kept) {
  using base::Dtype;
  std::vector<base::TensorSpan> tensors;
  const auto known = [](double value) { return !std::isnan(value); };
  for (const auto& [name, values] :
       {std::pair(kRewards, &columns.rewards),
        std::pair(kLogprobSums, &columns.logprob_sums)}) {
    if (std::any_of(values->begin(), values->end(), known)) {
      tensors.push_back(Column(name, Dtype::kF64, *values));
    }
  }
  for (size_t i = 0; i < kept.numbers.size(); ++i) {
    tensors.push_back(Column(kNumbersPrefix + kept.numbers[i], Dtype::kF64,
                             columns.numbers[i]));
  }
  tensors.push_back(Column(kNumResponses, Dtype::kU32, columns.num_responses));
  const auto add = [&](const char* ids, const char* lengths,
                       const TextColumn& texts) {
    if (texts.ids.empty()) return;
    tensors.push_back(Column(lengths, Dtype::kU32, texts.lengths));
    tensors.push_back(Column(ids, Dtype::kU32, texts.ids));
  };
  add(kPromptIds, kPromptLengths, columns.prompts);
  add(kResponseIds, kResponseLengths, columns.responses);
  add(kRewardPromptIds, kRewardPromptLengths, columns.reward_prompts);
  add(kRewardResponseIds, kRewardResponseLengths, columns.reward_responses);
  for (size_t i = 0; i < kept.texts.size(); ++i) {
    tensors.push_back(Column(kTextLengthsPrefix + kept.texts[i], Dtype::kU32,
                             columns.texts[i].lengths));
  }
  if (std::any_of(columns.roles.begin(), columns.roles.end(),
                  [](uint8_t role) { return role != 0; })) {
    tensors.push_back(Column(kRoles, Dtype::kU8, columns.roles));
  }
  for (size_t i = 0; i < kept.texts.size(); ++i) {
    tensors.push_back(Column(kTextsPrefix + kept.texts[i], Dtype::kU8,
                             columns.texts[i].bytes));
  }
  return tensors;
}

absl::Status CheckExample(const NewExample& example, const KeptColumns& kept) {
  if (example.texts.size() != kept.texts.size()) {
    return absl::InvalidArgumentError("the example lacks texts to keep");
  }
  if (example.prompt.empty()) {
    return absl::InvalidArgumentError("the prompt has no token");
  }
  if (example.rows.empty()) {
    return absl::InvalidArgumentError("the example has no response");
  }
  for (size_t k = 0; k < example.rows.size(); ++k) {
    const NewRow& row = example.rows[k];
    if (row.response.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the response has no token: response ", k));
    }
    if (row.numbers.size() != kept.numbers.size() ||
        !std::all_of(row.numbers.begin(), row.numbers.end(),
                     [](double value) { return std::isfinite(value); })) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a number to keep is missing or not finite: response ", k));
    }
    if (!std::isfinite(row.reward.value_or(0))) {
      return absl::InvalidArgumentError(
          absl::StrCat("the reward is not finite: response ", k));
    }
    if (!std::isfinite(row.logprob_sum.value_or(0))) {
      return absl::InvalidArgumentError(
          absl::StrCat("the log-probability is not finite: response ", k));
    }
  }
  return absl::OkStatus();
}

}  // namespace

struct DatasetWriter::State {
  fs::path directory;
  uint64_t shard_bytes = 0;
  bool created_directory = false;
  bool finished = false;
  KeptColumns kept;
  Columns columns;
  v1::DatasetManifest counts;
  // Every row so far has one.
  bool all_rewards = true, all_logprobs = true;
  bool any_role = false;

  // Removes what was written, unless Finish succeeded.
  ~State() {
    if (finished) return;
    std::error_code ignored;
    for (const v1::Shard& shard : counts.shards()) {
      fs::remove(directory / shard.file(), ignored);
    }
    fs::remove(directory / kManifestFile, ignored);
    if (created_directory) fs::remove(directory, ignored);
  }

  void Count(const NewExample& example) {
    const auto responses = static_cast<uint32_t>(example.rows.size());
    const bool first = counts.num_examples() == 0;
    counts.set_min_responses(
        first ? responses : std::min(counts.min_responses(), responses));
    counts.set_max_responses(std::max(counts.max_responses(), responses));
    counts.set_num_examples(counts.num_examples() + 1);
    counts.set_num_rows(counts.num_rows() + responses);
    uint64_t tokens = example.prompt.size();
    for (const NewRow& row : example.rows) {
      tokens += row.response.size();
      counts.set_max_row_tokens(
          std::max<uint64_t>(counts.max_row_tokens(),
                             example.prompt.size() + row.response.size()));
      all_rewards &= row.reward.has_value();
      all_logprobs &= row.logprob_sum.has_value();
      any_role |= row.role != base::Role::kUnknown;
    }
    counts.set_num_tokens(counts.num_tokens() + tokens);
  }

  void Append(const NewExample& example) {
    columns.num_responses.push_back(static_cast<uint32_t>(example.rows.size()));
    columns.prompts.Add(example.prompt);
    columns.reward_prompts.Add(example.reward_prompt);
    columns.numbers.resize(kept.numbers.size());
    columns.texts.resize(kept.texts.size());
    for (size_t i = 0; i < example.texts.size(); ++i) {
      const std::string& text = example.texts[i];
      KeptText& column = columns.texts[i];
      column.bytes.insert(column.bytes.end(), text.begin(), text.end());
      column.lengths.push_back(static_cast<uint32_t>(text.size()));
    }
    for (const NewRow& row : example.rows) {
      for (size_t i = 0; i < row.numbers.size(); ++i) {
        columns.numbers[i].push_back(row.numbers[i]);
      }
      columns.responses.Add(row.response);
      columns.reward_responses.Add(row.reward_response);
      columns.rewards.push_back(row.reward.value_or(kUnknown));
      columns.logprob_sums.push_back(row.logprob_sum.value_or(kUnknown));
      columns.roles.push_back(static_cast<uint8_t>(row.role));
    }
  }

  absl::Status WriteShard() {
    if (columns.num_responses.empty()) return absl::OkStatus();
    v1::Shard shard;
    shard.set_file(
        absl::StrFormat("shard-%05d.safetensors", counts.shards_size()));
    shard.set_num_examples(columns.num_responses.size());
    shard.set_num_rows(columns.rewards.size());
    ASSIGN_OR_RETURN(const base::WrittenFile written,
                     base::WriteSafetensors(directory / shard.file(),
                                            TensorsOf(columns, kept), {}));
    shard.set_num_bytes(written.num_bytes);
    shard.set_xxh3_128(written.xxh3_128);
    *counts.add_shards() = std::move(shard);
    columns = Columns();
    return absl::OkStatus();
  }
};

DatasetWriter::DatasetWriter(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
DatasetWriter::DatasetWriter(DatasetWriter&&) noexcept = default;
DatasetWriter::~DatasetWriter() = default;

absl::StatusOr<DatasetWriter> DatasetWriter::Create(const fs::path& directory,
                                                    uint64_t shard_bytes,
                                                    KeptColumns kept) {
  std::error_code error;
  const bool exists = fs::exists(directory, error);
  if (exists &&
      !(fs::is_directory(directory, error) && fs::is_empty(directory, error))) {
    return absl::AlreadyExistsError(absl::StrCat(
        "the output is not an empty directory, choose another one: ",
        directory.string()));
  }
  if (!exists) RETURN_IF_ERROR(base::CreateDirectories(directory));
  auto state = std::make_unique<State>();
  state->directory = directory;
  state->shard_bytes = shard_bytes;
  state->kept = std::move(kept);
  state->created_directory = !exists;
  return DatasetWriter(std::move(state));
}

absl::Status DatasetWriter::Add(const NewExample& example) {
  RETURN_IF_ERROR(CheckExample(example, state_->kept));
  state_->Count(example);
  state_->Append(example);
  if (state_->columns.Bytes() < state_->shard_bytes) return absl::OkStatus();
  return state_->WriteShard();
}

absl::StatusOr<v1::DatasetManifest> DatasetWriter::Finish(
    v1::DatasetManifest manifest) {
  if (state_->counts.num_examples() == 0) {
    return absl::InvalidArgumentError(
        "no example was accepted: there is no data set to write");
  }
  RETURN_IF_ERROR(state_->WriteShard());
  const v1::DatasetManifest& counts = state_->counts;
  manifest.set_format_version(1);
  if (manifest.created_by().empty()) {
    manifest.set_created_by(absl::StrCat("varalign ", base::kVersion));
  }
  manifest.set_num_examples(counts.num_examples());
  manifest.set_num_rows(counts.num_rows());
  manifest.set_num_tokens(counts.num_tokens());
  manifest.set_min_responses(counts.min_responses());
  manifest.set_max_responses(counts.max_responses());
  manifest.set_max_row_tokens(counts.max_row_tokens());
  manifest.set_has_rewards(state_->all_rewards);
  manifest.set_has_logprobs(state_->all_logprobs);
  manifest.set_has_roles(state_->any_role);
  *manifest.mutable_shards() = counts.shards();
  RETURN_IF_ERROR(WriteManifest(state_->directory, manifest));
  state_->finished = true;
  return manifest;
}

}  // namespace varalign::data
