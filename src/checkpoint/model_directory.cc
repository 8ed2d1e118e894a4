// The writing half.
#include "checkpoint/model_directory.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "checkpoint/model_files.h"
#include "checkpoint/text_file.h"
#include "checkpoint/weight_dtype.h"
#include "checkpoint/weight_writer.h"

namespace varalign::checkpoint {
namespace {

using base::Json;
using Path = std::filesystem::path;
using Files = std::vector<ModelFile>;
using Tensors = std::span<const NamedTensor>;

absl::StatusOr<ModelFile> WriteConfig(const Path& target, Tensors tensors,
                                      const WriteModelOptions& options) {
  ASSIGN_OR_RETURN(Json config, ReadJsonObject(options.source / kConfigName));
  if (!tensors.empty()) {
    const std::string dtype = DtypeConfigName(
        options.dtype.value_or(tensors.front().second.scalar_type()));
    const bool older = config.contains("torch_dtype");
    if (older) config["torch_dtype"] = dtype;
    if (!older || config.contains("dtype")) config["dtype"] = dtype;
  }
  return WriteTextFile(target, kConfigName, base::DumpJsonPretty(config));
}

absl::Status CopyFiles(const Path& target, const Path& source, Files& files) {
  for (const std::string& name : CopiedFiles()) {
    const absl::StatusOr<std::string> text = base::ReadFile(source / name);
    if (absl::IsNotFound(text.status())) continue;
    RETURN_IF_ERROR(text.status());
    ASSIGN_OR_RETURN(files.emplace_back(), WriteTextFile(target, name, *text));
  }
  return absl::OkStatus();
}

absl::Status CheckSpace(const Path& target, uint64_t needed) {
  ASSIGN_OR_RETURN(const uint64_t free, base::FreeBytes(target));
  if (free >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("disk has too little room for a model: ", needed,
                   " bytes needed, ", free, " free at ", target.string()));
}

absl::StatusOr<Files> FillDirectory(const Path& target, Tensors tensors,
                                    const WriteModelOptions& options) {
  RETURN_IF_ERROR(CheckSpace(target, WrittenBytes(tensors, options)));
  Files files;
  ASSIGN_OR_RETURN(files.emplace_back(), WriteConfig(target, tensors, options));
  RETURN_IF_ERROR(CopyFiles(target, options.source, files));
  ASSIGN_OR_RETURN(Files weights, WriteWeights(target, tensors, options));
  std::ranges::move(weights, std::back_inserter(files));
  RETURN_IF_ERROR(base::SyncDirectory(target));
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

}  // namespace

absl::StatusOr<Files> WriteModelDirectory(const Path& target, Tensors tensors,
                                          const WriteModelOptions& options) {
  const Path parent = target.parent_path();
  if (!parent.empty()) RETURN_IF_ERROR(base::CreateDirectories(parent));
  std::error_code error;
  if (!std::filesystem::create_directory(target, error)) {
    if (error) return base::ErrnoStatus(error.value(), "create", target);
    return absl::AlreadyExistsError(absl::StrCat(
        "model directory exists, choose a new one: ", target.string()));
  }
  absl::StatusOr<Files> files = FillDirectory(target, tensors, options);
  if (!files.ok()) std::filesystem::remove_all(target, error);
  return files;
}

}  // namespace varalign::checkpoint
