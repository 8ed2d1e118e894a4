// In which keys two configurations differ.
#ifndef VARALIGN_CONFIG_DIFFERENCE_H_
#define VARALIGN_CONFIG_DIFFERENCE_H_

#include <string>
#include <vector>

#include "varalign/v1/run_config.pb.h"

namespace varalign::config {

// "train.learning_rate is 2e-06, not 1e-05", in the order of the proto: values
// of `kept`, then those of `given`. Pure.
std::vector<std::string> Differences(const v1::RunConfig& kept,
                                     const v1::RunConfig& given);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_DIFFERENCE_H_
