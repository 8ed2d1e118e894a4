#include "absl/time/time.h"
#include "base/json.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/targets.h"
#include "text/chat_template.h"

namespace varalign::fuzz {

void ChatTemplate(std::string_view bytes) {
  const auto compiled = text::ChatTemplate::Compile(bytes);
  if (!compiled.ok()) return;
  static const auto* const variables = new base::Json(base::Json::parse(R"({
      "messages":[{"role":"system","content":"Be brief."},
                  {"role":"user","content":"Hello"},
                  {"role":"assistant","content":"Hi"}],
      "add_generation_prompt":true,"bos_token":"<s>","eos_token":"</s>"})"));
  const auto rendered =
      compiled->Render(*variables, absl::FromUnixSeconds(1'767'323'045));
  Require(!rendered.ok() || rendered->size() <= (16u << 20),
          "a rendering is bounded");
}

}  // namespace varalign::fuzz
