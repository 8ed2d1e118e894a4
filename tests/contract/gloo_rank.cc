// One rank of gloo_processes_test:
//
//   gloo_rank DIRECTORY RANK SIZE TIMEOUT_MS MEGABYTES
//
// Reduces MEGABYTES over and over until an error comes, leaves its code under
// the key "code-RANK", and then forms the next generation without the last
// rank.
#include <ATen/ATen.h>

#include <filesystem>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "collective/make_process_group.h"
#include "tests/contract/directory_rendezvous.h"

namespace varalign::collective {
namespace {

absl::Status Reduce(int64_t megabytes, ProcessGroup& group) {
  at::Tensor tensor = at::ones({megabytes << 18}, at::kFloat);
  RETURN_IF_ERROR(group.AllReduceSum(tensor));
  return tensor.eq(group.size()).all().item<bool>()
             ? absl::OkStatus()
             : absl::DataLossError("a sum is wrong");
}

absl::Status Run(const std::filesystem::path& directory,
                 const GroupOptions& options, int64_t megabytes) {
  DirectoryRendezvous results(directory / "results");
  DirectoryRendezvous first(directory / "generation-1");
  ASSIGN_OR_RETURN(std::unique_ptr<ProcessGroup> group,
                   MakeProcessGroup(Backend::kGloo, options, first));
  at::Tensor numbers = at::zeros({megabytes << 18}, at::kFloat);
  absl::Status status = Reduce(megabytes, *group);
  RETURN_IF_ERROR(
      results.Set(absl::StrCat("ready-", options.rank), status.ToString()));
  // Nothing else from here on: a peer that dies does so in the middle of it.
  while (status.ok()) status = group->AllReduceSum(numbers);
  numbers.reset();
  group.reset();
  RETURN_IF_ERROR(results.Set(absl::StrCat("code-", options.rank),
                              absl::StatusCodeToString(status.code())));

  GroupOptions fewer = options;
  --fewer.size;
  fewer.timeout = absl::Seconds(60);
  DirectoryRendezvous second(directory / "generation-2");
  ASSIGN_OR_RETURN(group, MakeProcessGroup(Backend::kGloo, fewer, second));
  for (int i = 0; i < 3; ++i) RETURN_IF_ERROR(Reduce(megabytes, *group));
  return group->Barrier();
}

int Main(char** argv) {
  GroupOptions options;
  int timeout_ms = 0;
  int64_t megabytes = 0;
  if (!absl::SimpleAtoi(argv[2], &options.rank) ||
      !absl::SimpleAtoi(argv[3], &options.size) ||
      !absl::SimpleAtoi(argv[4], &timeout_ms) ||
      !absl::SimpleAtoi(argv[5], &megabytes)) {
    return 2;
  }
  options.timeout = absl::Milliseconds(timeout_ms);
  const absl::Status status =
      base::CatchExceptions([&] { return Run(argv[1], options, megabytes); });
  if (!status.ok()) fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace varalign::collective

int main(int argc, char** argv) {
  return argc == 6 ? varalign::collective::Main(argv) : 2;
}
