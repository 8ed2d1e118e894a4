// Runs and their events as the JSON objects of the command line's contract.
// Fields may be added, never renamed. Pure.
#ifndef VARALIGN_CLI_RUN_JSON_H_
#define VARALIGN_CLI_RUN_JSON_H_

#include <optional>

#include "base/json.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::cli {

// {"version":1,"run_id","name","state","reason","step","total_steps",...}
base::Json RunJson(const v1::Run& run);

// The result of `train`: {"version":1,"run_id","state","steps","tokens",
// "checkpoint","metrics":{...}}.
base::Json TrainResultJson(const v1::Run& run);

// One line of `watch --json`; every line has "event", a step's line also
// {"step","loss","ess","tokens_per_second",...}.
base::Json EventJson(const v1::RunEvent& event);

base::Json EvaluationJson(const v1::EvaluationReport& evaluation);
base::Json SlotJson(const v1::SlotStatus& slot);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_JSON_H_
