// Early return on a status that is not ok.
//
//   RETURN_IF_ERROR(file.Sync());
//   ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
#ifndef VARALIGN_BASE_STATUS_MACROS_H_
#define VARALIGN_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expression)                   \
  do {                                                \
    if (absl::Status varalign_status_ = (expression); \
        !varalign_status_.ok()) {                     \
      return varalign_status_;                        \
    }                                                 \
  } while (false)

#define VARALIGN_CONCAT_INNER(a, b) a##b
#define VARALIGN_CONCAT(a, b) VARALIGN_CONCAT_INNER(a, b)

#define ASSIGN_OR_RETURN(declaration, expression)                    \
  VARALIGN_ASSIGN_OR_RETURN(VARALIGN_CONCAT(varalign_or_, __LINE__), \
                            declaration, expression)

#define VARALIGN_ASSIGN_OR_RETURN(name, declaration, expression) \
  auto name = (expression);                                      \
  if (!name.ok()) return std::move(name).status();               \
  declaration = *std::move(name)

#endif  // VARALIGN_BASE_STATUS_MACROS_H_
