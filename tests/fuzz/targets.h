// What is fuzzed: every reader of bytes that somebody else wrote. A target
// reads its bytes as one such input; besides not crashing and not running away,
// what it accepts must keep its promises, or it ends the process.
//
// Each target is run in two ways: over its corpus and seeded mutations of it in
// every test run (corpus_test.cc), and by libFuzzer with sanitizers in the long
// tier (fuzz_main.cc).
#ifndef VARALIGN_TESTS_FUZZ_TARGETS_H_
#define VARALIGN_TESTS_FUZZ_TARGETS_H_

#include <string_view>

namespace varalign::fuzz {

void AdapterConfig(std::string_view bytes);
void ChatTemplate(std::string_view bytes);
void Json(std::string_view bytes);
void Manifest(std::string_view bytes);
void ModelIndex(std::string_view bytes);
void RewardRequest(std::string_view bytes);
void Row(std::string_view bytes);
void RowFile(std::string_view bytes);
void RunConfig(std::string_view bytes);
void Safetensors(std::string_view bytes);
void TokenizerFile(std::string_view bytes);

// `name` is the folder of the target's corpus.
struct NamedTarget {
  const char* name;
  void (*run)(std::string_view bytes);
};
inline constexpr NamedTarget kTargets[] = {
    {"adapter_config", AdapterConfig},
    {"chat_template", ChatTemplate},
    {"json", Json},
    {"manifest", Manifest},
    {"model_index", ModelIndex},
    {"reward_request", RewardRequest},
    {"row", Row},
    {"row_file", RowFile},
    {"run_config", RunConfig},
    {"safetensors", Safetensors},
    {"tokenizer_file", TokenizerFile},
};

}  // namespace varalign::fuzz

#endif  // VARALIGN_TESTS_FUZZ_TARGETS_H_
