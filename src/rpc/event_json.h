// Runs' events as JSON, in one dialect for all who write them: events.jsonl and
// metrics.jsonl (docs/protocol.md), `watch --json` and the results of verbs.
// Fields may be added, never renamed. Numbers that are not finite are written
// as null. Pure.
#ifndef VARALIGN_RPC_EVENT_JSON_H_
#define VARALIGN_RPC_EVENT_JSON_H_

#include <optional>
#include <string>

#include "base/json.h"
#include "google/protobuf/timestamp.pb.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::rpc {

// "2026-01-02T03:04:05.678Z".
std::string TimeText(const google::protobuf::Timestamp& time);

// {"step":4,"loss":1.8,"ess":0.5,"num_tokens":...}: the names of TRL's trainers
// where they have one, of the command line's contract, of docs/method.md.
base::Json StepJson(const v1::StepReport& step);

// {"step":4,"eval_loss":2.1,"eval_kl":0.1,...}; the distance to the optimum
// only where that is known.
base::Json EvaluationJson(const v1::EvaluationReport& evaluation);

// {"number":12,"version":1,"time":"...","event":"step",...}.
base::Json EventJson(const v1::RunEvent& event);

// The numbers of a step or an evaluation: {"number":12,"time":"...","step":4,
// ...}; nullopt for other events.
std::optional<base::Json> MetricsJson(const v1::RunEvent& event);

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_EVENT_JSON_H_
