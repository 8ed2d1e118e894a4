// What the families mean that the coordinator and every rank have, each of the
// steps that it sees: the same words for the same numbers.
#ifndef VARALIGN_TELEMETRY_STEP_HELP_H_
#define VARALIGN_TELEMETRY_STEP_HELP_H_

namespace varalign::telemetry {

inline constexpr char kStepHelp[] = "Optimizer steps done by the newest run.";
inline constexpr char kStepsHelp[] =
    "Optimizer steps, those that were done again included.";
inline constexpr char kSkippedStepsHelp[] =
    "Steps that changed no parameter: their gradient was not finite.";
inline constexpr char kRowsHelp[] = "Rows of the steps, over all ranks.";
inline constexpr char kTokensHelp[] =
    "Tokens of the steps, over all ranks. useful: of the rows, each with its "
    "prompt; computed: a shared prompt once.";
inline constexpr char kLossHelp[] =
    "Loss of the last step, sum(w nll) / D as objective.loss_reduction says.";
inline constexpr char kGradNormHelp[] =
    "Norm of the last step's gradient over all ranks, before clipping.";
inline constexpr char kLearningRateHelp[] = "Learning rate of the last step.";
inline constexpr char kEssRatioHelp[] =
    "Mean of ESS/|S| over the Z-sets of the last step, ESS = (sum w)^2 / sum "
    "w^2.";

}  // namespace varalign::telemetry

#endif  // VARALIGN_TELEMETRY_STEP_HELP_H_
