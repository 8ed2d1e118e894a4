// The rules of the kinds that are not var. Internal to `objective`.
#ifndef VARALIGN_OBJECTIVE_RESOLVE_KIND_H_
#define VARALIGN_OBJECTIVE_RESOLVE_KIND_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

// `objective` with every field filled. InvalidArgument names a key without an
// effect under its kind, or a value out of range.
absl::StatusOr<v1::Objective> ResolveDpo(const v1::Objective& objective);
absl::StatusOr<v1::Objective> ResolveSft(const v1::Objective& objective);
absl::StatusOr<v1::Objective> ResolveALol(const v1::Objective& objective);

// InvalidArgument: a key of another kind is set in the resolved `objective`,
// which is of kind var.
absl::Status CheckNoKeyOfOtherKinds(const v1::Objective& objective);

// InvalidArgument: an enumerated option has no value.
absl::Status CheckSpecified(const v1::Objective& objective);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_RESOLVE_KIND_H_
