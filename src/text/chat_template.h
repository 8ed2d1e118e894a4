// A Jinja chat template, compiled once, rendered as transformers renders it.
#ifndef VARALIGN_TEXT_CHAT_TEMPLATE_H_
#define VARALIGN_TEXT_CHAT_TEMPLATE_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/json.h"

struct VaralignTemplate;  // text/ffi.h

namespace varalign::text {

// Immutable; any thread. A rendering is bounded in steps (10^6) and in output
// (16 MiB): the template comes with a downloaded model.
class ChatTemplate {
 public:
  // InvalidArgument for a source that is longer than 64 KiB or does not parse.
  static absl::StatusOr<ChatTemplate> Compile(std::string_view source);

  // `variables` is the object of names that the template sees: messages,
  // add_generation_prompt, bos_token, ... `now` is what strftime_now shows, in
  // local time. InvalidArgument with the template's own message if it raises
  // or runs into a limit.
  absl::StatusOr<std::string> Render(const base::Json& variables,
                                     absl::Time now) const;

 private:
  struct Free {
    void operator()(VaralignTemplate* handle) const;
  };
  using Handle = std::unique_ptr<VaralignTemplate, Free>;
  explicit ChatTemplate(Handle handle) : handle_(std::move(handle)) {}

  Handle handle_;
};

}  // namespace varalign::text

#endif  // VARALIGN_TEXT_CHAT_TEMPLATE_H_
