// Whether a reward model can read the ids of a data set. Torch-free.
#ifndef VARALIGN_DATA_REWARD_TOKENIZER_H_
#define VARALIGN_DATA_REWARD_TOKENIZER_H_

#include <filesystem>

#include "absl/status/status.h"
#include "varalign/v1/dataset.pb.h"

namespace varalign::data {

// The reward model in `model` can read the data set's ids: they are in its own
// view, or its tokenizer is the policy's. Not told where either is unknown.
//   FailedPrecondition   (exit code 65) its tokenizer is another one
absl::Status CheckRewardTokenizer(const v1::DatasetManifest& manifest,
                                  const std::filesystem::path& model);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_REWARD_TOKENIZER_H_
