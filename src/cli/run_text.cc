#include "cli/run_text.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/utf8.h"
#include "cli/run_advice.h"
#include "rpc/proto_time.h"

namespace varalign::cli {
namespace {

std::string StepLine(const v1::StepReport& step,
                     const v1::Objective& objective) {
  std::string line = absl::StrFormat(
      "step %d  %s  grad %.3g  lr %.3g  ess %.3f  %s", step.step() + 1,
      LossText(step, objective), step.grad_norm(), step.learning_rate(),
      step.weights().ess_ratio(), TokenRateText(step));
  if (step.skipped()) absl::StrAppend(&line, "  SKIPPED: gradient not finite");
  return line;
}

std::string StateLine(const v1::StateChange& change) {
  std::string line = absl::StrCat("state ", v1::RunState_Name(change.to()));
  if (!change.reason().empty()) {
    absl::StrAppend(&line, ": ", base::StripControl(change.reason()));
  }
  return line;
}

std::string EvaluationLine(const v1::EvaluationReport& evaluation) {
  return absl::StrFormat(
      "held out at step %d: reward %.4f  KL %.4f nats  nll/token %.4f",
      evaluation.step(), evaluation.expected_reward(), evaluation.kl(),
      evaluation.nll_per_token());
}

// Rows of a small table: name, before, after, optimum.
std::string TableRow(const char* name, double before, double after,
                     const std::string& optimum) {
  return absl::StrFormat("  %-24s %10.4f %10.4f %10s\n", name, before, after,
                         optimum);
}

std::string EvaluationTable(const v1::Run& run) {
  if (run.evaluations_size() == 0) return "";
  const v1::EvaluationReport& before = run.evaluations(0);
  const v1::EvaluationReport& after =
      run.evaluations(run.evaluations_size() - 1);
  const bool optimum = after.has_kl_to_optimum();
  const auto number = [](double x) { return absl::StrFormat("%.4f", x); };
  std::string text =
      absl::StrFormat("  %-24s %10s %10s %10s\n",
                      absl::StrCat("held out (", after.examples(), " prompts)"),
                      "before", "after", optimum ? "optimum" : "");
  absl::StrAppend(
      &text,
      TableRow("reward", before.expected_reward(), after.expected_reward(),
               optimum ? number(after.optimum_expected_reward()) : ""),
      TableRow("KL to the reference", before.kl(), after.kl(),
               optimum ? number(after.optimum_kl()) : ""));
  if (optimum) {
    absl::StrAppend(&text,
                    TableRow("KL from the optimum", before.kl_to_optimum(),
                             after.kl_to_optimum(), number(0)));
  }
  absl::StrAppend(&text,
                  TableRow("better one preferred", before.pair_accuracy(),
                           after.pair_accuracy(), ""));
  return text;
}

// Would the run stop for the same reason, if it went on as it is?
bool StoppedForGood(const v1::Run& run) {
  return run.exit_code() == base::kExitBadData ||
         run.exit_code() == base::kExitBadConfig;
}

std::string NextSteps(const v1::Run& run, const NextCommands& next) {
  const std::string& directory = run.directory();
  std::string text;
  if (run.state() == v1::SUCCEEDED) {
    absl::StrAppend(&text,
                    "  load it:    AutoModelForCausalLM.from_pretrained(\"",
                    directory, "/model\")\n", "  curves:     ", directory,
                    "/metrics.jsonl\n");
    if (!next.other.empty()) {
      absl::StrAppend(&text, "  other runs: ", next.other, "\n");
    }
  } else if (!next.resume.empty() && !StoppedForGood(run)) {
    absl::StrAppend(&text, "  go on:      ", next.resume, "\n");
  }
  return text.empty() ? text : absl::StrCat("try next\n", text);
}

}  // namespace

std::string LossText(const v1::StepReport& step,
                     const v1::Objective& objective) {
  using O = v1::Objective;
  std::string text = absl::StrFormat("loss %.4f", step.loss());
  if (objective.kind() == O::KIND_DPO) return absl::StrCat(text, " a prompt");
  if (objective.loss_reduction() != O::LOSS_REDUCTION_SEQUENCE_SUM) {
    return absl::StrCat(text, " a token");
  }
  const double length = step.weights().response_length();
  const bool is_mean = objective.kind() != O::KIND_A_LOL &&
                       objective.train_on() == O::TRAIN_ON_ALL &&
                       objective.convention() == O::CONVENTION_MEAN;
  if (!is_mean || length <= 0) return absl::StrCat(text, " a response");
  absl::StrAppendFormat(&text, " (%.4f a token)", step.loss() / length);
  return text;
}

std::string LearningText(const v1::StepReport& step) {
  if (!step.has_preferences()) {
    return absl::StrFormat("weights: ess %.2f  max %.2f",
                           step.weights().ess_ratio(), step.weights().max());
  }
  const v1::PreferenceStatistics& pairs = step.preferences();
  return absl::StrFormat(
      "pairs: right %.2f  margin %.3g  chosen %+.3g  rejected %+.3g",
      pairs.accuracy(), pairs.margin(), pairs.chosen_reward(),
      pairs.rejected_reward());
}

std::string TokenRateText(const v1::StepReport& step) {
  std::string text = absl::StrFormat("tokens/s %.0f", step.tokens_per_second());
  if (step.computed_tokens() > 0 && step.tokens() > step.computed_tokens()) {
    absl::StrAppendFormat(&text, " (%.0f %% computed)",
                          100 * static_cast<double>(step.computed_tokens()) /
                              static_cast<double>(step.tokens()));
  }
  return text;
}

std::string DurationText(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds < 60) return absl::StrFormat("%.1f s", seconds);
  const int64_t minutes = std::llround(seconds) / 60;
  if (minutes < 60) {
    return absl::StrFormat("%d m %d s", minutes, std::llround(seconds) % 60);
  }
  return absl::StrFormat("%d h %d m", minutes / 60, minutes % 60);
}

std::string RunLine(const v1::Run& run) {
  std::string line = absl::StrFormat("%s  %-20s %-10s step %d/%d", run.run_id(),
                                     run.name(), v1::RunState_Name(run.state()),
                                     run.step(), run.total_steps());
  if (!run.reason().empty()) {
    absl::StrAppend(&line, "  ", base::StripControl(run.reason()));
  }
  return line;
}

std::string SlotLine(const v1::SlotStatus& slot) {
  std::string line =
      absl::StrCat("worker ", slot.slot_id(), " on ", slot.host(), ": ");
  if (slot.run_id().empty()) {
    absl::StrAppend(&line, "idle");
  } else {
    absl::StrAppend(&line, "rank ", slot.rank(), " of ", slot.run_id());
  }
  if (!slot.metrics_address().empty()) {
    absl::StrAppend(&line, ", http://", slot.metrics_address(), "/metrics");
  }
  return base::StripControl(line);
}

std::string EventLine(const v1::RunEvent& event,
                      const v1::Objective& objective) {
  switch (event.event_case()) {
    case v1::RunEvent::kState:
      return StateLine(event.state());
    case v1::RunEvent::kStep:
      return StepLine(event.step(), objective);
    case v1::RunEvent::kCheckpoint:
      return absl::StrCat("checkpoint at step ", event.checkpoint().step(),
                          ": ", event.checkpoint().path());
    case v1::RunEvent::kEvaluation:
      return EvaluationLine(event.evaluation());
    case v1::RunEvent::kProgress:
      return event.progress().total() > 0
                 ? ""
                 : base::StripControl(event.progress().activity());
    case v1::RunEvent::kWarning:
      return absl::StrCat("warning ", event.warning().code(), ": ",
                          base::StripControl(event.warning().message()));
    default:
      return "";
  }
}

std::string ClipLines(std::string_view text, size_t columns) {
  if (columns == 0) return std::string(text);
  std::string clipped;
  size_t column = 0;
  while (!text.empty()) {
    const size_t length = std::max<size_t>(1, base::Utf8Length(text));
    column = text.front() == '\n' ? 0 : column + 1;
    if (column <= columns) clipped += text.substr(0, length);
    text.remove_prefix(length);
  }
  return clipped;
}

std::string RunSummary(const v1::Run& run, const NextCommands& next) {
  std::string text = absl::StrCat("\nrun ", run.name(), " (", run.run_id(),
                                  ")  ", v1::RunState_Name(run.state()));
  if (run.has_end_time()) {
    absl::StrAppend(&text, "  in ",
                    DurationText(rpc::FromProto(run.end_time()) -
                                 rpc::FromProto(run.submit_time())));
  }
  if (!run.reason().empty()) {
    absl::StrAppend(&text, "\n  ", base::StripControl(run.reason()));
  }
  absl::StrAppend(&text, "\n", EvaluationTable(run));
  if (const std::string advice = AdviceOnReward(run); !advice.empty()) {
    absl::StrAppend(&text, "  ", advice, "\n");
  }
  if (run.has_last_step()) {
    const v1::StepReport& step = run.last_step();
    absl::StrAppendFormat(
        &text,
        "  steps %d, tokens %d, %s; effective sample size of the weights %.2f "
        "of a Z-set\n",
        run.step(), run.tokens(), TokenRateText(step),
        step.weights().ess_ratio());
    absl::StrAppendFormat(
        &text,
        "  correlation with response length: weights %.2f, rewards %.2f; "
        "the reference's share of the weights' spread %.2f\n",
        step.weights().length_corr(), step.weights().reward_length_corr(),
        step.weights().ref_share());
  }
  if (!run.checkpoint().empty()) {
    absl::StrAppend(&text, "  checkpoint  ", run.checkpoint(), "\n");
  }
  absl::StrAppend(&text, NextSteps(run, next));
  return text;
}

}  // namespace varalign::cli
