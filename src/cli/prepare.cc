#include "cli/prepare.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cli/prepare_encoder.h"
#include "cli/prepare_rejects.h"
#include "cli/prepare_row.h"
#include "cli/row_lengths.h"
#include "data/dataset.h"
#include "data/manifest.h"
#include "data/row_source.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchRows = 512;
// A batch of long rows is closed early: between batches one can be stopped.
constexpr size_t kBatchBytes = 1u << 20;
constexpr size_t kRowsShown = 3;
constexpr char kRejectedFile[] = "rejected.jsonl";

// A directory beside the one to come, removed unless it takes that one's place.
class Staging {
 public:
  static absl::StatusOr<Staging> Create(const fs::path& out) {
    std::error_code error;
    if (fs::exists(out, error) &&
        !(fs::is_directory(out, error) && fs::is_empty(out, error))) {
      return absl::AlreadyExistsError(absl::StrCat(
          "the output is not an empty directory, choose another one: ",
          out.string()));
    }
    const fs::path parent = fs::absolute(out).parent_path();
    RETURN_IF_ERROR(base::CreateDirectories(parent));
    const fs::path path =
        parent / absl::StrCat(".", out.filename().string(), ".partial-",
                              static_cast<int64_t>(getpid()));
    fs::remove_all(path, error);  // of an earlier process with our number
    RETURN_IF_ERROR(base::CreateDirectories(path));
    return Staging(path);
  }
  Staging(Staging&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~Staging() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  const fs::path& path() const { return path_; }
  absl::Status MoveTo(const fs::path& out) {
    RETURN_IF_ERROR(base::RenameDurably(path_, out));
    path_.clear();
    return absl::OkStatus();
  }

 private:
  explicit Staging(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

// Runs `work` for 0 ... count-1 on `num_threads` threads.
void ForEach(size_t count, uint32_t num_threads,
             const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> threads;
  for (uint32_t t = 1; t < num_threads && t < count; ++t) {
    threads.emplace_back(run);
  }
  run();
}

uint64_t TotalBytes(const std::vector<fs::path>& inputs) {
  uint64_t total = 0;
  for (const fs::path& input : inputs) {
    std::error_code error;
    const uint64_t size = fs::file_size(input, error);
    if (error) return 0;  // standard input
    total += size;
  }
  return total;
}

absl::StatusOr<std::vector<ExampleEncoder>> LoadEncoders(
    const PrepareOptions& options) {
  std::vector<ExampleEncoder> encoders;
  ASSIGN_OR_RETURN(ExampleEncoder policy,
                   ExampleEncoder::Load(options.model, options.max_length));
  encoders.push_back(std::move(policy));
  if (!options.reward.has_value()) return encoders;
  ASSIGN_OR_RETURN(ExampleEncoder reward,
                   ExampleEncoder::Load(*options.reward));
  if (!data::SameText(encoders[0].View(), reward.View())) {
    encoders.push_back(std::move(reward));
  }
  return encoders;
}

// The work on all rows, batch by batch: read, encode on all threads, write in
// the order of the files.
class Preparation {
 public:
  Preparation(const PrepareOptions& options,
              const std::vector<ExampleEncoder>& encoders,
              data::DatasetWriter writer, fs::path rejected)
      : options_(options),
        writer_(std::move(writer)),
        rejected_(std::move(rejected)),
        progress_("tokenise", "bytes", TotalBytes(options.inputs),
                  options.progress),
        format_(options.format) {
    result_.max_length = encoders[0].max_length();
    for (const ExampleEncoder& encoder : encoders) {
      encoders_.push_back(&encoder);
      result_.max_length = std::min(result_.max_length, encoder.max_length());
    }
  }

  absl::Status ReadFile(const fs::path& path) {
    ASSIGN_OR_RETURN(data::RowSource source, data::RowSource::Open(path));
    const uint64_t rows_before = result_.num_rows;
    uint64_t num_taken = 0;
    while (true) {
      if (options_.stop()) return absl::CancelledError("interrupted");
      ASSIGN_OR_RETURN(const std::vector<data::SourceLine> batch,
                       NextBatch(source));
      if (batch.empty()) break;
      RETURN_IF_ERROR(AddBatch(path, batch));
      progress_.Advance(source.num_taken() - num_taken);
      num_taken = source.num_taken();
    }
    const std::optional<data::HhSubset> subset = data::HhSubsetOf(path);
    if (subset.has_value() && format_ == data::RowFormat::kHh) {
      result_.subsets.push_back({*subset, result_.num_rows - rows_before});
    }
    return absl::OkStatus();
  }

  // The counts, once the shares of what is left out have been looked at.
  absl::StatusOr<PrepareResult> Finish() {
    RETURN_IF_ERROR(rejected_.Commit());
    RETURN_IF_ERROR(CheckRejected());
    v1::DatasetManifest manifest;
    manifest.set_source_format(result_.description);
    *manifest.mutable_policy_view() = encoders_[0]->View();
    if (encoders_.size() > 1) {
      *manifest.mutable_reward_view() = encoders_[1]->View();
    }
    manifest.set_num_rejected(result_.num_rejected + result_.num_too_long);
    manifest.set_num_truncated(result_.num_truncated);
    ASSIGN_OR_RETURN(manifest, writer_.Finish(std::move(manifest)));
    progress_.Finish();
    result_.rendering = manifest.policy_view().rendering();
    result_.num_examples = manifest.num_examples();
    result_.num_responses = manifest.num_rows();
    result_.num_tokens = manifest.num_tokens();
    if (rejected_.any()) result_.rejected_file = kRejectedFile;
    for (const InspectedRow& row : first_rows_) {
      ASSIGN_OR_RETURN(
          std::string text,
          InspectedText(row, encoders_[0]->tokenizer(), options_.marks));
      result_.shown.push_back(std::move(text));
    }
    return std::move(result_);
  }

 private:
  absl::StatusOr<std::vector<data::SourceLine>> NextBatch(
      data::RowSource& source) {
    std::vector<data::SourceLine> batch;
    size_t bytes = 0;
    while (batch.size() < kBatchRows && bytes < kBatchBytes) {
      ASSIGN_OR_RETURN(std::optional<data::SourceLine> line, source.Next());
      if (!line.has_value()) break;
      bytes += line->text.size();
      FixFormat(*line);
      batch.push_back(*std::move(line));
    }
    return batch;
  }

  // All rows are read as the first one that shows a format.
  void FixFormat(const data::SourceLine& line) {
    if (!result_.description.empty()) return;
    const absl::StatusOr<base::Json> row = ReadRow(line, options_.columns);
    if (!row.ok()) return;
    if (!format_.has_value()) {
      const absl::StatusOr<data::RowFormat> found = data::DetectFormat(*row);
      if (!found.ok()) return;
      format_ = *found;
    }
    result_.format = data::NameOf(*format_);
    result_.description = data::DescribeRow(*row, *format_);
  }

  absl::Status AddBatch(const fs::path& file,
                        const std::vector<data::SourceLine>& batch) {
    std::vector<PreparedRow> rows(batch.size());
    ForEach(batch.size(), options_.num_threads, [&](size_t i) {
      rows[i] = PrepareRow(batch[i], format_, encoders_, options_);
    });
    for (size_t i = 0; i < batch.size(); ++i) {
      RETURN_IF_ERROR(AddRow(file, batch[i], rows[i]));
    }
    return absl::OkStatus();
  }

  absl::Status AddRow(const fs::path& file, const data::SourceLine& line,
                      const PreparedRow& row) {
    ++result_.num_rows;
    if (!row.status.ok()) return SetAside(file, line, row.status);
    for (const std::string& reason : row.dropped) {
      ++result_.num_dropped_responses;
      RETURN_IF_ERROR(
          rejected_.Add(file, line, reason, RejectedRows::Extent::kResponse));
    }
    result_.num_truncated += row.truncated ? 1 : 0;
    result_.num_unstable += row.num_unstable;
    KeepToShow(row.example);
    return writer_.Add(row.example);
  }

  void KeepToShow(const data::NewExample& example) {
    for (const data::NewRow& row : example.rows) {
      if (first_rows_.size() == kRowsShown) return;
      first_rows_.push_back({first_rows_.size(), example.prompt, row.response});
    }
  }

  absl::Status SetAside(const fs::path& file, const data::SourceLine& line,
                        const absl::Status& status) {
    if (absl::IsInvalidArgument(status)) {
      if (result_.num_rejected++ == 0) {
        first_reason_ = absl::StrCat(file.string(), ":", line.number, ": ",
                                     status.message());
      }
    } else if (absl::IsOutOfRange(status)) {
      ++result_.num_too_long;
    } else {
      return status;
    }
    return rejected_.Add(file, line, std::string(status.message()),
                         RejectedRows::Extent::kRow);
  }

  absl::Status CheckRejected() const {
    if (result_.num_rows == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("no rows in ", options_.inputs[0].string()));
    }
    const auto rejected = static_cast<double>(result_.num_rejected);
    const auto rows = static_cast<double>(result_.num_rows);
    if (rejected > options_.max_bad_fraction * rows) {
      return absl::InvalidArgumentError(absl::StrCat(
          "more than --max-bad-fraction ", options_.max_bad_fraction,
          " of the rows rejected: ", result_.num_rejected, " of ",
          result_.num_rows, ", the first at ", first_reason_));
    }
    RETURN_IF_ERROR(CheckLengths({.num_rows = result_.num_rows,
                                  .num_too_long = result_.num_too_long,
                                  .limit = result_.max_length},
                                 options_.max_bad_fraction));
    if (result_.num_rejected + result_.num_too_long == result_.num_rows) {
      return absl::InvalidArgumentError(
          absl::StrCat("no row can be used: ", result_.num_rejected,
                       " rejected, ", result_.num_too_long, " too long"));
    }
    return absl::OkStatus();
  }

  const PrepareOptions& options_;
  std::vector<const ExampleEncoder*> encoders_;
  data::DatasetWriter writer_;
  RejectedRows rejected_;
  base::Progress progress_;
  std::optional<data::RowFormat> format_;
  PrepareResult result_;
  std::vector<InspectedRow> first_rows_;
  std::string first_reason_;
};

absl::StatusOr<PrepareResult> Run(const PrepareOptions& options,
                                  const std::vector<ExampleEncoder>& encoders,
                                  const fs::path& directory) {
  ASSIGN_OR_RETURN(
      data::DatasetWriter writer,
      data::DatasetWriter::Create(directory, data::DatasetWriter::kShardBytes,
                                  options.kept));
  Preparation preparation(options, encoders, std::move(writer),
                          directory / kRejectedFile);
  for (const fs::path& input : options.inputs) {
    RETURN_IF_ERROR(preparation.ReadFile(input));
  }
  return preparation.Finish();
}

// After a failure the rejected rows are what the user wants to see.
absl::Status KeepRejected(const Staging& staging, const fs::path& out,
                          const absl::Status& status) {
  const fs::path kept = out.string() + "." + kRejectedFile;
  std::error_code error;
  if (!absl::IsInvalidArgument(status)) return status;
  fs::rename(staging.path() / kRejectedFile, kept, error);
  if (error) return status;
  return absl::InvalidArgumentError(
      absl::StrCat(status.message(), "; see ", kept.string()));
}

}  // namespace

absl::StatusOr<PrepareResult> Prepare(const PrepareOptions& given) {
  PrepareOptions options = given;
  if (options.out.filename().empty()) options.out = options.out.parent_path();
  ASSIGN_OR_RETURN(const std::vector<ExampleEncoder> encoders,
                   LoadEncoders(options));
  ASSIGN_OR_RETURN(Staging staging, Staging::Create(options.out));
  absl::StatusOr<PrepareResult> result = Run(options, encoders, staging.path());
  if (!result.ok()) {
    return KeepRejected(staging, options.out, result.status());
  }
  if (options.stop()) return absl::CancelledError("interrupted");
  RETURN_IF_ERROR(staging.MoveTo(options.out));
  if (result->rejected_file.has_value()) {
    result->rejected_file = options.out / *result->rejected_file;
  }
  return result;
}

}  // namespace varalign::cli
