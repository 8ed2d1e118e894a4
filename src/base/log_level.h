// The words of --log-level, alike in every program.
#ifndef VARALIGN_BASE_LOG_LEVEL_H_
#define VARALIGN_BASE_LOG_LEVEL_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/logging.h"

namespace varalign::base {

inline std::vector<std::string> LogLevelWords() {
  return {"debug", "info", "warning", "error"};
}

// kInfo for a word that is none: an option's check refuses it before.
inline LogLevel ParseLogLevel(std::string_view word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "warning") return LogLevel::kWarning;
  if (word == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_LOG_LEVEL_H_
