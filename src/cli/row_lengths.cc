#include "cli/row_lengths.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace varalign::cli {
namespace {

constexpr double kAlwaysAllowed = 0.5;

double Share(const RowLengths& lengths) {
  return static_cast<double>(lengths.num_too_long) /
         static_cast<double>(lengths.num_rows);
}

}  // namespace

std::string TooLongText(const RowLengths& lengths) {
  if (lengths.num_too_long == 0) return "";
  return absl::StrFormat(
      "%d of %d rows (%.*f %%) are too long for %d tokens and left out; a "
      "model with more positions takes them, or a higher --max-length where "
      "one was given",
      lengths.num_too_long, lengths.num_rows, Share(lengths) < 0.01 ? 2 : 0,
      100 * Share(lengths), lengths.limit);
}

absl::Status CheckLengths(const RowLengths& lengths, double max_bad_fraction) {
  if (lengths.num_too_long == 0 ||
      Share(lengths) <= std::max(kAlwaysAllowed, max_bad_fraction)) {
    return absl::OkStatus();
  }
  // Upwards, so that what is advised is enough.
  const double enough = std::ceil(100 * Share(lengths)) / 100;
  return absl::InvalidArgumentError(
      absl::StrCat(TooLongText(lengths), "; --max-bad-fraction ", enough,
                   " goes on without them"));
}

}  // namespace varalign::cli
