#include "worker/held_out.h"

#include <utility>

#include "base/status_macros.h"
#include "data/manifest.h"
#include "worker/column_score.h"

namespace varalign::worker {

absl::Status ScoreHeldOut(
    const v1::DatasetManifest& manifest,
    const std::function<absl::StatusOr<std::unique_ptr<PairScorer>>()>&
        make_scorer,
    const Progress& progress, std::vector<HeldOutExample>& examples) {
  std::vector<objective::Score> scores;
  std::vector<data::ExampleView> views;
  for (const HeldOutExample& held_out : examples) {
    views.push_back(held_out.example);
    for (const data::RowView& row : held_out.example.rows) {
      scores.push_back(ColumnScore(row));
    }
  }
  if (!data::IsScored(manifest)) {
    ASSIGN_OR_RETURN(const auto scorer, make_scorer());
    const uint64_t total = scores.size();
    ASSIGN_OR_RETURN(scores, scorer->Score(views, [&](uint64_t rows) {
      progress(rows, total);
    }));
  }
  auto next = scores.begin();
  for (HeldOutExample& held_out : examples) {
    const auto end =
        next + static_cast<std::ptrdiff_t>(held_out.example.rows.size());
    held_out.scores.assign(next, end);
    next = end;
  }
  return absl::OkStatus();
}

}  // namespace varalign::worker
