// libtorch throws; we do not. Every thread that calls torch has one boundary.
#ifndef VARALIGN_BASE_EXCEPTION_BOUNDARY_H_
#define VARALIGN_BASE_EXCEPTION_BOUNDARY_H_

#include <exception>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varalign::base {

// Runs `body`, which returns absl::Status or absl::StatusOr<T>, and turns an
// exception into a status: bad_alloc ResourceExhausted, others Internal with
// the exception's text.
template <typename Body>
auto CatchExceptions(Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("exception: ", error.what()));
  }
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_EXCEPTION_BOUNDARY_H_
