// How the rows of a step are cut into micro-batches and what they cost, from
// their lengths alone: training cuts so, and `varalign plan` foretells it.
// Torch-free, pure.
#ifndef VARALIGN_DATA_MICRO_BATCHES_H_
#define VARALIGN_DATA_MICRO_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/packed_layout.h"
#include "data/dataset.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::data {

// Has the example a chosen and a rejected response?
bool HasPair(const ExampleView& example);

// Is this row trained? Under kind dpo, rows with a role of an example with a
// pair. Under train_on: chosen, rows with that role; all rows of
// an example without roles.
bool IsTrained(const ExampleView& example, size_t response,
               const v1::Objective& rule);

// A prompt with responses, in tokens.
struct BlockLengths {
  uint64_t prompt = 0;              // >= 1
  std::vector<uint64_t> responses;  // each >= 1
};

// The rows of an example that are trained; perhaps none.
BlockLengths TrainedLengths(const ExampleView& example,
                            const v1::Objective& rule);

// What is computed of the rows: tokens, and pairs of a token with one that it
// attends to, counted without causality (n^2 of a sequence of n).
struct BlockWork {
  uint64_t tokens = 0;
  double pairs = 0;
};
BlockWork WorkOf(const BlockLengths& block, base::PromptSharing sharing);

// The cost of an example for the rank that gets it. Only the balance between
// ranks depends on it.
double CostOf(const BlockWork& work);

// Cuts pieces into micro-batches of at most `budget_tokens` each, in order; a
// piece above the budget is alone. Returns the index of the first piece of
// each.
std::vector<size_t> CutMicroBatches(std::span<const uint64_t> piece_tokens,
                                    uint64_t budget_tokens);

// Cuts the responses of a block, in order, into blocks of at most
// `budget_tokens` computed tokens each, of one response at least. Returns the
// index of the first response of each.
std::vector<size_t> CutBlock(const BlockLengths& block, uint64_t budget_tokens);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_MICRO_BATCHES_H_
