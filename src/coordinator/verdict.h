// Whether a group still stands, has failed (and who is to blame), or is done.
// A pure decision over what was heard of its ranks.
#ifndef VARALIGN_COORDINATOR_VERDICT_H_
#define VARALIGN_COORDINATOR_VERDICT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/lease.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

struct RankExit {
  int32_t code = 0;    // valid where signal == 0
  int32_t signal = 0;  // 0: none
  std::string last_lines = {};
  absl::Duration heard_at;  // monotonic
};

// What is known of a rank.
struct RankView {
  uint32_t rank = 0;
  std::string host;
  uint32_t pid = 0;  // 0: not started yet
  // Monotonic instants. A rank has spoken since it started; its slot is heard
  // from the start of the group on.
  bool has_spoken = false;
  absl::Duration rank_heard;
  absl::Duration slot_heard;
  // Not heard of since the coordinator restarted.
  bool is_awaited = false;
  // Since when a connection that one of the two had open is broken.
  std::optional<absl::Duration> gone_since;
  std::optional<RankExit> exit;
};

struct VerdictRules {
  // No word from a rank or its slot for longer than this: it is lost.
  absl::Duration silence_limit = absl::Seconds(10);
  // The same once its connection broke and it did not come back.
  absl::Duration gone_limit = absl::Seconds(5);
  // From the forming of the group to the first word of a rank.
  absl::Duration start_limit = absl::Seconds(60);
  // A rank that leaves with an error may have been hurt by the death of
  // another one: for so long the verdict waits for a better culprit.
  absl::Duration blame_settle = absl::Milliseconds(1500);
};

struct GroupView {
  absl::Duration formed_at;
  Then ending = v1::LeaseStepsResponse::ASK_AGAIN;
  std::vector<RankView> ranks;
  uint64_t step = 0;
  uint64_t total_steps = 0;
  uint64_t checkpoint_step = 0;  // newest acknowledged
};

struct Stands {
  friend bool operator==(const Stands&, const Stands&) = default;
};
struct Failed {
  std::string reason;
  int32_t exit_code = 0;
  friend bool operator==(const Failed&, const Failed&) = default;
};
struct Done {
  v1::RunState state = v1::SUCCEEDED;  // or CANCELLED
  friend bool operator==(const Done&, const Done&) = default;
};
using Verdict = std::variant<Stands, Failed, Done>;

//   a rank was killed, or left with a code of its own    -> Failed, it
//   ranks left as if hurt by another, settle time is over -> Failed: the rank
//     whose connection broke first, else the first that left
//   a rank or its slot is silent for too long            -> Failed, it
//   all left as they were told                           -> Done
//   all left with 0, but steps or the last checkpoint
//     are missing                                        -> Failed
//   otherwise                                            -> Stands
Verdict Judge(const GroupView& view, const VerdictRules& rules,
              absl::Duration now);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_VERDICT_H_
