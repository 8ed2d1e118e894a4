// The data gate: before step 0 every row of a run's data set is held against
// the model that will be trained on it. A row that is not right stops the run;
// nothing is only warned of.
#ifndef VARALIGN_WORKER_DATA_GATE_H_
#define VARALIGN_WORKER_DATA_GATE_H_

#include <cstdint>
#include <filesystem>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/json.h"
#include "data/dataset.h"
#include "data/row_rules.h"
#include "text/tokenizer.h"

namespace varalign::worker {

// Immutable; any thread.
class DataGate {
 public:
  // What a model directory asks of rows: ids below its vocabulary, no more
  // tokens than it has positions; where it has a tokenizer also one BOS where
  // that puts one, an end token in every response, no padding token.
  static absl::StatusOr<DataGate> Load(const std::filesystem::path& model);

  //   InvalidArgument      names the first example and response that break a
  //                        rule, and the rule
  //   FailedPrecondition   (65) the data set was rendered by another chat
  //                        template than the model has
  absl::Status Check(const data::Dataset& dataset) const;

  // Counts, and the first three rows as they are trained on:
  //
  //   {"version":1,"examples":9,"rows":18,"tokens":512,"rejected":1,
  //    "truncated":2,"shown":[{"index":0,"text":"...","tokens":[...],
  //    "loss_mask":[0,0,1,...]},...]}
  //
  // Without a tokenizer "text" is left out.
  absl::StatusOr<base::Json> Describe(const data::Dataset& dataset) const;

 private:
  absl::StatusOr<base::Json> ShowRow(uint64_t index,
                                     const data::ExampleView& example,
                                     const data::RowView& row) const;

  data::RowRules rules_;
  std::optional<text::Tokenizer> tokenizer_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_DATA_GATE_H_
