// Bounds of numbers on the command line. CLI11's own name the largest double
// with all its digits.
#ifndef VARALIGN_CLI_NUMBER_CHECKS_H_
#define VARALIGN_CLI_NUMBER_CHECKS_H_

#include <cmath>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace varalign::cli {

// Refuses all but finite numbers that is_good accepts: "MUST_BE, got TEXT".
inline CLI::Validator NumberCheck(bool (*is_good)(double), std::string must_be,
                                  std::string name) {
  return CLI::Validator(
      [is_good, must_be = std::move(must_be)](const std::string& text) {
        double value = 0;
        return absl::SimpleAtod(text, &value) && std::isfinite(value) &&
                       is_good(value)
                   ? std::string()
                   : absl::StrCat(must_be, ", got ", text);
      },
      std::move(name));
}

// "must be a number above 0, got -1".
inline CLI::Validator AboveZero() {
  return NumberCheck([](double value) { return value > 0; },
                     "must be a number above 0", "above 0");
}

// "must be 0 or a number above it, got -1".
inline CLI::Validator ZeroOrAbove() {
  return NumberCheck([](double value) { return value >= 0; },
                     "must be 0 or a number above it", "0 or above");
}

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_NUMBER_CHECKS_H_
