#include "worker/rank_flags.h"

#include <functional>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/exit_code.h"
#include "base/status_macros.h"

namespace varalign::worker {
namespace {

using Target = std::variant<std::string*, uint32_t*, uint64_t*, int64_t*,
                            std::vector<std::string>*>;

struct Flag {
  const char* name;
  Target target;
};

// The list.
std::vector<Flag> FlagsOf(RankFlags& flags) {
  return {{"coordinator", &flags.coordinator},
          {"reward-server", &flags.reward_servers},
          {"run", &flags.run_id},
          {"incarnation", &flags.incarnation},
          {"generation", &flags.generation},
          {"rank", &flags.rank},
          {"world", &flags.world_size},
          {"ranks-on-host", &flags.ranks_on_host},
          {"parent-pid", &flags.parent_pid},
          {"metrics", &flags.metrics},
          {"metrics-address-file", &flags.metrics_address_file},
          {"log-level", &flags.log_level}};
}

absl::Status UsageError(const std::string& message) {
  return base::WithExitCode(
      absl::InvalidArgumentError(absl::StrCat(
          message,
          " (varalign-trainer is started by varalign-worker, not by hand)")),
      base::kExitUsage);
}

struct Print {
  std::string operator()(const std::string* value) const { return *value; }
  std::string operator()(const std::vector<std::string>* values) const {
    return absl::StrJoin(*values, ",");
  }
  template <typename Number>
  std::string operator()(const Number* value) const {
    return absl::StrCat(*value);
  }
};

struct Parse {
  absl::string_view text;

  bool operator()(std::string* value) const {
    *value = std::string(text);
    return true;
  }
  bool operator()(std::vector<std::string>* values) const {
    *values = absl::StrSplit(text, ',', absl::SkipEmpty());
    return true;
  }
  template <typename Number>
  bool operator()(Number* value) const {
    return absl::SimpleAtoi(text, value);
  }
};

}  // namespace

std::vector<std::string> ToArguments(const RankFlags& flags) {
  RankFlags copy = flags;
  std::vector<std::string> arguments;
  for (const Flag& flag : FlagsOf(copy)) {
    arguments.push_back(
        absl::StrCat("--", flag.name, "=", std::visit(Print(), flag.target)));
  }
  return arguments;
}

absl::StatusOr<RankFlags> ParseRankFlags(
    std::span<const char* const> arguments) {
  RankFlags flags;
  const std::vector<Flag> known = FlagsOf(flags);
  for (const char* argument : arguments) {
    bool found = false;
    for (const Flag& flag : known) {
      const std::string prefix = absl::StrCat("--", flag.name, "=");
      if (!absl::StartsWith(argument, prefix)) continue;
      found = true;
      const absl::string_view text =
          absl::string_view(argument).substr(prefix.size());
      if (!std::visit(Parse{text}, flag.target)) {
        return UsageError(absl::StrCat("not a number: ", argument));
      }
    }
    if (!found) return UsageError(absl::StrCat("unknown argument: ", argument));
  }
  if (flags.coordinator.empty() || flags.run_id.empty()) {
    return UsageError("--coordinator and --run are required");
  }
  if (flags.rank >= flags.world_size || flags.ranks_on_host == 0) {
    return UsageError(absl::StrCat("no such rank: --rank=", flags.rank,
                                   " --world=", flags.world_size));
  }
  return flags;
}

}  // namespace varalign::worker
