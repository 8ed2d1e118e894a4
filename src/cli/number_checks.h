// Bounds of numbers on the command line. CLI11's own name the largest double
// with all its digits.
#ifndef VARALIGN_CLI_NUMBER_CHECKS_H_
#define VARALIGN_CLI_NUMBER_CHECKS_H_

#include <cmath>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace varalign::cli {

// "must be a number above 0, got -1".
inline CLI::Validator AboveZero() {
  return CLI::Validator(
      [](const std::string& text) {
        double value = 0;
        const bool is_good =
            absl::SimpleAtod(text, &value) && std::isfinite(value) && value > 0;
        return is_good ? std::string()
                       : absl::StrCat("must be a number above 0, got ", text);
      },
      "above 0");
}

// "must be 0 or a number above it, got -1".
inline CLI::Validator ZeroOrAbove() {
  return CLI::Validator(
      [](const std::string& text) {
        double value = 0;
        const bool is_good = absl::SimpleAtod(text, &value) &&
                             std::isfinite(value) && value >= 0;
        return is_good
                   ? std::string()
                   : absl::StrCat("must be 0 or a number above it, got ", text);
      },
      "0 or above");
}

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_NUMBER_CHECKS_H_
