#include "checkpoint/model_directory.h"

#include <ATen/ATen.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/model_fingerprint.h"
#include "checkpoint/weight_dtype.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::checkpoint {
namespace {

using base::Json;
using ::testing::HasSubstr;
using testing::StatusIs;
using Path = std::filesystem::path;

std::vector<NamedTensor> SomeTensors() {
  return {{"a.weight", at::arange(12, at::kFloat).view({3, 4})},
          {"b.weight", at::arange(5, at::kFloat)},
          {"c.weight", at::ones({2, 2, 2})},
          {"d.weight", at::full({7}, 0.25)}};
}

class ModelDirectoryTest : public ::testing::Test {
 protected:
  ModelDirectoryTest() {
    std::filesystem::create_directory(source());
    Write(source() / "config.json",
          R"({"model_type": "llama", "my_own_key": {"z": 1, "a": [2]},
              "torch_dtype": "bfloat16", "hidden_size": 4})");
    Write(source() / "tokenizer.json", "{\"model\": {}}");
    Write(source() / "tokenizer_config.json", "{}");
    Write(source() / "chat_template.jinja", "{{ messages }}");
    Write(source() / "README.md", "not copied");
    Write(source() / "optimizer.pt", "not copied");
    Write(source() / "model.safetensors", "not copied");
  }

  Path source() const { return directory_.path() / "source"; }
  Path target() const { return directory_.path() / "target"; }

  static void Write(const Path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string Read(const Path& path) { return *base::ReadFile(path); }

  absl::StatusOr<std::vector<ModelFile>> WriteTarget(
      const std::vector<NamedTensor>& tensors,
      uint64_t max_shard_bytes = 1 << 20) {
    return WriteModelDirectory(
        target(), tensors,
        {.source = source(), .max_shard_bytes = max_shard_bytes});
  }

  void ExpectTensors(const std::vector<NamedTensor>& expected) {
    ASSERT_OK_AND_ASSIGN(const ModelTensors opened,
                         ModelTensors::Open(target()));
    std::map<std::string, at::Tensor> found(opened.tensors().begin(),
                                            opened.tensors().end());
    EXPECT_EQ(found.size(), expected.size());
    for (const auto& [name, tensor] : expected) {
      ASSERT_TRUE(found.contains(name)) << name;
      EXPECT_EQ(found[name].scalar_type(), tensor.scalar_type());
      EXPECT_TRUE(at::equal(found[name], tensor)) << name;
    }
  }

 private:
  testing::TempDirectory directory_;
};

TEST_F(ModelDirectoryTest, ReadsBackWhatItWrote) {
  ASSERT_OK(WriteTarget(SomeTensors()));
  ExpectTensors(SomeTensors());
}

TEST_F(ModelDirectoryTest, ReportsEveryFileAsItIsOnDisk) {
  ASSERT_OK_AND_ASSIGN(const std::vector<ModelFile> files,
                       WriteTarget(SomeTensors(), 40));
  std::vector<std::string> names;
  for (const ModelFile& file : files) {
    names.push_back(file.name);
    EXPECT_EQ(file.num_bytes, std::filesystem::file_size(target() / file.name));
    EXPECT_EQ(file.xxh3_128, *base::Xxh3OfFile(target() / file.name));
  }
  std::vector<std::string> there;
  for (const auto& entry : std::filesystem::directory_iterator(target())) {
    there.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAreArray(there));
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST_F(ModelDirectoryTest, SplitsIntoShardsWithAnIndex) {
  ASSERT_OK(WriteTarget(SomeTensors(), 60));
  EXPECT_FALSE(std::filesystem::exists(target() / "model.safetensors"));
  const Json index =
      *base::ParseJson(Read(target() / "model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"], Json({{"total_parameters", 12 + 5 + 8 + 7},
                                     {"total_size", 4 * (12 + 5 + 8 + 7)}}));
  EXPECT_EQ(index["weight_map"]["a.weight"],
            "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["d.weight"],
            "model-00003-of-00003.safetensors");
  ExpectTensors(SomeTensors());
}

TEST_F(ModelDirectoryTest, KeepsUnknownConfigKeysAndTheirOrder) {
  ASSERT_OK(WriteTarget(SomeTensors()));
  const Json config = *base::ParseJson(Read(target() / "config.json"));
  EXPECT_EQ(base::DumpJson(config),
            R"({"model_type":"llama","my_own_key":{"z":1,"a":[2]},)"
            R"("torch_dtype":"float32","hidden_size":4})");
}

TEST_F(ModelDirectoryTest, WritesTheNewerDtypeKeyWhereThatIsUsed) {
  Write(source() / "config.json", R"({"dtype": "float32"})");
  ASSERT_OK(WriteTarget({{"a", at::ones({2}).to(at::kBFloat16)}}));
  EXPECT_EQ(*base::ParseJson(Read(target() / "config.json")),
            Json({{"dtype", "bfloat16"}}));
  ExpectTensors({{"a", at::ones({2}).to(at::kBFloat16)}});
}

TEST_F(ModelDirectoryTest, ConvertsToTheDtypeThatIsAskedFor) {
  Write(source() / "config.json", R"({"torch_dtype": "bfloat16"})");
  const std::vector<NamedTensor> tensors = {
      {"a", at::arange(6, at::kFloat).view({2, 3})},
      {"b", at::full({4}, 0.1, at::kDouble)},
      {"c", at::ones({3}, at::kLong)}};
  ASSERT_OK_AND_ASSIGN(const auto dtype, StoredDtype(source()));
  EXPECT_EQ(dtype, at::kBFloat16);
  for (const uint64_t max_shard_bytes : {1ull << 20, 16ull}) {
    std::filesystem::remove_all(target());
    ASSERT_OK(WriteModelDirectory(target(), tensors,
                                  {.source = source(),
                                   .max_shard_bytes = max_shard_bytes,
                                   .dtype = dtype}));
    ExpectTensors({{"a", tensors[0].second.to(at::kBFloat16)},
                   {"b", tensors[1].second.to(at::kBFloat16)},
                   {"c", tensors[2].second}});
    EXPECT_EQ(*base::ParseJson(Read(target() / "config.json")),
              Json({{"torch_dtype", "bfloat16"}}));
  }
}

TEST_F(ModelDirectoryTest, ValuesThatTheDtypeCannotHoldAreNotWritten) {
  EXPECT_THAT(WriteModelDirectory(
                  target(), std::vector<NamedTensor>{{"a", at::full({2}, 1e6)}},
                  {.source = source(), .dtype = at::kHalf}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("a")));
  EXPECT_FALSE(std::filesystem::exists(target()));
}

TEST_F(ModelDirectoryTest, ConfigMayNameNoDtype) {
  Write(source() / "config.json", "{}");
  EXPECT_THAT(StoredDtype(source()), testing::IsOkAndHolds(std::nullopt));
  Write(source() / "config.json", R"({"dtype": "auto"})");
  EXPECT_THAT(StoredDtype(source()), testing::IsOkAndHolds(std::nullopt));
}

TEST_F(ModelDirectoryTest, CopiesTokenizerFilesAndNothingElse) {
  ASSERT_OK(WriteTarget(SomeTensors()));
  EXPECT_EQ(Read(target() / "tokenizer.json"), "{\"model\": {}}");
  EXPECT_EQ(Read(target() / "chat_template.jinja"), "{{ messages }}");
  EXPECT_TRUE(std::filesystem::exists(target() / "tokenizer_config.json"));
  EXPECT_FALSE(std::filesystem::exists(target() / "README.md"));
  EXPECT_FALSE(std::filesystem::exists(target() / "optimizer.pt"));
}

TEST_F(ModelDirectoryTest, FilesAreReadableByOthersAndMarkedForTransformers) {
  const mode_t before = umask(022);
  ASSERT_OK(WriteTarget(SomeTensors()));
  umask(before);
  for (const auto& entry : std::filesystem::directory_iterator(target())) {
    struct stat status;
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0644u) << entry.path();
  }
  ASSERT_OK_AND_ASSIGN(
      const base::SafetensorsFile file,
      base::SafetensorsFile::Open(target() / "model.safetensors"));
  EXPECT_EQ(file.metadata(), (base::SafetensorsMetadata{{"format", "pt"}}));
}

TEST_F(ModelDirectoryTest, WritesViewsAsTheyLook) {
  const at::Tensor base = at::arange(24, at::kFloat).view({4, 6});
  const std::vector<NamedTensor> views = {{"t", base.t()},
                                          {"n", base.narrow(1, 2, 3)}};
  ASSERT_OK(WriteTarget(views));
  ExpectTensors(views);
}

TEST_F(ModelDirectoryTest, RefusesAnExistingTargetAndLeavesItAlone) {
  std::filesystem::create_directory(target());
  Write(target() / "mine", "keep");
  EXPECT_THAT(
      WriteTarget(SomeTensors()),
      StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(target().string())));
  EXPECT_EQ(Read(target() / "mine"), "keep");
}

TEST_F(ModelDirectoryTest, LeavesNothingBehindOnAnError) {
  auto tensors = SomeTensors();
  tensors[1].second = at::tensor({1.0f, NAN});
  EXPECT_THAT(WriteTarget(tensors),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("b.weight")));
  EXPECT_FALSE(std::filesystem::exists(target()));
  std::filesystem::remove(source() / "config.json");
  EXPECT_THAT(WriteTarget(SomeTensors()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  EXPECT_FALSE(std::filesystem::exists(target()));
}

class DamageTest : public ModelDirectoryTest {
 protected:
  void Expect(absl::StatusCode code, const std::string& part) {
    EXPECT_THAT(ModelTensors::Open(target()), StatusIs(code, HasSubstr(part)));
  }
  void EditIndex(const std::string& tensor, const std::string& file) {
    const Path path = target() / "model.safetensors.index.json";
    Json index = *base::ParseJson(Read(path));
    index["weight_map"][tensor] = file;
    Write(path, base::DumpJson(index));
  }
};

TEST_F(DamageTest, NamesTheFormatsWhereThereAreNoWeights) {
  std::filesystem::create_directory(target());
  Write(target() / "pytorch_model.bin", "x");
  Expect(absl::StatusCode::kNotFound, "only safetensors is read");
}

TEST_F(DamageTest, NamesATruncatedFile) {
  ASSERT_OK(WriteTarget(SomeTensors()));
  const Path path = target() / "model.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  Expect(absl::StatusCode::kInvalidArgument, "model.safetensors");
}

TEST_F(DamageTest, NamesAMissingShard) {
  ASSERT_OK(WriteTarget(SomeTensors(), 40));
  std::filesystem::remove(target() / "model-00002-of-00004.safetensors");
  Expect(absl::StatusCode::kNotFound, "model-00002-of-00004.safetensors");
}

TEST_F(DamageTest, RefusesAnIndexThatLeavesTheDirectory) {
  ASSERT_OK(WriteTarget(SomeTensors(), 40));
  EditIndex("a.weight", "../source/model.safetensors");
  Expect(absl::StatusCode::kInvalidArgument, "not a file name");
}

TEST_F(DamageTest, NamesEveryMissingShard) {
  ASSERT_OK(WriteTarget(SomeTensors(), 40));
  std::filesystem::remove(target() / "model-00002-of-00004.safetensors");
  std::filesystem::remove(target() / "model-00004-of-00004.safetensors");
  Expect(absl::StatusCode::kNotFound,
         "model-00002-of-00004.safetensors, model-00004-of-00004.safetensors");
}

TEST_F(DamageTest, NamesEveryTensorOfWhichIndexAndShardsDisagree) {
  ASSERT_OK(WriteTarget(SomeTensors(), 40));
  EditIndex("e.weight", "model-00001-of-00004.safetensors");
  EditIndex("f.weight", "model-00001-of-00004.safetensors");
  EditIndex("a.weight", "model-00002-of-00004.safetensors");
  Expect(absl::StatusCode::kInvalidArgument,
         "index lacks a.weight of model-00001-of-00004.safetensors;");
  Expect(absl::StatusCode::kInvalidArgument,
         "shards lack a.weight of model-00002-of-00004.safetensors, "
         "e.weight of model-00001-of-00004.safetensors, "
         "f.weight of model-00001-of-00004.safetensors;");
}

TEST_F(DamageTest, RefusesAnotherTotalSize) {
  ASSERT_OK(WriteTarget(SomeTensors(), 40));
  const Path path = target() / "model.safetensors.index.json";
  Json index = *base::ParseJson(Read(path));
  index["metadata"]["total_size"] = 129;
  Write(path, base::DumpJson(index));
  Expect(absl::StatusCode::kInvalidArgument,
         "total_size is 129, the tensors have 128 bytes");
  index["metadata"]["total_size"] = 128.0;  // as some writers have it
  Write(path, base::DumpJson(index));
  EXPECT_OK(ModelTensors::Open(target()).status());
  index["metadata"]["total_size"] = -1;
  Write(path, base::DumpJson(index));
  Expect(absl::StatusCode::kInvalidArgument, "total_size is no size");
  index.erase("metadata");
  Write(path, base::DumpJson(index));
  EXPECT_OK(ModelTensors::Open(target()).status());
}

TEST_F(DamageTest, RefusesAnIndexThatDisagreesWithItsShards) {
  ASSERT_OK(WriteTarget(SomeTensors(), 40));
  EditIndex("e.weight", "model-00001-of-00004.safetensors");
  Expect(absl::StatusCode::kInvalidArgument, "e.weight");
  std::filesystem::remove_all(target());
  ASSERT_OK(WriteTarget(SomeTensors(), 40));
  EditIndex("a.weight", "model-00002-of-00004.safetensors");
  Expect(absl::StatusCode::kInvalidArgument, "weight");
  Write(target() / "model.safetensors.index.json", "{\"weight_map\": {}}");
  Expect(absl::StatusCode::kInvalidArgument, "weight_map");
}

TEST_F(ModelDirectoryTest, FingerprintIsOfTheModelNotOfItsFiles) {
  ASSERT_OK(WriteTarget(SomeTensors()));
  ASSERT_OK_AND_ASSIGN(const std::string one, ModelFingerprint(target()));
  EXPECT_EQ(one.size(), 64u);
  std::filesystem::remove_all(target());
  ASSERT_OK(WriteTarget(SomeTensors(), 40));
  Write(target() / "config.json",
        R"({"hidden_size": 4, "my_own_key": {"a": [2], "z": 1},
            "transformers_version": "9", "model_type": "llama"})");
  EXPECT_THAT(ModelFingerprint(target()), testing::IsOkAndHolds(one));
}

TEST_F(ModelDirectoryTest, FingerprintChangesWithTheModel) {
  ASSERT_OK(WriteTarget(SomeTensors()));
  ASSERT_OK_AND_ASSIGN(const std::string one, ModelFingerprint(target()));
  Write(target() / "config.json",
        R"({"model_type": "llama", "my_own_key": {"z": 1, "a": [2]},
            "hidden_size": 5})");
  ASSERT_OK_AND_ASSIGN(const std::string config, ModelFingerprint(target()));
  EXPECT_NE(config, one);
  std::filesystem::remove_all(target());
  auto tensors = SomeTensors();
  tensors[3].second[6] = 0.26;
  ASSERT_OK(WriteTarget(tensors));
  ASSERT_OK_AND_ASSIGN(const std::string value, ModelFingerprint(target()));
  EXPECT_NE(value, one);
  std::filesystem::remove_all(target());
  tensors = SomeTensors();
  tensors[3].first = "e.weight";
  ASSERT_OK(WriteTarget(tensors));
  ASSERT_OK_AND_ASSIGN(const std::string name, ModelFingerprint(target()));
  EXPECT_NE(name, one);
}

TEST(PretrainedDirectoryTest, CopyHasTheSameFingerprint) {
  REQUIRE_TEST_DATA(source, "models/stories260k");
  const testing::TempDirectory directory;
  const Path target = directory.path() / "copy";
  ASSERT_OK_AND_ASSIGN(const ModelTensors tensors, ModelTensors::Open(source));
  ASSERT_OK(WriteModelDirectory(target, tensors.tensors(), {.source = source}));
  ASSERT_OK_AND_ASSIGN(const std::string expected, ModelFingerprint(source));
  EXPECT_THAT(ModelFingerprint(target), testing::IsOkAndHolds(expected));
  EXPECT_EQ(*base::Sha256OfFile(target / "tokenizer.json"),
            *base::Sha256OfFile(source / "tokenizer.json"));
}

}  // namespace
}  // namespace varalign::checkpoint
