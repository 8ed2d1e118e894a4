#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "data/shard.h"

namespace varalign::data {
namespace {

// NaN stands for unknown in the file.
std::optional<double> Known(std::span<const double> values, uint64_t row) {
  if (values.empty() || std::isnan(values[row])) return std::nullopt;
  return values[row];
}

// The column `name` over all shards.
template <typename T, typename Columns>
absl::StatusOr<std::vector<T>> Joined(const std::vector<OpenShard>& shards,
                                      Columns OpenShard::* columns,
                                      std::string_view name) {
  std::vector<T> joined;
  for (const OpenShard& shard : shards) {
    const auto found = (shard.*columns).find(std::string(name));
    if (found == (shard.*columns).end()) {
      const auto name_of = [](std::string* out, const auto& column) {
        out->append(column.first);
      };
      return absl::NotFoundError(absl::StrCat(
          "the data set has no such column: ", base::ToAbsl(name), ", it has [",
          absl::StrJoin(shard.*columns, ", ", name_of), "]"));
    }
    joined.insert(joined.end(), found->second.begin(), found->second.end());
  }
  return joined;
}

}  // namespace

struct Dataset::State {
  v1::DatasetManifest manifest;
  std::string manifest_xxh3;
  std::vector<OpenShard> shards;
  // Numbers of the first example and row of each shard, and the totals.
  std::vector<uint64_t> first_examples = {0};
  std::vector<uint64_t> first_rows = {0};
  // Over those of the shards, by SetScores.
  RowScores scores;
};

Dataset::Dataset(std::unique_ptr<State> state) : state_(std::move(state)) {}
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;
Dataset::~Dataset() = default;

absl::StatusOr<Dataset> Dataset::Open(const std::filesystem::path& directory) {
  auto state = std::make_unique<State>();
  ASSIGN_OR_RETURN(state->manifest, ReadManifest(directory));
  ASSIGN_OR_RETURN(state->manifest_xxh3,
                   base::Xxh3OfFile(directory / kManifestFile));
  for (const v1::Shard& shard : state->manifest.shards()) {
    ASSIGN_OR_RETURN(OpenShard opened,
                     OpenVerifiedShard(directory, shard, state->manifest));
    state->shards.push_back(std::move(opened));
    state->first_examples.push_back(state->first_examples.back() +
                                    shard.num_examples());
    state->first_rows.push_back(state->first_rows.back() + shard.num_rows());
  }
  return Dataset(std::move(state));
}

const v1::DatasetManifest& Dataset::manifest() const {
  return state_->manifest;
}

const std::string& Dataset::manifest_xxh3() const {
  return state_->manifest_xxh3;
}

uint64_t Dataset::num_examples() const { return state_->first_examples.back(); }

ExampleView Dataset::example(uint64_t index) const {
  const std::vector<uint64_t>& firsts = state_->first_examples;
  const auto shard_number = static_cast<size_t>(
      std::upper_bound(firsts.begin(), firsts.end(), index) - firsts.begin() -
      1);
  const OpenShard& shard = state_->shards[shard_number];
  const uint64_t local = index - firsts[shard_number];

  ExampleView view;
  view.prompt = shard.prompts.At(local);
  view.reward_prompt = shard.reward_prompts.At(local);
  view.first_row = state_->first_rows[shard_number] + shard.first_rows[local];
  const RowScores& scores = state_->scores;
  for (uint64_t row = shard.first_rows[local];
       row < shard.first_rows[local + 1]; ++row) {
    const uint64_t number = state_->first_rows[shard_number] + row;
    view.rows.push_back(
        {.response = shard.responses.At(row),
         .reward_response = shard.reward_responses.At(row),
         .reward = scores.rewards.has_value() ? (*scores.rewards)[number]
                                              : Known(shard.rewards, row),
         .logprob_sum = scores.logprob_sums.has_value()
                            ? (*scores.logprob_sums)[number]
                            : Known(shard.logprob_sums, row),
         .role = shard.roles.empty()
                     ? base::Role::kUnknown
                     : static_cast<base::Role>(shard.roles[row])});
  }
  return view;
}

absl::StatusOr<std::vector<double>> Dataset::NumberColumn(
    std::string_view name) const {
  return Joined<double>(state_->shards, &OpenShard::numbers, name);
}

absl::StatusOr<std::vector<std::string_view>> Dataset::TextColumn(
    std::string_view name) const {
  return Joined<std::string_view>(state_->shards, &OpenShard::texts, name);
}

void Dataset::SetScores(RowScores scores) {
  v1::DatasetManifest& manifest = state_->manifest;
  if (scores.rewards.has_value()) {
    manifest.set_has_rewards(true);
    state_->scores.rewards = std::move(scores.rewards);
  }
  if (scores.logprob_sums.has_value()) {
    manifest.set_has_logprobs(true);
    state_->scores.logprob_sums = std::move(scores.logprob_sums);
  }
}

}  // namespace varalign::data
