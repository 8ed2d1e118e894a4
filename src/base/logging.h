// Log lines as JSON on standard error, one per step and per state change,
// nothing per example:
//
//   {"time":"2026-01-02T03:04:05.678Z","level":"info","role":"trainer",
//    "event":"step","run":"r-1","step":12,"loss":1.87}
//
// On a terminal the same fields as plain text. Thread safe. Text that came from
// users, data or peers is stripped of terminal escape bytes.
#ifndef VARALIGN_BASE_LOGGING_H_
#define VARALIGN_BASE_LOGGING_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace varalign::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Once, at the start of main. `role` is the program: "coordinator", ...
// `context` is added to every line (run, rank, generation).
void InitLogging(std::string_view role, LogLevel level,
                 const Json& context = Json::object());

using LogFields = std::initializer_list<std::pair<std::string_view, Json>>;

void LogDebug(std::string_view event, LogFields fields = {});
void LogInfo(std::string_view event, LogFields fields = {});
void LogWarning(std::string_view event, LogFields fields = {});
void LogError(std::string_view event, LogFields fields = {});

// `text` without terminal escape sequences and other control bytes; newlines
// and tabs stay. Bytes that are no UTF-8 become U+FFFD.
std::string StripControl(std::string_view text);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_LOGGING_H_
