#include "text/chat_template.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "text/ffi.h"
#include "text/foreign_text.h"

namespace varalign::text {
namespace {

constexpr size_t kMaxSourceBytes = 64u << 10;
constexpr uint64_t kFuel = 1'000'000;
constexpr size_t kMaxOutputBytes = 16u << 20;

// Seconds since 1970 as a local clock on the wall counts them.
int64_t LocalSeconds(absl::Time now) {
  const absl::CivilSecond local =
      absl::ToCivilSecond(now, absl::LocalTimeZone());
  return local - absl::CivilSecond(1970);
}

}  // namespace

void ChatTemplate::Free::operator()(VaralignTemplate* handle) const {
  varalign_template_free(handle);
}

absl::StatusOr<ChatTemplate> ChatTemplate::Compile(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("chat template: longer than the limit of ",
                     kMaxSourceBytes, " bytes: ", source.size()));
  }
  VaralignTemplate* handle = nullptr;
  VaralignText error{};
  const int32_t code = varalign_template_new(View(source), kFuel,
                                             kMaxOutputBytes, &handle, &error);
  if (code != VARALIGN_TEXT_OK) {
    return ForeignStatus(code, "chat template", error);
  }
  return ChatTemplate(Handle(handle));
}

absl::StatusOr<std::string> ChatTemplate::Render(const base::Json& variables,
                                                 absl::Time now) const {
  const std::string json = base::DumpJson(variables);
  VaralignText rendered{};
  VaralignText error{};
  const int32_t code = varalign_template_render(
      handle_.get(), View(json), LocalSeconds(now), &rendered, &error);
  if (code != VARALIGN_TEXT_OK) {
    return ForeignStatus(code, "chat template", error);
  }
  return Take(rendered);
}

}  // namespace varalign::text
