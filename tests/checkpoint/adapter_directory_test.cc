#include "checkpoint/adapter_directory.h"

#include <ATen/ATen.h>

#include <limits>
#include <map>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::checkpoint {
namespace {

using base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::varalign::testing::StatusIs;
using Path = std::filesystem::path;

// An adapter that PEFT saved.
Path PeftDirectory(const std::string& name) {
  return testing::SourceDirectory() / "tests" / "golden" / "lora" / name;
}

Json ReadJson(const Path& path) {
  const auto text = base::ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return *base::ParseJson(*text);
}

class AdapterDirectoryTest : public ::testing::Test {
 protected:
  // PEFT's own configuration with `changes` in it.
  absl::Status ReadWith(const Json& changes) {
    Json config = ReadJson(PeftDirectory("qwen2") / "adapter_config.json");
    config.update(changes);
    EXPECT_OK(base::WriteFileAtomically(directory_ / "adapter_config.json",
                                        base::DumpJson(config)));
    return ReadAdapterConfig(directory_.path()).status();
  }

  testing::TempDirectory directory_;
};

TEST_F(AdapterDirectoryTest, ReadsWhatPeftWrote) {
  ASSERT_OK_AND_ASSIGN(const Adapter adapter,
                       Adapter::Open(PeftDirectory("qwen2")));
  EXPECT_EQ(adapter.config().rank, 3);
  EXPECT_EQ(adapter.config().alpha, 4);
  EXPECT_EQ(adapter.config().base_model, "qwen2");
  EXPECT_THAT(adapter.config().modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_THAT(adapter.tensors(), SizeIs(2 * 2 * 2));
  ASSERT_OK_AND_ASSIGN(const Adapter all,
                       Adapter::Open(PeftDirectory("llama-untied")));
  EXPECT_THAT(all.config().modules, SizeIs(7));
  EXPECT_THAT(all.tensors(), SizeIs(2 * 7 * 2));
}

TEST_F(AdapterDirectoryTest, WhatIsWrittenComesBack) {
  ASSERT_OK_AND_ASSIGN(const Adapter adapter,
                       Adapter::Open(PeftDirectory("qwen3")));
  AdapterConfig config = adapter.config();
  config.alpha = 2.5;
  const Path target = directory_ / "adapter";
  ASSERT_OK_AND_ASSIGN(
      const auto files,
      WriteAdapterDirectory(target, config, adapter.tensors()));
  ASSERT_THAT(files, SizeIs(2));
  EXPECT_EQ(files[0].name, "adapter_config.json");
  EXPECT_EQ(files[1].name, "adapter_model.safetensors");
  ASSERT_OK_AND_ASSIGN(const Adapter again, Adapter::Open(target));
  EXPECT_EQ(again.config().rank, config.rank);
  EXPECT_EQ(again.config().alpha, 2.5);
  EXPECT_EQ(again.config().modules, config.modules);
  EXPECT_EQ(again.config().base_model, "qwen3");
  std::map<std::string, at::Tensor> expected(adapter.tensors().begin(),
                                             adapter.tensors().end());
  ASSERT_EQ(again.tensors().size(), expected.size());
  for (const auto& [name, tensor] : again.tensors()) {
    EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name;
  }
}

// Whatever of its keys we write, PEFT writes with the same type.
TEST_F(AdapterDirectoryTest, TheConfigurationHasPeftsKeysAndTypes) {
  ASSERT_OK_AND_ASSIGN(const Adapter adapter,
                       Adapter::Open(PeftDirectory("qwen2")));
  ASSERT_OK(WriteAdapterDirectory(directory_ / "adapter", adapter.config(),
                                  adapter.tensors()));
  const Json ours = ReadJson(directory_ / "adapter" / "adapter_config.json");
  Json theirs = ReadJson(PeftDirectory("qwen2") / "adapter_config.json");
  for (const auto& [key, value] : ours.items()) {
    ASSERT_TRUE(theirs.contains(key)) << key;
    if (key == "target_modules") continue;  // a set
    EXPECT_EQ(value, theirs[key]) << key;
  }
}

TEST_F(AdapterDirectoryTest, OtherNumbersThanOursAreRefusedByKey) {
  const std::vector<std::pair<std::string, Json>> refused = {
      {"peft_type", "IA3"},
      {"task_type", "SEQ_CLS"},
      {"bias", "all"},
      {"use_rslora", true},
      {"use_dora", true},
      {"fan_in_fan_out", true},
      {"modules_to_save", {"lm_head"}},
      {"rank_pattern", {{"q_proj", 8}}},
      {"alpha_pattern", {{"q_proj", 8}}},
      {"layers_to_transform", {0}},
      {"layers_to_transform", 0},
      {"init_lora_weights", "pissa"},
      {"lora_bias", true},
      {"a_key_of_a_later_version", "on"},
      {"r", 0},
      {"r", 2.5},
      {"r", "8"},
      {"lora_alpha", 0},
      {"lora_alpha", nullptr},
      {"target_modules", ".*q_proj"},
      {"target_modules", Json::array()},
      {"target_modules", {"q_proj", "lm_head"}},
      {"target_modules", {"q_proj", "model.embed_tokens"}},
      {"target_modules", {1}}};
  for (const auto& [key, value] : refused) {
    EXPECT_THAT(ReadWith({{key, value}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(key)))
        << key << " " << value;
  }
}

TEST_F(AdapterDirectoryTest, WhatChangesNoNumbersIsRead) {
  const std::vector<std::pair<std::string, Json>> accepted = {
      {"lora_dropout", 0.05},
      {"init_lora_weights", "gaussian"},
      {"task_type", nullptr},
      {"inference_mode", false},
      {"a_key_of_a_later_version", false},
      {"another_one", {{"ephemeral_gpu_offload", false}}},
      {"target_modules", "all-linear"},
      {"target_modules", {"self_attn.q_proj", "model.layers.1.mlp.up_proj"}},
      {"lora_alpha", 0.5}};
  for (const auto& [key, value] : accepted) {
    EXPECT_OK(ReadWith({{key, value}})) << key;
  }
}

TEST_F(AdapterDirectoryTest, AMissingFileIsNamed) {
  EXPECT_THAT(
      Adapter::Open(directory_.path()),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("adapter_config.json")));
  ASSERT_OK(ReadWith(Json::object()));
  EXPECT_THAT(Adapter::Open(directory_.path()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("adapter_model.safetensors")));
}

TEST_F(AdapterDirectoryTest, NumbersThatAreNotFiniteAreNotSaved) {
  const std::vector<NamedTensor> tensors = {
      {"a", at::full({2}, std::numeric_limits<float>::infinity())}};
  EXPECT_THAT(WriteAdapterDirectory(directory_ / "adapter",
                                    {.rank = 1, .alpha = 1}, tensors),
              StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace varalign::checkpoint
