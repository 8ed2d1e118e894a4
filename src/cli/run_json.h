// Runs and workers as the JSON objects of the command line's contract; of
// events see rpc/event_json.h. Fields may be added, never renamed. Pure.
#ifndef VARALIGN_CLI_RUN_JSON_H_
#define VARALIGN_CLI_RUN_JSON_H_

#include "base/json.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::cli {

// {"version":1,"run_id","name","state","reason","step","total_steps",...}
base::Json RunJson(const v1::Run& run);

// The result of `train`: {"version":1,"run_id","state","steps","tokens",
// "checkpoint","metrics":{...}}: the last step, and what is held out "before"
// and "after".
base::Json TrainResultJson(const v1::Run& run);

base::Json SlotJson(const v1::SlotStatus& slot);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_JSON_H_
