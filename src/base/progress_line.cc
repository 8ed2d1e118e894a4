#include "base/progress_line.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace varalign::base {
namespace {

constexpr absl::Duration kQuietFor = absl::Seconds(2);
constexpr absl::Duration kRedrawEvery = absl::Milliseconds(100);
constexpr absl::Duration kLogEvery = absl::Seconds(30);
constexpr double kMebibyte = 1 << 20;

// A count in the unit that is shown: bytes as MiB with one decimal.
std::string Count(double count, bool bytes) {
  return bytes ? absl::StrFormat("%.1f", count / kMebibyte)
               : absl::StrFormat("%.0f", count);
}

std::string Rate(double rate, bool bytes) {
  return absl::StrFormat("%.1f", bytes ? rate / kMebibyte : rate);
}

std::string TimeLeft(const ProgressView& view, double rate) {
  const double left =
      static_cast<double>(view.total - std::min(view.done, view.total));
  const absl::Duration time = absl::Seconds(std::ceil(left / rate));
  return absl::StrCat(", ", absl::FormatDuration(time), " left");
}

}  // namespace

std::string ProgressLine(const ProgressView& view) {
  const bool bytes = view.unit == "bytes";
  const std::string unit = bytes ? "MiB" : view.unit;
  const auto done = static_cast<double>(view.done);
  const auto total = static_cast<double>(view.total);
  const double seconds = absl::ToDoubleSeconds(view.elapsed);
  const double rate = seconds > 0 ? done / seconds : 0;

  std::string line = absl::StrCat(view.activity, " ", Count(done, bytes));
  if (view.total > 0) absl::StrAppend(&line, "/", Count(total, bytes));
  absl::StrAppend(&line, " ", unit);
  if (view.total > 0) {
    absl::StrAppendFormat(&line, " %.0f%%", std::floor(100 * done / total));
  }
  absl::StrAppend(&line, ", ", Rate(rate, bytes), " ", unit, "/s");
  if (view.total > 0 && rate > 0) absl::StrAppend(&line, TimeLeft(view, rate));
  return line;
}

bool ProgressPace::Due(absl::Duration elapsed) {
  if (screen_ == ProgressScreen::kNone) return false;
  const absl::Duration interval =
      screen_ == ProgressScreen::kTerminal ? kRedrawEvery : kLogEvery;
  // A terminal shows its bar once the work has proved long; a log gets its
  // first line after a whole interval.
  const absl::Duration first =
      screen_ == ProgressScreen::kTerminal ? kQuietFor : kLogEvery;
  if (elapsed < (last_ ? *last_ + interval : first)) return false;
  last_ = elapsed;
  return true;
}

bool ProgressPace::DueAtEnd(absl::Duration elapsed) const {
  return screen_ != ProgressScreen::kNone && elapsed >= kQuietFor;
}

}  // namespace varalign::base
