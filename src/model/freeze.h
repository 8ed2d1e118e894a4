// Parameters that a run leaves as they are.
#ifndef VARALIGN_MODEL_FREEZE_H_
#define VARALIGN_MODEL_FREEZE_H_

#include <span>
#include <string>

#include "absl/status/status.h"
#include "model/parameters.h"

namespace varalign::model {

// Freezes every parameter whose Hugging Face name matches one of `patterns`
// (with *, ? and [...], as file names in a shell; * matches dots too):
// EnableGradients then gives it no gradient, no backward pass multiplies for
// one, and its place in `gradients` stays 0, so that AdamW, which does not
// decay it either, leaves its bits alone. It keeps its place in `flat`.
//
// InvalidArgument names a pattern that matches nothing, or the names of a
// merged matrix (q, k and v; gate and up) of which only some match, or says
// that nothing is left to train; then nothing is frozen. To be called before
// EnableGradients, once.
absl::Status Freeze(std::span<const std::string> patterns,
                    Parameters& parameters);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_FREEZE_H_
