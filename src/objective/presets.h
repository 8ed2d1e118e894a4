// Where a rule starts from, before the user's keys. Internal to `objective`.
#ifndef VARALIGN_OBJECTIVE_PRESETS_H_
#define VARALIGN_OBJECTIVE_PRESETS_H_

#include "absl/status/statusor.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

// The defaults of every key; they are those of the preset var.
v1::Objective DefaultObjective();

// InvalidArgument: no such preset.
absl::StatusOr<v1::Objective> PresetObjective(v1::Objective::Preset preset);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_PRESETS_H_
