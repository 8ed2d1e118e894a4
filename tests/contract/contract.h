// The contract of a process group, as cases that every implementation runs.
#ifndef VARALIGN_TESTS_CONTRACT_CONTRACT_H_
#define VARALIGN_TESTS_CONTRACT_CONTRACT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "collective/process_group.h"

namespace varalign::collective {

// Called on every rank of a fresh group alike; an error says what differs from
// the contract. A case may be called from a thread of its own per rank.
struct ContractCase {
  std::string name;
  std::function<absl::Status(ProcessGroup&)> run;
};

const std::vector<ContractCase>& ContractCases();

// Runs `body` on every rank of `size`, each on a thread of its own, and returns
// the results by rank.
std::vector<absl::Status> OnEveryRank(
    int size, const std::function<absl::Status(int rank)>& body);

}  // namespace varalign::collective

#endif  // VARALIGN_TESTS_CONTRACT_CONTRACT_H_
