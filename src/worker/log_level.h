// --log-level of both programs.
#ifndef VARALIGN_WORKER_LOG_LEVEL_H_
#define VARALIGN_WORKER_LOG_LEVEL_H_

#include <string>

#include "base/logging.h"

namespace varalign::worker {

// info for a word that is none.
inline base::LogLevel ParseLogLevel(const std::string& word) {
  if (word == "debug") return base::LogLevel::kDebug;
  if (word == "warning") return base::LogLevel::kWarning;
  if (word == "error") return base::LogLevel::kError;
  return base::LogLevel::kInfo;
}

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_LOG_LEVEL_H_
