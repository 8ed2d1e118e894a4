// The scores of held-out rows, from columns or from a reward server.
#ifndef VARALIGN_WORKER_HELD_OUT_H_
#define VARALIGN_WORKER_HELD_OUT_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/constants.h"
#include "worker/evaluate.h"
#include "worker/pair_scorer.h"

namespace varalign::worker {

// Fills `scores` of every example. `make_scorer` is called where the data set
// lacks rewards or log-probabilities.
absl::Status ScoreHeldOut(
    const v1::DatasetManifest& manifest,
    const std::function<absl::StatusOr<std::unique_ptr<PairScorer>>()>&
        make_scorer,
    const Progress& progress, std::vector<HeldOutExample>& examples);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_HELD_OUT_H_
