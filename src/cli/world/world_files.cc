#include "cli/world/world_files.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "checkpoint/model_directory.h"
#include "cli/world/language_world.h"
#include "cli/world/world_models.h"
#include "model/model_config.h"
#include "model/score.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr uint32_t kUnknown = 0, kBos = 1, kEos = 2;

Json SpecialToken(uint32_t id, const char* content) {
  return {{"id", id},        {"content", content}, {"single_word", false},
          {"lstrip", false}, {"rstrip", false},    {"normalized", false},
          {"special", true}};
}

Json TokenizerJson() {
  const std::vector<std::string> words = WorldVocabulary();
  Json vocabulary = Json::object();
  for (size_t id = 0; id < words.size(); ++id) vocabulary[words[id]] = id;
  const Json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const auto sequence = [](const char* name) {
    return Json{{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {SpecialToken(kUnknown, "<unk>"), SpecialToken(kBos, "<s>"),
        SpecialToken(kEos, "</s>")}},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", Json::array({bos, sequence("A")})},
        {"pair", Json::array({bos, sequence("A"), sequence("B")})},
        {"special_tokens",
         {{"<s>",
           {{"id", "<s>"},
            {"ids", Json::array({kBos})},
            {"tokens", Json::array({"<s>"})}}}}}}},
      {"decoder", nullptr},
      {"model",
       {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "<unk>"}}}};
}

Json ConfigJson(bool reward) {
  Json config = {
      {"architectures", Json::array({reward ? "LlamaForSequenceClassification"
                                            : "LlamaForCausalLM"})},
      {"model_type", "llama"},
      {"hidden_size", 64},
      {"intermediate_size", 128},
      {"num_hidden_layers", 2},
      {"num_attention_heads", 4},
      {"num_key_value_heads", 2},
      {"hidden_act", "silu"},
      {"max_position_embeddings", 32},
      {"rms_norm_eps", 1e-5},
      {"rope_theta", 10000.0},
      {"tie_word_embeddings", !reward},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"vocab_size", WorldVocabulary().size()},
      {"bos_token_id", kBos},
      {"eos_token_id", kEos},
      {"torch_dtype", "float32"}};
  if (reward) {
    config["id2label"] = {{"0", "LABEL_0"}};
    config["label2id"] = {{"LABEL_0", 0}};
    config["num_labels"] = 1;
    config["pad_token_id"] = kUnknown;
  }
  return config;
}

// A directory with all but the weights, which WriteModelDirectory copies from.
absl::Status WriteSource(const fs::path& directory, bool reward) {
  RETURN_IF_ERROR(base::CreateDirectories(directory));
  RETURN_IF_ERROR(base::WriteFileAtomically(
      directory / "config.json", base::DumpJsonPretty(ConfigJson(reward))));
  RETURN_IF_ERROR(base::WriteFileAtomically(
      directory / "tokenizer.json", base::DumpJsonPretty(TokenizerJson())));
  const Json tokenizer_config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                 {"bos_token", "<s>"},
                                 {"eos_token", "</s>"},
                                 {"unk_token", "<unk>"},
                                 {"add_bos_token", true},
                                 {"model_max_length", 32}};
  return base::WriteFileAtomically(directory / "tokenizer_config.json",
                                   base::DumpJsonPretty(tokenizer_config));
}

// The ids that `varalign prepare` gives these words: the tokenizer is a table.
std::vector<uint32_t> IdsOf(const std::string& text) {
  static_assert(kBos == 1);
  std::map<std::string, uint32_t> ids;
  for (const std::string& word : WorldVocabulary()) {
    ids.emplace(word, static_cast<uint32_t>(ids.size()));
  }
  std::vector<uint32_t> result;
  for (const auto word : absl::StrSplit(text, ' ')) {
    result.push_back(ids.at(std::string(word)));
  }
  return result;
}

using ValueOf = double (*)(const WorldPrompt&, const WorldResponse&);

std::vector<WorldTarget> TargetsFor(ValueOf value) {
  std::vector<WorldTarget> targets;
  for (const WorldPrompt& prompt : WorldPrompts()) {
    WorldTarget target;
    target.prompt = {kBos};
    for (const uint32_t id :
         IdsOf(absl::StrCat("Human: ", prompt.text, " Assistant:"))) {
      target.prompt.push_back(id);
    }
    for (const WorldResponse& response : WorldResponses()) {
      target.responses.push_back(IdsOf(response.text));
      target.responses.back().push_back(kEos);
      target.values.push_back(value(prompt, response));
    }
    targets.push_back(std::move(target));
  }
  return targets;
}

std::vector<model::Sequence> SequencesOf(
    const std::vector<WorldTarget>& targets) {
  std::vector<model::Sequence> sequences;
  for (const WorldTarget& target : targets) {
    for (const auto& response : target.responses) {
      sequences.push_back({target.prompt, response});
    }
  }
  return sequences;
}

std::vector<double> ValuesOf(const std::vector<WorldTarget>& targets) {
  std::vector<double> values;
  for (const WorldTarget& target : targets) {
    values.insert(values.end(), target.values.begin(), target.values.end());
  }
  return values;
}

// Mean over prompts of KL(known reference || fitted model), in nats.
absl::StatusOr<double> ReferenceKl(const model::Parameters& policy,
                                   const std::vector<WorldTarget>& targets) {
  ASSIGN_OR_RETURN(const auto logps,
                   model::LogProbs(policy, SequencesOf(targets)));
  const std::vector<double> known = ValuesOf(targets);
  double kl = 0;
  for (size_t i = 0; i < known.size(); ++i) {
    kl += known[i] * (std::log(known[i]) - logps[i].sum);
  }
  return kl / static_cast<double>(targets.size());
}

absl::StatusOr<double> RewardRmse(const model::Parameters& reward,
                                  const std::vector<WorldTarget>& targets) {
  ASSIGN_OR_RETURN(const std::vector<double> rewards,
                   model::Rewards(reward, SequencesOf(targets)));
  const std::vector<double> known = ValuesOf(targets);
  double squares = 0;
  for (size_t i = 0; i < known.size(); ++i) {
    squares += (rewards[i] - known[i]) * (rewards[i] - known[i]);
  }
  return std::sqrt(squares / static_cast<double>(known.size()));
}

absl::Status WriteModel(const fs::path& out, const std::string& name,
                        const model::Parameters& parameters) {
  const std::vector<model::NamedTensor> tensors =
      model::HuggingFaceTensors(parameters);
  RETURN_IF_ERROR(checkpoint::WriteModelDirectory(
                      out / name, tensors, {.source = out / "source" / name})
                      .status());
  return absl::OkStatus();
}

enum class Part { kTraining, kHeldOut, kAllWithRewards };

std::string GroupLines(Part part) {
  std::string lines;
  for (const WorldPrompt& prompt : WorldPrompts()) {
    if (part == Part::kTraining && prompt.held_out) continue;
    if (part == Part::kHeldOut && !prompt.held_out) continue;
    Json row = {{"messages",
                 Json::array({{{"role", "user"}, {"content", prompt.text}}})},
                {"responses", Json::array()}};
    if (part == Part::kAllWithRewards) row["rewards"] = Json::array();
    for (const WorldResponse& response : WorldResponses()) {
      row["responses"].push_back(response.text);
      if (part == Part::kAllWithRewards) {
        row["rewards"].push_back(WorldReward(prompt, response));
      }
    }
    absl::StrAppend(&lines, base::DumpJson(row), "\n");
  }
  return lines;
}

absl::Status FitAndWrite(const fs::path& out, base::ProgressScreen screen,
                         Json& summary) {
  ASSIGN_OR_RETURN(const model::ModelConfig policy_config,
                   model::ReadModelConfig(out / "source" / "policy"));
  const std::vector<WorldTarget> references = TargetsFor(WorldReference);
  ASSIGN_OR_RETURN(const model::Parameters policy,
                   FitPolicy(policy_config, references, screen));
  RETURN_IF_ERROR(WriteModel(out, "policy", policy));
  ASSIGN_OR_RETURN(const double kl, ReferenceKl(policy, references));

  ASSIGN_OR_RETURN(const model::ModelConfig reward_config,
                   model::ReadModelConfig(out / "source" / "reward"));
  const std::vector<WorldTarget> rewards = TargetsFor(WorldReward);
  ASSIGN_OR_RETURN(const model::Parameters reward,
                   FitReward(reward_config, rewards, screen));
  RETURN_IF_ERROR(WriteModel(out, "reward", reward));
  ASSIGN_OR_RETURN(const double rmse, RewardRmse(reward, rewards));
  summary = {{"version", 1},
             {"prompts", rewards.size()},
             {"responses", rewards.front().responses.size()},
             {"reference_kl", kl},
             {"reward_rmse", rmse}};
  return absl::OkStatus();
}

}  // namespace

absl::Status MakeWorld(const fs::path& out, base::ProgressScreen screen) {
  std::error_code ignored;
  if (fs::exists(out / "complete.json", ignored)) {
    return base::WithExitCode(
        absl::AlreadyExistsError(absl::StrCat(
            "there is a world already; remove it first: ", out.string())),
        base::kExitCannotCreate);
  }
  // What an interrupted call left is made again.
  for (const char* part : {"source", "policy", "reward"}) {
    fs::remove_all(out / part, ignored);
  }
  RETURN_IF_ERROR(WriteSource(out / "source" / "policy", /*reward=*/false));
  RETURN_IF_ERROR(WriteSource(out / "source" / "reward", /*reward=*/true));
  Json summary;
  RETURN_IF_ERROR(FitAndWrite(out, screen, summary));
  fs::remove_all(out / "source", ignored);
  RETURN_IF_ERROR(base::WriteFileAtomically(out / "train.jsonl",
                                            GroupLines(Part::kTraining)));
  RETURN_IF_ERROR(base::WriteFileAtomically(out / "heldout.jsonl",
                                            GroupLines(Part::kHeldOut)));
  RETURN_IF_ERROR(base::WriteFileAtomically(out / "known_rewards.jsonl",
                                            GroupLines(Part::kAllWithRewards)));
  return base::WriteFileAtomically(out / "complete.json",
                                   base::DumpJsonPretty(summary));
}

}  // namespace varalign::cli
