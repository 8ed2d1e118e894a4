// libtorch throws; we do not. Every thread that calls torch has one boundary.
#ifndef VARALIGN_BASE_EXCEPTION_BOUNDARY_H_
#define VARALIGN_BASE_EXCEPTION_BOUNDARY_H_

#include <exception>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace varalign::base {

// Runs `body`, which returns absl::Status or absl::StatusOr<T>, and turns an
// exception into a status: bad_alloc ResourceExhausted, others Internal with
// the first line of the exception's text.
template <typename Body>
auto CatchExceptions(Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& error) {
    // libtorch appends a backtrace: the first line is the message.
    const absl::string_view text = error.what();
    return absl::InternalError(
        absl::StrCat("exception: ", text.substr(0, text.find('\n'))));
  }
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_EXCEPTION_BOUNDARY_H_
