#include "config/run_config_loader.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/exit_code.h"
#include "base/file.h"
#include "config/diagnostics.h"
#include "config/field.h"
#include "config/field_value.h"
#include "config/rules.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_directory.h"

namespace varalign::config {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kSmall[] =
    "model: {path: models/small}\n"
    "data: {path: /data/hh}\n";

absl::StatusOr<LoadedConfig> Parse(const std::string& yaml,
                                   std::vector<std::string> flags = {}) {
  return ParseRunConfig(yaml, "/configs/run.yaml", flags);
}

LoadedConfig ParseOrDie(const std::string& yaml,
                        std::vector<std::string> flags = {}) {
  auto loaded = Parse(yaml, std::move(flags));
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *std::move(loaded) : LoadedConfig();
}

std::string ErrorsOf(const std::string& yaml,
                     std::vector<std::string> flags = {}) {
  const absl::Status status = Parse(yaml, std::move(flags)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
  return std::string(status.message());
}

TEST(RunConfigLoaderTest, ReadsEveryKindOfValue) {
  const v1::RunConfig config = ParseOrDie(R"(# a comment
name: helpful-1b
model:
  path: models/../models/small
data: {path: /data/hh}
objective:
  preset: raft
  lambda: .5
  ref_logp: none
  z: {block: 16, allow_trivial: true}
scoring: {timeout: 1h30m}
train:
  global_batch: 64
  max_steps: 18446744073709551615
  learning_rate: 2.5e-6
  warmup: 3%
collective:
  backend: mpi
  interface: "eth0"
  timeout: 1500ms
  bucket_size: 16MiB
)")
                                   .config;
  EXPECT_EQ(config.name(), "helpful-1b");
  EXPECT_EQ(config.model().path(), "/configs/models/small");
  EXPECT_EQ(config.data().path(), "/data/hh");
  EXPECT_EQ(config.objective().preset(), v1::Objective::PRESET_RAFT);
  EXPECT_EQ(config.objective().lambda(), 0.5);
  EXPECT_EQ(config.objective().ref_logp(), v1::Objective::REF_LOGP_NONE);
  EXPECT_EQ(config.objective().z().block(), 16u);
  EXPECT_TRUE(config.objective().z().allow_trivial());
  EXPECT_EQ(config.scoring().timeout().seconds(), 5400);
  EXPECT_EQ(config.train().max_steps(), 18446744073709551615u);
  EXPECT_EQ(config.train().learning_rate(), 2.5e-6);
  EXPECT_EQ(config.train().warmup(), 0.03);
  EXPECT_EQ(config.collective().backend(), v1::CollectiveConfig::BACKEND_MPI);
  EXPECT_EQ(config.collective().interface(), "eth0");
  EXPECT_EQ(config.collective().timeout().seconds(), 1);
  EXPECT_EQ(config.collective().timeout().nanos(), 500'000'000);
  EXPECT_EQ(config.collective().bucket_size(), 16u << 20);
}

TEST(RunConfigLoaderTest, NamesAreAListOrATextWithCommas) {
  const auto modules = [](const std::string& value) {
    return ParseOrDie(std::string(kSmall) +
                      "train: {lora: {rank: 8, target_modules: " + value + "}}")
        .config.train()
        .lora()
        .target_modules();
  };
  EXPECT_EQ(modules("[q_proj, v_proj]"), "q_proj, v_proj");
  EXPECT_EQ(modules("'q_proj,v_proj'"), "q_proj,v_proj");
  EXPECT_EQ(modules("all-linear"), "all-linear");
  EXPECT_EQ(ParseOrDie(std::string(kSmall) +
                       "train: {freeze: ['*norm*', lm_head.weight]}")
                .config.train()
                .freeze(),
            "*norm*, lm_head.weight");
  EXPECT_THAT(ErrorsOf(std::string(kSmall) +
                       "train: {lora: {rank: 8, target_modules: []}}"),
              HasSubstr("no projection has this name"));
}

TEST(RunConfigLoaderTest, AnAdapterIsOffUnlessItHasARank) {
  const v1::RunConfig config = ParseOrDie(kSmall).config;
  EXPECT_EQ(config.train().lora().rank(), 0u);
  EXPECT_EQ(config.train().lora().target_modules(), "all-linear");
  EXPECT_EQ(ParseOrDie(std::string(kSmall) +
                       "train: {lora: {rank: 8, adapter: tuned}}")
                .config.train()
                .lora()
                .adapter(),
            "/configs/tuned");
}

TEST(RunConfigLoaderTest, TextIsNeverGuessedToBeANumber) {
  EXPECT_EQ(ParseOrDie(std::string("name: 012\n") + kSmall).config.name(),
            "012");
  EXPECT_EQ(ParseOrDie(std::string("name: yes\n") + kSmall).config.name(),
            "yes");
  EXPECT_EQ(ParseOrDie(std::string("name: 1e3\n") + kSmall).config.name(),
            "1e3");
}

TEST(RunConfigLoaderTest, FillsDefaultsButLeavesThePresetItsOwn) {
  const LoadedConfig loaded = ParseOrDie(kSmall);
  const v1::RunConfig& config = loaded.config;
  EXPECT_EQ(config.name(), "run");
  EXPECT_EQ(config.train().global_batch(), 64u);
  EXPECT_EQ(config.train().learning_rate(), 2e-6);
  EXPECT_EQ(config.train().warmup(), 0.03);
  EXPECT_EQ(config.train().schedule(), v1::TrainConfig::SCHEDULE_COSINE);
  EXPECT_TRUE(config.train().has_max_steps());
  EXPECT_EQ(config.scoring().timeout().seconds(), 600);
  EXPECT_EQ(config.checkpoint().keep(), 2u);
  EXPECT_EQ(config.objective().kind(), v1::Objective::KIND_VAR);
  EXPECT_EQ(config.objective().preset(), v1::Objective::PRESET_VAR);
  EXPECT_TRUE(config.objective().z().has_block());
  EXPECT_TRUE(config.objective().has_strict());
  EXPECT_FALSE(config.objective().has_lambda());
  EXPECT_FALSE(config.objective().has_ref_logp());
  EXPECT_FALSE(config.objective().has_loss_reduction());
  EXPECT_FALSE(config.reward().has_path());
  EXPECT_FALSE(config.eval().has_path());
  EXPECT_FALSE(config.collective().has_interface());
  EXPECT_TRUE(CheckRunConfig(config).ok()) << CheckRunConfig(config);
}

TEST(RunConfigLoaderTest, RemembersWhereEachValueComesFrom) {
  const LoadedConfig loaded = ParseOrDie(
      "model: {path: small}\n"
      "data:\n"
      "  path: hh\n"
      "train: {epochs: 3, seed: 1}\n",
      {"train.seed=7"});
  EXPECT_EQ(loaded.origins.at("model.path"), "/configs/run.yaml:1:15");
  EXPECT_EQ(loaded.origins.at("data.path"), "/configs/run.yaml:3:9");
  EXPECT_EQ(loaded.origins.at("train.epochs"), "/configs/run.yaml:4:17");
  EXPECT_EQ(loaded.origins.at("train.seed"), "flag");
  EXPECT_EQ(loaded.origins.at("train.workers"), "default");
  EXPECT_EQ(loaded.origins.at("objective.z.block"), "default");
  EXPECT_FALSE(loaded.origins.contains("objective.lambda"));
}

TEST(RunConfigLoaderTest, FlagsStandAboveTheFileAndTheLastOneAboveAll) {
  const v1::RunConfig config =
      ParseOrDie(
          std::string(kSmall) + "train: {epochs: 3}\n",
          {"train.epochs=4", "train.learning_rate=1e-5", "train.epochs=5",
           "objective.z.block=32", "collective.interface=a=b"})
          .config;
  EXPECT_EQ(config.train().epochs(), 5u);
  EXPECT_EQ(config.train().learning_rate(), 1e-5);
  EXPECT_EQ(config.objective().z().block(), 32u);
  EXPECT_EQ(config.collective().interface(), "a=b");
}

TEST(RunConfigLoaderTest, AFileMayLeaveASectionEmpty) {
  EXPECT_TRUE(Parse(std::string(kSmall) + "train:\n  # epochs: 3\n").ok());
}

TEST(RunConfigLoaderTest, PathsOfFlagsStartAtTheWorkingDirectory) {
  const v1::RunConfig config =
      ParseOrDie(kSmall, {"model.path=elsewhere/./small"}).config;
  EXPECT_EQ(config.model().path(),
            (fs::current_path() / "elsewhere/small").string());
}

TEST(RunConfigLoaderTest, TellsAllErrorsInFileOrderAndThoseOfFlagsLast) {
  EXPECT_EQ(ErrorsOf("model: {path: small}\n"
                     "data: {path: hh}\n"
                     "train:\n"
                     "  learning_rte: 1e-6\n"
                     "  global_batch: 60\n"
                     "objective:\n"
                     "  lambda: 0\n"
                     "  z: {block: 16}\n",
                     {"train.epochs=x", "trian.epochs=1"}),
            "/configs/run.yaml:4:3: error: unknown key 'learning_rte' in "
            "train; did you mean 'learning_rate'?\n"
            "/configs/run.yaml:5:17: error: train.global_batch: 60 is not a "
            "whole number of Z-blocks (objective.z.block = 16); nearest: 48, "
            "64\n"
            "/configs/run.yaml:7:11: error: objective.lambda: must be > 0, got "
            "0\n"
            "--set train.epochs=x: error: train.epochs: expected a whole "
            "number, got 'x'\n"
            "--set trian.epochs=1: error: unknown key 'trian'; did you mean "
            "'train'?\n"
            "5 errors; nothing was started. Reference: docs/config.md");
}

TEST(RunConfigLoaderTest, ProgramsReadThePlacesOfErrors) {
  const base::Json errors = DiagnosticsJson(
      Parse("model: {path: small}\ndata: {path: hh}\ntrain:\n  epochs: 0\n",
            {"train.seed=x"})
          .status());
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(base::DumpJson(errors[0]),
            "{\"file\":\"/configs/run.yaml\",\"line\":4,\"column\":11,"
            "\"message\":\"train.epochs: must be >= 1, got 0\"}");
  EXPECT_TRUE(errors[1]["file"].is_null() && errors[1]["line"].is_null());
  EXPECT_THAT(errors[1]["message"].get<std::string>(),
              StartsWith("--set train.seed=x: train.seed: expected"));
  EXPECT_EQ(base::DumpJson(DiagnosticsJson(absl::NotFoundError("gone"))),
            "[{\"file\":null,\"line\":null,\"column\":null,"
            "\"message\":\"gone\"}]");
}

TEST(RunConfigLoaderTest, ARefusedValueCausesNoSecondError) {
  EXPECT_EQ(ErrorsOf(std::string(kSmall) + "train: {global_batch: many}\n"
                                           "objective: {z: {block: 48}}\n"),
            "/configs/run.yaml:3:23: error: train.global_batch: expected a "
            "whole number, got 'many'\n"
            "1 error; nothing was started. Reference: docs/config.md");
}

TEST(RunConfigLoaderTest, FlagsNameTheMistake) {
  const struct {
    const char* flag;
    const char* error;
  } kCases[] = {
      {"train.epochs", "expected KEY=VALUE, such as train.epochs=2"},
      {"=2", "expected KEY=VALUE"},
      {"train=2", "train: is a section; set one of its keys: workers, epochs"},
      {"train.epochs.x=2", "train.epochs: has no keys below it"},
      {"train..epochs=2", "unknown key '' in train"},
      {"learning_rate=1", "did you mean 'train.learning_rate'?"},
      {"train.warmup=3", "train.warmup: must be <= 1, got 3; a share is"},
      {"model.path=", "model.path: must not be empty"},
      {"train.global_batch=0", "train.global_batch: must be >= 1, got 0"},
  };
  for (const auto& [flag, error] : kCases) {
    EXPECT_THAT(ErrorsOf(kSmall, {flag}),
                StartsWith("--set " + std::string(flag) + ": error: "))
        << flag;
    EXPECT_THAT(ErrorsOf(kSmall, {flag}), HasSubstr(error)) << flag;
  }
}

TEST(RunConfigLoaderTest, ReadsAFileAndNamesItAsItWasGiven) {
  const testing::TempDirectory directory;
  const fs::path file = directory / "run.yaml";
  ASSERT_TRUE(base::WriteFileAtomically(file, kSmall).ok());
  const auto loaded = LoadRunConfig(file, {});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(fs::path(loaded->config.model().path()),
            (file.parent_path() / "models/small").lexically_normal());
}

TEST(RunConfigLoaderTest, AMissingFileIsMissingInput) {
  const absl::Status status = LoadRunConfig("/nonexistent.yaml", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitInputMissing);
}

TEST(ApplyOverridesTest, SetsFieldsAndNothingElse) {
  v1::RunConfig config;
  ASSERT_TRUE(
      ApplyOverrides(std::vector<std::string>{"objective.lambda=0.5"}, config)
          .ok());
  v1::RunConfig expected;
  expected.mutable_objective()->set_lambda(0.5);
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(config, expected));
  const absl::Status status =
      ApplyOverrides(std::vector<std::string>{"objective.lambda=-1"}, config);
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("--set objective.lambda=-1: error: objective.lambda: "
                         "must be > 0, got -1\n1 error;"));
}

TEST(CheckRunConfigTest, NamesWhatIsNotResolved) {
  const absl::Status status = CheckRunConfig(v1::RunConfig());
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("configuration: error: model.path: required"));
  EXPECT_THAT(message,
              HasSubstr("train.epochs: not set; the configuration is not "
                        "resolved\n"));
}

TEST(CheckRunConfigTest, ChecksWhatTheNetworkBrings) {
  const v1::RunConfig good = ParseOrDie(kSmall).config;
  const struct {
    std::function<void(v1::RunConfig&)> change;
    const char* error;
  } kCases[] = {
      {[](auto& c) { c.mutable_train()->set_learning_rate(0); },
       "train.learning_rate: must be > 0, got 0"},
      {[](auto& c) { c.mutable_train()->set_learning_rate(0.0 / 0.0); },
       "train.learning_rate: expected a number, got"},
      {[](auto& c) { c.mutable_train()->set_beta2(1); },
       "train.beta2: must be < 1, got 1"},
      {[](auto& c) {
         c.mutable_train()->set_schedule(v1::TrainConfig::SCHEDULE_UNSPECIFIED);
       },
       "train.schedule: expected one of cosine, linear, constant, got "
       "'unspecified'"},
      {[](auto& c) {
         c.mutable_train()->set_schedule(
             static_cast<v1::TrainConfig::Schedule>(77));
       },
       "train.schedule: expected one of cosine, linear, constant, got '77'"},
      {[](auto& c) { c.mutable_model()->set_path("models/small"); },
       "model.path: must be an absolute path, got 'models/small'"},
      {[](auto& c) { c.mutable_scoring()->mutable_timeout()->set_seconds(-1); },
       "scoring.timeout: must be > 0, got -1s"},
      {[](auto& c) { c.mutable_objective()->mutable_z()->set_block(60); },
       "train.global_batch: 64 is not a whole number"},
      {[](auto& c) { c.set_name("../x"); }, "name: expected 1 to 63 letters"},
      {[](auto& c) { c.mutable_eval()->set_interval_steps(5); },
       "eval.interval_steps: there is nothing to evaluate"},
  };
  for (const auto& [change, error] : kCases) {
    v1::RunConfig config = good;
    change(config);
    EXPECT_THAT(std::string(CheckRunConfig(config).message()),
                HasSubstr(std::string("configuration: error: ") + error));
  }
}

// The loader knows single values and sections; a field of another shape needs
// code before it may join run_config.proto.
void ExpectPlain(const Descriptor& section) {
  EXPECT_EQ(section.real_oneof_decl_count(), 0) << section.full_name();
  for (int i = 0; i < section.field_count(); ++i) {
    const FieldDescriptor& field = *section.field(i);
    EXPECT_FALSE(field.is_repeated()) << field.full_name();
    EXPECT_NE(field.cpp_type(), FieldDescriptor::CPPTYPE_INT32);
    EXPECT_NE(field.cpp_type(), FieldDescriptor::CPPTYPE_INT64);
    EXPECT_NE(field.cpp_type(), FieldDescriptor::CPPTYPE_FLOAT);
    if (IsSection(field)) ExpectPlain(*field.message_type());
  }
}

TEST(RunConfigProtoTest, HasOnlyFieldsThatTheLoaderKnows) {
  ExpectPlain(*v1::RunConfig::descriptor());
}

TEST(RunConfigProtoTest, EveryDefaultObeysItsOwnRule) {
  v1::RunConfig config;
  int num_defaults = 0;
  const auto check = [&](const std::string& path, const Message& section,
                         const FieldDescriptor& field) {
    const std::string& value = RuleOf(field).default_value();
    if (value.empty()) return;
    ++num_defaults;
    const std::unique_ptr<Message> scratch(section.New());
    EXPECT_TRUE(SetFromText(value, field, "", *scratch).ok()) << path;
  };
  VisitValues(config, check);
  EXPECT_GT(num_defaults, 40);
}

}  // namespace
}  // namespace varalign::config
