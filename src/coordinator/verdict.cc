#include "coordinator/verdict.h"

#include <algorithm>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/string_view.h"
#include "base/subprocess.h"

namespace varalign::coordinator {
namespace {

bool IsExpected(const RankExit& exit, Then ending) {
  if (exit.signal != 0) return false;
  if (ending == v1::LeaseStepsResponse::FINISH) {
    return exit.code == base::kExitOk;
  }
  if (ending == v1::LeaseStepsResponse::SAVE_AND_STOP) {
    return exit.code == base::kExitStopped;
  }
  return false;
}

// Ends that the death of another rank, or a launcher that stops all after one
// died, brings about.
bool MayBeCollateral(const RankExit& exit) {
  switch (exit.signal) {
    case 0:
      return exit.code == base::kExitUnavailable ||
             exit.code == base::kExitInternal;
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
      return true;
    default:
      return false;
  }
}

// The code that the run ends with.
int32_t RunExitCode(const RankExit& exit) {
  const bool is_ours =
      exit.code >= base::kExitUsage && exit.code <= base::kExitStopped;
  return exit.signal == 0 && is_ours ? exit.code : base::kExitInternal;
}

std::string Name(const RankView& rank) {
  return absl::StrCat("rank ", rank.rank, " on ", rank.host, " (pid ", rank.pid,
                      ")");
}

Failed FailedByExit(const RankView& rank) {
  const RankExit& exit = *rank.exit;
  const base::ProcessExit process{.code = exit.code, .signal = exit.signal};
  std::string reason = absl::StrCat(Name(rank), " ", process.ToString());
  if (exit.signal == 0 && exit.code == base::kExitOk) {
    absl::StrAppend(&reason, " before the run was done");
  }
  if (!exit.last_lines.empty()) {
    absl::StrAppend(&reason, "; its last lines:\n",
                    base::StripControl(exit.last_lines));
  }
  return {std::move(reason), RunExitCode(exit)};
}

Failed FailedBySilence(const RankView& rank, std::string_view who,
                       absl::Duration silence) {
  if (rank.is_awaited) {
    return {absl::StrCat(Name(rank),
                         " did not come back after a restart of the "
                         "coordinator"),
            base::kExitInternal};
  }
  const absl::Duration shown = absl::Floor(silence, absl::Milliseconds(100));
  return {absl::StrCat(Name(rank), " is lost: no word from ", base::ToAbsl(who),
                       " for ", absl::FormatDuration(shown)),
          base::kExitInternal};
}

// The unexpected exits, first reported first.
std::vector<const RankView*> Unexpected(const GroupView& view) {
  std::vector<const RankView*> ranks;
  for (const RankView& rank : view.ranks) {
    if (rank.exit && !IsExpected(*rank.exit, view.ending)) {
      ranks.push_back(&rank);
    }
  }
  std::stable_sort(ranks.begin(), ranks.end(),
                   [](const RankView* a, const RankView* b) {
                     return a->exit->heard_at < b->exit->heard_at;
                   });
  return ranks;
}

const RankView* FirstGone(const GroupView& view) {
  const RankView* first = nullptr;
  for (const RankView& rank : view.ranks) {
    if (rank.exit || !rank.gone_since) continue;
    if (first == nullptr || *rank.gone_since < *first->gone_since) {
      first = &rank;
    }
  }
  return first;
}

std::optional<Failed> JudgeExits(const GroupView& view,
                                 const VerdictRules& rules,
                                 absl::Duration now) {
  const auto unexpected = Unexpected(view);
  if (unexpected.empty()) return std::nullopt;
  for (const RankView* rank : unexpected) {
    if (!MayBeCollateral(*rank->exit)) return FailedByExit(*rank);
  }
  const absl::Duration since = now - unexpected.front()->exit->heard_at;
  const bool all_left =
      std::all_of(view.ranks.begin(), view.ranks.end(),
                  [](const RankView& rank) { return rank.exit.has_value(); });
  if (!all_left && since < rules.blame_settle) return std::nullopt;
  if (const RankView* gone = FirstGone(view)) {
    return FailedBySilence(*gone, "it since its connection broke",
                           now - *gone->gone_since);
  }
  return FailedByExit(*unexpected.front());
}

std::optional<Failed> JudgeSilence(const RankView& rank, const GroupView& view,
                                   const VerdictRules& rules,
                                   absl::Duration now) {
  if (rank.exit) return std::nullopt;
  if (rank.gone_since && now - *rank.gone_since > rules.gone_limit) {
    return FailedBySilence(rank, "it since its connection broke",
                           now - *rank.gone_since);
  }
  if (now - rank.slot_heard > rules.silence_limit) {
    return FailedBySilence(rank, "its slot", now - rank.slot_heard);
  }
  if (rank.has_spoken && now - rank.rank_heard > rules.silence_limit) {
    return FailedBySilence(rank, "its process", now - rank.rank_heard);
  }
  if (!rank.has_spoken && now - view.formed_at > rules.start_limit) {
    return FailedBySilence(rank, "its process since the start",
                           now - view.formed_at);
  }
  return std::nullopt;
}

Verdict JudgeEnd(const GroupView& view) {
  if (view.ending == v1::LeaseStepsResponse::SAVE_AND_STOP) {
    return Done{v1::CANCELLED};
  }
  if (view.step != view.total_steps) {
    return Failed{absl::StrCat("all ranks left with code 0 before the last "
                               "step was reported: step ",
                               view.step, " of ", view.total_steps),
                  base::kExitInternal};
  }
  if (view.checkpoint_step != view.total_steps) {
    return Failed{absl::StrCat("all ranks left with code 0 without a committed "
                               "checkpoint of the last step: the newest is of "
                               "step ",
                               view.checkpoint_step),
                  base::kExitInternal};
  }
  return Done{v1::SUCCEEDED};
}

}  // namespace

Verdict Judge(const GroupView& view, const VerdictRules& rules,
              absl::Duration now) {
  if (auto failed = JudgeExits(view, rules, now)) return *std::move(failed);
  bool all_left = true;
  for (const RankView& rank : view.ranks) {
    all_left = all_left && rank.exit.has_value();
    if (auto failed = JudgeSilence(rank, view, rules, now)) {
      return *std::move(failed);
    }
  }
  // Unexpected exits within the settle time were left aside above.
  if (!all_left || !Unexpected(view).empty()) return Stands{};
  return JudgeEnd(view);
}

}  // namespace varalign::coordinator
