#include "worker/data_gate.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "model/model_config.h"
#include "text/control_tokens.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRowsShown = 3;

absl::Status InRow(const absl::Status& status, uint64_t example,
                   size_t response) {
  return absl::InvalidArgumentError(
      absl::StrCat("data.path cannot be trained on with this model: example ",
                   example, ", response ", response, ": ", status.message(),
                   "; prepare it again with --model of this run"));
}

absl::Status CheckTemplate(const v1::DatasetManifest& manifest,
                           const text::Tokenizer& tokenizer) {
  const v1::TextView& view = manifest.policy_view();
  if (view.tokenizer_sha256().empty() ||
      view.template_sha256() == tokenizer.template_sha256()) {
    return absl::OkStatus();
  }
  return base::WithExitCode(
      absl::FailedPreconditionError(
          "the data set was rendered by another chat template than the model "
          "has; prepare it again with --model of this run"),
      base::kExitBadData);
}

}  // namespace

absl::StatusOr<DataGate> DataGate::Load(const fs::path& model) {
  DataGate gate;
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(model));
  gate.rules_.vocabulary_size = static_cast<uint32_t>(config.vocabulary_size);
  gate.rules_.max_tokens = static_cast<uint64_t>(config.max_positions);
  absl::StatusOr<text::Tokenizer> tokenizer = text::Tokenizer::Load(model);
  // Ids may come without a tokenizer.
  if (absl::IsNotFound(tokenizer.status())) return gate;
  RETURN_IF_ERROR(tokenizer.status());
  ASSIGN_OR_RETURN(text::ControlTokens control,
                   text::ReadControlTokens(model, *tokenizer));
  gate.rules_.bos = control.bos;
  gate.rules_.begins_with_bos = control.adds_bos;
  gate.rules_.bos_may_repeat = control.bos_repeats;
  gate.rules_.ends = std::move(control.ends);
  gate.rules_.padding = control.padding;
  gate.tokenizer_.emplace(*std::move(tokenizer));
  return gate;
}

absl::Status DataGate::Check(const data::Dataset& dataset) const {
  if (tokenizer_.has_value()) {
    RETURN_IF_ERROR(CheckTemplate(dataset.manifest(), *tokenizer_));
  }
  for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
    const data::ExampleView example = dataset.example(i);
    for (size_t k = 0; k < example.rows.size(); ++k) {
      const absl::Status status =
          data::CheckRow(rules_, example.prompt, example.rows[k].response);
      if (!status.ok()) return InRow(status, i, k);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<base::Json> DataGate::Describe(
    const data::Dataset& dataset) const {
  const v1::DatasetManifest& manifest = dataset.manifest();
  base::Json description = {{"version", 1},
                            {"examples", manifest.num_examples()},
                            {"rows", manifest.num_rows()},
                            {"tokens", manifest.num_tokens()},
                            {"rejected", manifest.num_rejected()},
                            {"truncated", manifest.num_truncated()},
                            {"shown", base::Json::array()}};
  base::Json& shown = description["shown"];
  for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
    const data::ExampleView example = dataset.example(i);
    for (const data::RowView& row : example.rows) {
      if (shown.size() == kRowsShown) return description;
      ASSIGN_OR_RETURN(base::Json entry, ShowRow(shown.size(), example, row));
      shown.push_back(std::move(entry));
    }
  }
  return description;
}

absl::StatusOr<base::Json> DataGate::ShowRow(uint64_t index,
                                             const data::ExampleView& example,
                                             const data::RowView& row) const {
  std::vector<uint32_t> ids(example.prompt.begin(), example.prompt.end());
  std::vector<int> mask(ids.size(), 0);
  ids.insert(ids.end(), row.response.begin(), row.response.end());
  mask.resize(ids.size(), 1);
  base::Json shown = {{"index", index}};
  if (tokenizer_.has_value()) {
    ASSIGN_OR_RETURN(shown["text"],
                     tokenizer_->Decode(ids, text::SpecialText::kKeep));
  }
  shown["tokens"] = ids;
  shown["loss_mask"] = mask;
  return shown;
}

}  // namespace varalign::worker
