#include "config/rules.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/adapter_modules.h"
#include "base/require.h"
#include "config/diagnostics.h"
#include "config/field_value.h"

namespace varalign::config {
namespace {

void CheckName(const v1::RunConfig& config, std::vector<Conflict>& conflicts) {
  const std::string& name = config.name();
  const bool good = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
  if (good && !name.empty() && name.size() <= 63) return;
  conflicts.push_back(
      {{"name"},
       absl::StrCat("expected 1 to 63 letters, digits, '.', '_' or '-', got ",
                    Quoted(name))});
}

// A global batch is a whole number of Z-blocks.
void CheckBlocks(const v1::RunConfig& config,
                 std::vector<Conflict>& conflicts) {
  const uint64_t batch = config.train().global_batch();
  const uint64_t block = config.objective().z().block();
  if (block == 0 || batch % block == 0) return;
  const uint64_t below = batch / block * block;
  conflicts.push_back(
      {{"train.global_batch", "objective.z.block"},
       absl::StrCat(
           batch, " is not a whole number of Z-blocks (objective.z.block = ",
           block, "); nearest: ", below == 0 ? "" : absl::StrCat(below, ", "),
           below + block)});
}

void CheckEval(const v1::RunConfig& config, std::vector<Conflict>& conflicts) {
  if (config.eval().interval_steps() == 0 || !config.eval().path().empty()) {
    return;
  }
  conflicts.push_back({{"eval.interval_steps", "eval.path"},
                       "there is nothing to evaluate; set eval.path or leave "
                       "the interval out"});
}

void CheckMoments(const v1::RunConfig& config,
                  std::vector<Conflict>& conflicts) {
  const auto check = [&](const char* path, double beta) {
    // At 1 a running mean never moves, and its correction divides by 0.
    if (beta == 1) conflicts.push_back({{path}, "must be < 1, got 1"});
  };
  check("train.beta1", config.train().beta1());
  check("train.beta2", config.train().beta2());
}

// What the adapter cannot have, and what there is to have without one.
void CheckLora(const v1::RunConfig& config, std::vector<Conflict>& conflicts) {
  const v1::LoraConfig& lora = config.train().lora();
  const auto modules = base::ParseAdapterModules(lora.target_modules());
  if (!modules.ok()) {
    conflicts.push_back({{"train.lora.target_modules"},
                         std::string(modules.status().message())});
  }
  if (lora.dropout() != 0) {
    conflicts.push_back({{"train.lora.dropout"},
                         "only 0 is supported, since a step draws no random "
                         "numbers; leave it out"});
  }
  if (lora.rank() > 0) {
    if (config.train().precision() == v1::TrainConfig::PRECISION_BF16) {
      conflicts.push_back({{"train.precision", "train.lora.rank"},
                           "an adapter is trained in fp32 or fp64 only; leave "
                           "precision out"});
    }
    if (!config.train().freeze().empty()) {
      conflicts.push_back({{"train.freeze", "train.lora.rank"},
                           "an adapter freezes the whole model; leave it out"});
    }
    return;
  }
  constexpr char kNoAdapter[] =
      "has no meaning without an adapter; set train.lora.rank above 0";
  if (lora.alpha() > 0) {
    conflicts.push_back({{"train.lora.alpha", "train.lora.rank"}, kNoAdapter});
  }
  if (!lora.adapter().empty()) {
    conflicts.push_back(
        {{"train.lora.adapter", "train.lora.rank"}, kNoAdapter});
  }
}

// Sources of the reward that have no meaning as they are combined.
void CheckRewardSources(const v1::RunConfig& config,
                        std::vector<Conflict>& conflicts) {
  const v1::RewardConfig& reward = config.reward();
  const bool rules =
      !reward.column().name().empty() || !reward.pattern().regex().empty() ||
      reward.length().weight() != 0 || !reward.exact_match().column().empty();
  if (reward.weight() != 1 && (!rules || reward.path().empty())) {
    conflicts.push_back(
        {{"reward.weight"},
         "has a meaning only for a reward model (reward.path) beside another "
         "source of rewards (reward.column, pattern, length or exact_match); "
         "leave it out"});
  }
  if (rules && config.scoring().mode() == v1::ScoringConfig::MODE_AHEAD) {
    conflicts.push_back(
        {{"scoring.mode", "reward"},
         "ahead takes rewards from a reward model alone; with reward.column, "
         "pattern, length or exact_match use before or auto"});
  }
}

// A default that its own rules refuse is a mistake in run_config.proto, which
// any test that loads a configuration shows.
void SetDefault(const std::string& value, const FieldDescriptor& field,
                Message& section) {
  const absl::Status status = SetFromText(value, field, "", section);
  if (status.ok()) return;
  base::Crash(
      absl::StrCat("default of ", field.full_name(), ": ", status.ToString()));
}

}  // namespace

void VisitValues(
    const Message& root,
    const std::function<void(const std::string& path, const Message& section,
                             const FieldDescriptor& field)>& visit,
    const std::string& path) {
  const Descriptor& section = *root.GetDescriptor();
  for (int i = 0; i < section.field_count(); ++i) {
    const FieldDescriptor& field = *section.field(i);
    const std::string below = JoinPath(path, field.name());
    if (IsSection(field)) {
      VisitValues(root.GetReflection()->GetMessage(root, &field), visit, below);
    } else {
      visit(below, root, field);
    }
  }
}

void FillDefaults(Message& root) {
  const auto& reflection = *root.GetReflection();
  const Descriptor& section = *root.GetDescriptor();
  for (int i = 0; i < section.field_count(); ++i) {
    const FieldDescriptor& field = *section.field(i);
    if (IsSection(field)) {
      FillDefaults(*reflection.MutableMessage(&root, &field));
      continue;
    }
    const std::string& value = RuleOf(field).default_value();
    if (value.empty() || reflection.HasField(root, &field) ||
        PresetDecides(field)) {
      continue;
    }
    SetDefault(value, field, root);
  }
}

std::vector<Conflict> FindConflicts(const v1::RunConfig& config) {
  std::vector<Conflict> conflicts;
  CheckName(config, conflicts);
  CheckBlocks(config, conflicts);
  CheckEval(config, conflicts);
  CheckMoments(config, conflicts);
  CheckLora(config, conflicts);
  CheckRewardSources(config, conflicts);
  return conflicts;
}

}  // namespace varalign::config
