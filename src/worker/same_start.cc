#include "worker/same_start.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/digest.h"
#include "base/exit_code.h"
#include "base/status_macros.h"

namespace varalign::worker {
namespace {

constexpr char kVerdictKey[] = "start/verdict";
constexpr char kSame[] = "same";
constexpr int64_t kBlockElements = int64_t{1} << 24;
constexpr size_t kShownDigits = 8;

struct Part {
  const char* name;
  std::string StartState::* digest;
};
constexpr Part kParts[] = {{"data set", &StartState::dataset},
                           {"held-out data set", &StartState::evaluation},
                           {"model parameters", &StartState::parameters}};

std::string KeyOf(uint32_t rank) { return absl::StrCat("start/", rank); }

std::string ToText(const StartState& state) {
  return absl::StrJoin(
      {state.host, state.dataset, state.evaluation, state.parameters}, "\n");
}

absl::StatusOr<StartState> FromText(const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (lines.size() != 4) {
    return absl::InternalError("a rank says not what it starts from");
  }
  return StartState{lines[0], lines[1], lines[2], lines[3]};
}

// Nothing where all ranks have one digest.
std::string DifferenceIn(const Part& part,
                         const std::vector<StartState>& ranks) {
  std::map<std::string, std::vector<std::string>> holders;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const std::string& digest = ranks[rank].*part.digest;
    holders[digest.empty() ? "none" : digest.substr(0, kShownDigits)].push_back(
        absl::StrCat("rank ", rank, " (", ranks[rank].host, ")"));
  }
  if (holders.size() < 2) return "";
  std::vector<std::string> values;
  for (const auto& [digest, names] : holders) {
    values.push_back(absl::StrCat(digest, " on ", absl::StrJoin(names, ", ")));
  }
  return absl::StrCat(part.name, ": ", absl::StrJoin(values, "; "));
}

absl::StatusOr<std::string> Compare(const StartState& own, uint32_t world_size,
                                    absl::Duration timeout,
                                    collective::Rendezvous& rendezvous) {
  std::vector<StartState> ranks = {own};
  for (uint32_t rank = 1; rank < world_size; ++rank) {
    ASSIGN_OR_RETURN(const std::string text,
                     rendezvous.Get(KeyOf(rank), timeout));
    ASSIGN_OR_RETURN(StartState state, FromText(text));
    ranks.push_back(std::move(state));
  }
  const std::string difference = DifferenceAmong(ranks);
  return difference.empty() ? kSame : difference;
}

}  // namespace

std::string DigestOf(const at::Tensor& flat) {
  base::Xxh3Stream digest;
  for (int64_t at = 0; at < flat.numel(); at += kBlockElements) {
    const at::Tensor block =
        flat.detach()
            .narrow(0, at, std::min(kBlockElements, flat.numel() - at))
            .cpu();
    digest.Update(std::string_view(static_cast<const char*>(block.data_ptr()),
                                   block.nbytes()));
  }
  return digest.Finish();
}

std::string DigestOf(const model::Parameters& parameters) {
  const std::string trained = DigestOf(parameters.flat);
  if (!parameters.base.defined()) return trained;
  return base::Xxh3(absl::StrCat(DigestOf(parameters.base), trained));
}

std::string DifferenceAmong(const std::vector<StartState>& ranks) {
  std::vector<std::string> differences;
  for (const Part& part : kParts) {
    std::string difference = DifferenceIn(part, ranks);
    if (!difference.empty()) differences.push_back(std::move(difference));
  }
  return absl::StrJoin(differences, ". ");
}

absl::Status ProveSameStart(const StartState& state, uint32_t rank,
                            uint32_t world_size, absl::Duration timeout,
                            collective::Rendezvous& rendezvous) {
  std::string verdict;
  if (rank == 0) {
    ASSIGN_OR_RETURN(verdict, Compare(state, world_size, timeout, rendezvous));
    RETURN_IF_ERROR(rendezvous.Set(kVerdictKey, verdict));
  } else {
    RETURN_IF_ERROR(rendezvous.Set(KeyOf(rank), ToText(state)));
    ASSIGN_OR_RETURN(verdict, rendezvous.Get(kVerdictKey, timeout));
  }
  if (verdict == kSame) return absl::OkStatus();
  return base::WithExitCode(
      absl::FailedPreconditionError(absl::StrCat(
          "the ranks do not start from the same files; give all hosts the same "
          "data set and model under the paths of the configuration. ",
          verdict)),
      base::kExitBadData);
}

}  // namespace varalign::worker
