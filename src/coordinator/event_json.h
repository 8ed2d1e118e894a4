// Events as lines of events.jsonl and metrics.jsonl (docs/protocol.md).
#ifndef VARALIGN_COORDINATOR_EVENT_JSON_H_
#define VARALIGN_COORDINATOR_EVENT_JSON_H_

#include <optional>
#include <string>

#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

// {"number":12,"time":"...","event":"step",...}, without a newline.
std::string EventLine(const v1::RunEvent& event);

// The numbers of a step or an evaluation under the names of TRL's trainers:
// {"number":12,"step":3,"loss":1.8,"learning_rate":1e-6,...}; nullopt for other
// events. Numbers that are not finite are null.
std::optional<std::string> MetricsLine(const v1::RunEvent& event);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_EVENT_JSON_H_
