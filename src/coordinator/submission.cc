#include "coordinator/submission.h"

#include <random>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "config/difference.h"
#include "config/rules.h"
#include "config/run_config_loader.h"
#include "coordinator/run_directory.h"
#include "data/manifest.h"
#include "data/plan.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace varalign::coordinator {
namespace {

constexpr absl::Duration kTurnTimeout = absl::Seconds(20);
constexpr size_t kMaxRequestIdBytes = 128;

// Equal messages have equal bytes.
std::string CanonicalBytes(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream output(&bytes);
    google::protobuf::io::CodedOutputStream coded(&output);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

// What was asked for, under whatever id.
std::string DigestOf(v1::SubmitRunRequest request) {
  request.clear_request_id();
  return base::Sha256(CanonicalBytes(request));
}

std::string NewRunId() {
  std::random_device random;
  const uint64_t bits = (uint64_t{random()} << 32) | random();
  return absl::StrFormat("r-%010x", bits & 0xff'ffff'ffff);
}

absl::Status CheckRequestId(const std::string& request_id) {
  if (!request_id.empty() && request_id.size() <= kMaxRequestIdBytes) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("request_id: must have 1 to ", kMaxRequestIdBytes,
                   " bytes, has ", request_id.size()));
}

absl::Status CheckAbsolute(const std::string& field, const std::string& path) {
  if (path.empty() || std::filesystem::path(path).is_absolute()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field,
                   ": must be an absolute path, as the coordinator may run "
                   "elsewhere, got '",
                   path, "'"));
}

absl::Status CheckConfig(const v1::RunConfig& config) {
  RETURN_IF_ERROR(config::CheckRunConfig(config));
  RETURN_IF_ERROR(CheckAbsolute("model.path", config.model().path()));
  RETURN_IF_ERROR(CheckAbsolute("data.path", config.data().path()));
  RETURN_IF_ERROR(CheckAbsolute("reward.path", config.reward().path()));
  return CheckAbsolute("eval.path", config.eval().path());
}

}  // namespace

absl::StatusOr<uint64_t> TotalSteps(const v1::RunConfig& config) {
  ASSIGN_OR_RETURN(const v1::DatasetManifest manifest,
                   data::ReadManifest(config.data().path()));
  ASSIGN_OR_RETURN(const data::Plan plan,
                   data::PlanOf(config.train(), config.objective(), manifest));
  return plan.total_steps();
}

Submissions::Submissions(std::filesystem::path run_root,
                         const RunDatabase& database, RunRegistry& registry)
    : run_root_(std::move(run_root)),
      database_(database),
      registry_(registry) {}

absl::StatusOr<v1::Run> Submissions::Submit(
    const v1::SubmitRunRequest& request) {
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  {
    absl::MutexLock lock(&mutex_);
    const auto is_free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !has_turn_;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&is_free), kTurnTimeout)) {
      return absl::UnavailableError(
          "other submissions are being written: try again");
    }
    has_turn_ = true;
  }
  const auto give_turn = absl::MakeCleanup([this] {
    absl::MutexLock lock(&mutex_);
    has_turn_ = false;
  });
  return SubmitInTurn(request);
}

absl::StatusOr<v1::Run> Submissions::SubmitInTurn(
    const v1::SubmitRunRequest& request) {
  PutRequest entry{.request_id = request.request_id(),
                   .digest = DigestOf(request),
                   .run_id = request.resume_run_id()};
  // A submission before, whose reply did not wait for the disk to the end, is
  // not to be taken for none.
  RETURN_IF_ERROR(registry_.Settle());
  ASSIGN_OR_RETURN(const std::optional<PutRequest> known,
                   database_.Request(request.request_id()));
  if (!known) {
    return request.resume_run_id().empty()
               ? SubmitNew(request, std::move(entry))
               : Resume(request, std::move(entry));
  }
  if (known->digest != entry.digest) {
    return absl::AlreadyExistsError(absl::StrCat(
        "this request id was used for another request: choose a new one; run ",
        known->run_id, ", request id ", request.request_id()));
  }
  ASSIGN_OR_RETURN(RunRecord record, database_.Run(known->run_id));
  return std::move(record.run);
}

absl::StatusOr<v1::Run> Submissions::SubmitNew(
    const v1::SubmitRunRequest& request, PutRequest entry) {
  RETURN_IF_ERROR(CheckConfig(request.config()));
  ASSIGN_OR_RETURN(const uint64_t total_steps, TotalSteps(request.config()));
  v1::Run run;
  run.set_run_id(NewRunId());
  entry.run_id = run.run_id();
  const std::string name =
      request.directory().empty() ? run.run_id() : request.directory();
  RETURN_IF_ERROR(CheckDirectoryName(name));
  run.set_directory((run_root_ / name).string());
  run.set_name(request.config().name());
  *run.mutable_config() = request.config();
  run.set_total_steps(total_steps);
  RETURN_IF_ERROR(CreateRunDirectory(
      run.directory(), {database_.id(), run.run_id()}, request.config(),
      [this](const std::string& run_id) {
        return !absl::IsNotFound(database_.Run(run_id).status());
      }));
  return registry_.AddRun(entry, std::move(run));
}

absl::StatusOr<v1::Run> Submissions::Resume(const v1::SubmitRunRequest& request,
                                            PutRequest entry) {
  ASSIGN_OR_RETURN(RunRecord record, database_.Run(request.resume_run_id()));
  // A key that is younger than the run has its default.
  config::FillDefaults(*record.run.mutable_config());
  const std::vector<std::string> differences =
      request.has_config()
          ? config::Differences(record.run.config(), request.config())
          : std::vector<std::string>();
  if (!differences.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "config: a resumed run keeps its own configuration: leave it out, or "
        "submit a new run; run ",
        record.run.run_id(), ": ", absl::StrJoin(differences, "; ")));
  }
  RETURN_IF_ERROR(CheckRunDirectory(record.run.directory(),
                                    {database_.id(), record.run.run_id()}));
  ASSIGN_OR_RETURN(const uint64_t total_steps, TotalSteps(record.run.config()));
  if (total_steps != record.run.total_steps()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the data set was changed since the run was submitted: submit a new "
        "run; steps then ",
        record.run.total_steps(), ", now ", total_steps));
  }
  ASSIGN_OR_RETURN(const std::vector<LedgerRow> ledger,
                   database_.LiveLedger(record.run.run_id()));
  uint64_t tokens = 0;
  for (const LedgerRow& row : ledger) {
    if (row.step < record.run.checkpoint_step()) tokens += row.tokens;
  }
  return registry_.ResumeRun(entry, std::move(record), tokens);
}

}  // namespace varalign::coordinator
