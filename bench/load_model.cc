// Rate at which a sharded model directory becomes parameters, against plain
// sequential reading of the same files in the same run, in turns. Makes the
// directory, a Llama of random numbers, and removes it. Prints one JSON object.
//
//   load_model --dir DIR --gib 4 --shards 4 --dtype bfloat16 --into bfloat16
//
// The parameters are float32, as those of the CPU build, or of --into.
// --cold drops the files from the page cache before each turn.
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "checkpoint/model_directory.h"
#include "model/parameters.h"

namespace varalign {
namespace {

using base::Json;
using Path = std::filesystem::path;

struct Arguments {
  std::string directory = "load_model.tmp";
  double gib = 2;
  uint64_t shards = 4;
  std::string dtype = "bfloat16";  // of the files
  std::string into = "float32";    // of the parameters
  int threads = 2;
  int rounds = 5;
  bool cold = false;
};

at::ScalarType DtypeOf(const std::string& name) {
  return name == "float32" ? at::kFloat : at::kBFloat16;
}

// A Llama of about `bytes`: as many layers of one size as fit.
Json ConfigOf(double bytes, const std::string& dtype) {
  constexpr int64_t kHidden = 1024, kInner = 4096, kVocabulary = 8192;
  constexpr int64_t kLayer =
      kHidden * (kHidden + 2 * kHidden / 4 + kHidden + 3 * kInner);
  const double element = dtype == "float32" ? 4 : 2;
  const double layers =
      (bytes / element - kVocabulary * kHidden) / static_cast<double>(kLayer);
  return {
      {"architectures", Json::array({"LlamaForCausalLM"})},
      {"model_type", "llama"},
      {"hidden_size", kHidden},
      {"intermediate_size", kInner},
      {"num_hidden_layers", std::max<int64_t>(1, static_cast<int64_t>(layers))},
      {"num_attention_heads", 16},
      {"num_key_value_heads", 4},
      {"max_position_embeddings", 2048},
      {"tie_word_embeddings", true},
      {"vocab_size", kVocabulary},
      {"torch_dtype", dtype}};
}

absl::Status MakeModel(const Arguments& arguments, const Path& model) {
  const Path source = Path(arguments.directory) / "source";
  RETURN_IF_ERROR(base::CreateDirectories(source));
  const double bytes = arguments.gib * (1 << 30);
  RETURN_IF_ERROR(base::WriteFileAtomically(
      source / "config.json",
      base::DumpJsonPretty(ConfigOf(bytes, arguments.dtype))));
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(source));
  model::Parameters parameters = model::MakeParameters(config, at::kFloat);
  model::InitializeRandomly(1, parameters);
  return checkpoint::WriteModelDirectory(
             model, model::HuggingFaceTensors(parameters),
             {.source = source,
              .max_shard_bytes =
                  static_cast<uint64_t>(bytes) / arguments.shards,
              .dtype = DtypeOf(arguments.dtype)})
      .status();
}

std::vector<Path> Shards(const Path& model) {
  std::vector<Path> shards;
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    if (entry.path().extension() == ".safetensors") {
      shards.push_back(entry.path());
    }
  }
  std::sort(shards.begin(), shards.end());
  return shards;
}

void DropFromCache(const std::vector<Path>& files) {
  for (const Path& file : files) {
    const base::FileDescriptor descriptor(open(file.c_str(), O_RDONLY));
    posix_fadvise(descriptor.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
}

absl::StatusOr<double> SecondsOf(absl::FunctionRef<absl::Status()> call) {
  const absl::Time begin = absl::Now();
  RETURN_IF_ERROR(call());
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

// As dd and cat do it.
absl::Status ReadPlainly(const std::vector<Path>& files) {
  uint64_t bytes = 0;
  for (const Path& file : files) {
    RETURN_IF_ERROR(base::ReadFileInBlocks(
        file, [&](std::string_view block) { bytes += block.size(); }));
  }
  return bytes > 0 ? absl::OkStatus() : absl::DataLossError("no bytes");
}

absl::Status Load(const Path& directory, at::ScalarType dtype) {
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(directory));
  ASSIGN_OR_RETURN(const checkpoint::ModelTensors tensors,
                   checkpoint::ModelTensors::Open(directory));
  return model::ParametersOf(config, tensors.tensors(), dtype).status();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

absl::StatusOr<Json> Measure(const Arguments& arguments, const Path& model) {
  const std::vector<Path> files = Shards(model);
  uint64_t bytes = 0;
  for (const Path& file : files) bytes += std::filesystem::file_size(file);
  std::vector<double> reads, loads, ratios;
  RETURN_IF_ERROR(ReadPlainly(files));  // warms the cache
  for (int round = 0; round < arguments.rounds; ++round) {
    if (arguments.cold) DropFromCache(files);
    ASSIGN_OR_RETURN(const double read,
                     SecondsOf([&] { return ReadPlainly(files); }));
    if (arguments.cold) DropFromCache(files);
    ASSIGN_OR_RETURN(const double load, SecondsOf([&] {
                       return Load(model, DtypeOf(arguments.into));
                     }));
    reads.push_back(static_cast<double>(bytes) / read / 1e9);
    loads.push_back(static_cast<double>(bytes) / load / 1e9);
    ratios.push_back(read / load);
  }
  return Json{{"version", 1},
              {"benchmark", "load_model"},
              {"bytes", bytes},
              {"shards", files.size()},
              {"dtype", arguments.dtype},
              {"into", arguments.into},
              {"threads", arguments.threads},
              {"cold", arguments.cold},
              {"read_gb_per_s", Median(reads)},
              {"load_gb_per_s", Median(loads)},
              {"ratio_median", Median(ratios)},
              {"ratios", ratios}};
}

absl::Status Run(const Arguments& arguments) {
  at::set_num_threads(arguments.threads);
  if (std::filesystem::exists(arguments.directory)) {
    return absl::AlreadyExistsError(absl::StrCat(
        "--dir is made and removed, name a new one: ", arguments.directory));
  }
  const Path model = Path(arguments.directory) / "model";
  const auto make_and_measure = [&]() -> absl::StatusOr<Json> {
    RETURN_IF_ERROR(MakeModel(arguments, model));
    return Measure(arguments, model);
  };
  const absl::StatusOr<Json> result = make_and_measure();
  std::error_code ignored;
  std::filesystem::remove_all(arguments.directory, ignored);
  if (!result.ok()) return result.status();
  std::printf("%s\n", base::DumpJson(*result).c_str());
  return absl::OkStatus();
}

void AddOptions(CLI::App& app, Arguments& arguments) {
  app.add_option("--dir", arguments.directory, "made and removed");
  app.add_option("--gib", arguments.gib, "of the model's files");
  app.add_option("--shards", arguments.shards)->check(CLI::PositiveNumber);
  app.add_option("--dtype", arguments.dtype, "of the files")
      ->check(CLI::IsMember({"float32", "bfloat16"}));
  app.add_option("--into", arguments.into, "dtype of the parameters")
      ->check(CLI::IsMember({"float32", "bfloat16"}));
  app.add_option("--threads", arguments.threads);
  app.add_option("--rounds", arguments.rounds)->check(CLI::PositiveNumber);
  app.add_flag("--cold", arguments.cold, "drop the files from the page cache");
}

}  // namespace
}  // namespace varalign

int main(int argc, char** argv) {
  namespace base = varalign::base;
  varalign::Arguments arguments;
  CLI::App app("Rate of loading a model against plain reading");
  varalign::AddOptions(app, arguments);
  CLI11_PARSE(app, argc, argv);
  base::KeepFreedMemory();  // as varalign-trainer does
  const absl::Status status =
      base::CatchExceptions([&] { return varalign::Run(arguments); });
  if (status.ok()) return 0;
  std::fprintf(stderr, "load_model: %s\n",
               std::string(base::ToStd(status.message())).c_str());
  return static_cast<int>(base::ExitCodeFor(status));
}
