// fit_reward_head: makes a LlamaForSequenceClassification directory from a
// causal model and scored rows. The trunk stays as it is; the head is the ridge
// regression of the rewards on the last token's hidden state, with the rewards'
// mean. Every fifth example is held out, and the correlation there is printed
// as JSON.
//
//   varalign prepare --model TRUNK --in scored.jsonl.gz --out scored
//   fit_reward_head --model TRUNK --data scored --out REWARD_MODEL
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/progress.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "checkpoint/model_directory.h"
#include "data/dataset.h"
#include "model/forward.h"
#include "model/model_config.h"
#include "model/parameters.h"

namespace varalign {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr uint64_t kHeldOutEvery = 5;
constexpr int64_t kBatchTokens = 8192;

struct Arguments {
  std::string model;
  std::string data;
  std::string out;
  double ridge = 1.0;
};

// Last hidden states [N, H] and centred rewards [N], all float64.
struct Samples {
  std::vector<at::Tensor> hidden;
  std::vector<double> rewards;
};

// Packs rows until the budget is reached, then runs the trunk over them.
class FeatureBatch {
 public:
  FeatureBatch(const model::Parameters& trunk, Samples& samples)
      : trunk_(trunk), samples_(samples) {}

  void Add(std::span<const uint32_t> prompt, const data::RowView& row) {
    tokens_.insert(tokens_.end(), prompt.begin(), prompt.end());
    tokens_.insert(tokens_.end(), row.response.begin(), row.response.end());
    ends_.push_back(static_cast<int64_t>(tokens_.size()));
    samples_.rewards.push_back(*row.reward);
    if (ends_.back() >= kBatchTokens) Run();
  }

  void Run() {
    if (tokens_.empty()) return;
    const at::Tensor last =
        at::tensor(std::vector<int64_t>(ends_.begin() + 1, ends_.end())) - 1;
    samples_.hidden.push_back(
        model::Forward(trunk_, at::tensor(tokens_), ends_, last)
            .to(at::kDouble));
    tokens_.clear();
    ends_ = {0};
  }

 private:
  const model::Parameters& trunk_;
  Samples& samples_;
  std::vector<int64_t> tokens_;
  std::vector<int64_t> ends_ = {0};
};

absl::StatusOr<model::Parameters> LoadTrunk(const Arguments& arguments) {
  ASSIGN_OR_RETURN(model::ModelConfig config,
                   model::ReadModelConfig(arguments.model));
  config.head = model::Head::kReward;
  ASSIGN_OR_RETURN(const checkpoint::ModelTensors files,
                   checkpoint::ModelTensors::Open(arguments.model));
  std::vector<model::NamedTensor> tensors;
  for (const auto& tensor : files.tensors()) {
    if (tensor.first != "lm_head.weight") tensors.push_back(tensor);
  }
  tensors.emplace_back("score.weight", at::zeros({1, config.hidden_size}));
  return model::ParametersOf(config, tensors, at::kFloat);
}

absl::Status ReadFeatures(const data::Dataset& dataset,
                          const model::Parameters& trunk, Samples& training,
                          Samples& held_out) {
  if (!dataset.manifest().has_rewards()) {
    return absl::InvalidArgumentError(
        "the data set has no rewards; prepare scored rows");
  }
  FeatureBatch training_batch(trunk, training);
  FeatureBatch held_out_batch(trunk, held_out);
  base::Progress progress("reading rows", "examples", dataset.num_examples(),
                          base::ProgressScreen::kLog);
  for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
    const data::ExampleView example = dataset.example(i);
    FeatureBatch& batch =
        i % kHeldOutEvery == 0 ? held_out_batch : training_batch;
    for (const data::RowView& row : example.rows) {
      batch.Add(example.prompt, row);
    }
    progress.Advance(1);
  }
  training_batch.Run();
  held_out_batch.Run();
  progress.Finish();
  return absl::OkStatus();
}

// argmin_w |X w - y|^2 + ridge * n * |w|^2 over centred X and y, [H], among
// those w that predict mean y at mean X: a head has no bias that could.
at::Tensor Ridge(const at::Tensor& hidden, const at::Tensor& rewards,
                 double ridge) {
  const at::Tensor center = hidden.mean(0);
  const at::Tensor x = hidden - center;
  const at::Tensor y = rewards - rewards.mean();
  const at::Tensor gram = at::matmul(x.t(), x);
  const double strength = ridge * 1e-3 * gram.diagonal().mean().item<double>();
  const at::Tensor both =
      at::linalg_solve(gram + strength * at::eye(gram.size(0), gram.options()),
                       at::stack({at::matmul(x.t(), y), center}, 1));
  const at::Tensor free = both.select(1, 0), shift = both.select(1, 1);
  return free + shift * (rewards.mean() - free.dot(center)) / shift.dot(center);
}

double Correlation(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a - a.mean(), y = b - b.mean();
  return (x.dot(y) / (x.norm() * y.norm())).item<double>();
}

// A copy of the model's text files with the config of a classifier.
absl::Status WriteSource(const fs::path& model, const fs::path& source) {
  RETURN_IF_ERROR(base::CreateDirectories(source));
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.path().extension() == ".json" ||
        entry.path().extension() == ".jinja") {
      fs::copy(entry.path(), source / entry.path().filename(), ignored);
    }
  }
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFile(model / "config.json"));
  ASSIGN_OR_RETURN(Json config, base::ParseJson(text));
  config["architectures"] = Json::array({"LlamaForSequenceClassification"});
  config["num_labels"] = 1;
  config["id2label"] = {{"0", "LABEL_0"}};
  config["label2id"] = {{"LABEL_0", 0}};
  return base::WriteFileAtomically(source / "config.json",
                                   base::DumpJsonPretty(config));
}

absl::Status Fit(const Arguments& arguments) {
  at::NoGradGuard no_gradients;
  ASSIGN_OR_RETURN(const data::Dataset dataset,
                   data::Dataset::Open(arguments.data));
  ASSIGN_OR_RETURN(model::Parameters trunk, LoadTrunk(arguments));
  Samples training, held_out;
  RETURN_IF_ERROR(ReadFeatures(dataset, trunk, training, held_out));
  const at::Tensor rewards = at::tensor(training.rewards, at::kDouble);
  const at::Tensor head =
      Ridge(at::cat(training.hidden), rewards, arguments.ridge);
  trunk.score.copy_(head.unsqueeze(0));

  const fs::path source = arguments.out + ".source";
  RETURN_IF_ERROR(WriteSource(arguments.model, source));
  const auto written = checkpoint::WriteModelDirectory(
      arguments.out, model::HuggingFaceTensors(trunk), {.source = source});
  std::error_code ignored;
  fs::remove_all(source, ignored);
  RETURN_IF_ERROR(written.status());
  const Json result = {
      {"version", 1},
      {"training_rows", training.rewards.size()},
      {"held_out_rows", held_out.rewards.size()},
      {"held_out_correlation",
       Correlation(at::matmul(at::cat(held_out.hidden), head),
                   at::tensor(held_out.rewards, at::kDouble))}};
  std::printf("%s\n", base::DumpJson(result).c_str());
  return absl::OkStatus();
}

}  // namespace
}  // namespace varalign

int main(int argc, char** argv) {
  using namespace varalign;  // NOLINT: the whole program is this file
  base::InitLogging("fit_reward_head", base::LogLevel::kWarning);
  Arguments arguments;
  CLI::App app("Fits the head of a reward model to scored rows.");
  app.add_option("--model", arguments.model, "causal model: the trunk")
      ->required();
  app.add_option("--data", arguments.data, "data set with rewards")->required();
  app.add_option("--out", arguments.out, "directory to make")->required();
  app.add_option("--ridge", arguments.ridge, "strength of the ridge");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : base::kExitUsage;
  }
  const absl::Status status =
      base::CatchExceptions([&] { return Fit(arguments); });
  if (!status.ok()) {
    std::fprintf(stderr, "fit_reward_head: %s\n",
                 std::string(base::ToStd(status.message())).c_str());
  }
  return base::ExitCodeFor(status);
}
