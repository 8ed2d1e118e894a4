// Makes an example fit the length limits of the models that will read it.
#ifndef VARALIGN_CLI_PREPARE_FIT_H_
#define VARALIGN_CLI_PREPARE_FIT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/prepare_encoder.h"
#include "data/parsed_example.h"

namespace varalign::cli {

struct FittedExample {
  // What is left of it: later turns of the prompt, responses that fit.
  data::ParsedExample example;
  std::vector<EncodedExample> views;  // one for each encoder
  uint32_t num_turns_cut = 0;
  uint32_t num_responses_cut = 0;
};

// Cuts turns from the left of the prompt, as few as will do, and keeps a system
// turn; leaves out responses that do not fit even then. OutOfRange if fewer
// than two of several responses would be left; InvalidArgument as
// ExampleEncoder::Encode.
absl::StatusOr<FittedExample> FitExample(
    std::span<const ExampleEncoder* const> encoders,
    data::ParsedExample example);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PREPARE_FIT_H_
