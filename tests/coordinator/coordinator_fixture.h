// A coordinator in this process, a data set for its runs, and a client.
#ifndef VARALIGN_TESTS_COORDINATOR_COORDINATOR_FIXTURE_H_
#define VARALIGN_TESTS_COORDINATOR_COORDINATOR_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/version.h"
#include "config/run_config_loader.h"
#include "coordinator/coordinator.h"
#include "data/manifest.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "varalign/v1/coordinator.grpc.pb.h"

namespace varalign::coordinator {

// A data set of `num_examples` with two responses each; its shard holds no
// rows: the coordinator never looks into it.
inline void WriteDataset(const std::filesystem::path& directory,
                         uint64_t num_examples,
                         const std::string& shard = "shard bytes") {
  ASSERT_OK(base::CreateDirectories(directory));
  ASSERT_OK(
      base::WriteFileAtomically(directory / "shard-00000.safetensors", shard));
  v1::DatasetManifest manifest;
  manifest.set_format_version(1);
  manifest.set_num_examples(num_examples);
  manifest.set_num_rows(2 * num_examples);
  manifest.set_min_responses(2);
  manifest.set_max_responses(2);
  v1::Shard& entry = *manifest.add_shards();
  entry.set_file("shard-00000.safetensors");
  entry.set_num_bytes(shard.size());
  entry.set_xxh3_128(base::Xxh3(shard));
  entry.set_num_examples(num_examples);
  entry.set_num_rows(2 * num_examples);
  ASSERT_OK(data::WriteManifest(directory, manifest));
}

// Eight examples in batches of two are four steps an epoch.
inline v1::RunConfig MakeConfig(const std::filesystem::path& dataset,
                                uint32_t workers, uint64_t max_steps) {
  const std::string yaml = absl::StrCat(
      "name: small\nmodel: {path: /models/none}\ndata: {path: ",
      dataset.string(),
      "}\ntrain: {epochs: 100, global_batch: 2, workers: ", workers,
      ", max_steps: ", max_steps, "}\n");
  const auto loaded = config::ParseRunConfig(yaml, "/run.yaml", {});
  EXPECT_OK(loaded);
  return loaded.ok() ? loaded->config : v1::RunConfig();
}

class CoordinatorTest : public ::testing::Test {
 protected:
  CoordinatorTest() {
    WriteDataset(dataset(), 8);
    options_.state_directory = directory_ / "state";
    options_.rules.membership.settle = absl::Milliseconds(300);
    options_.rules.heartbeat_interval = absl::Milliseconds(500);
  }

  void Start() {
    auto coordinator = Coordinator::Start(options_, clock_);
    ASSERT_OK(coordinator);
    coordinator_ = *std::move(coordinator);
    const auto channel = rpc::MakeChannel(coordinator_->address());
    ASSERT_OK(channel);
    runs_ = v1::RunService::NewStub(*channel);
    workers_ = v1::WorkerService::NewStub(*channel);
  }
  void Stop() { coordinator_.reset(); }

  std::filesystem::path dataset() const { return directory_ / "dataset"; }

  v1::SubmitRunRequest NewRequest(const std::string& request_id,
                                  uint32_t workers = 1,
                                  uint64_t max_steps = 6) const {
    v1::SubmitRunRequest request;
    request.set_request_id(request_id);
    *request.mutable_config() = MakeConfig(dataset(), workers, max_steps);
    return request;
  }
  absl::StatusOr<v1::Run> Submit(const v1::SubmitRunRequest& request) {
    return CallRuns(&v1::RunService::Stub::SubmitRun, request);
  }
  absl::StatusOr<v1::Run> Get(const std::string& run_id) {
    v1::GetRunRequest request;
    request.set_run_id(run_id);
    return CallRuns(&v1::RunService::Stub::GetRun, request);
  }
  absl::StatusOr<v1::Run> Cancel(const std::string& run_id) {
    v1::CancelRunRequest request;
    request.set_run_id(run_id);
    return CallRuns(&v1::RunService::Stub::CancelRun, request);
  }

  // All events of the run until it ends, without those that are not kept.
  std::vector<v1::RunEvent> WatchToEnd(const std::string& run_id,
                                       uint64_t after = 0) {
    v1::WatchRunRequest request;
    request.set_run_id(run_id);
    request.set_after_event(after);
    grpc::ClientContext context;
    rpc::SetDeadline(context, absl::Seconds(60));
    const auto reader = runs_->WatchRun(&context, request);
    std::vector<v1::RunEvent> events;
    v1::RunEvent event;
    while (reader->Read(&event)) {
      if (event.number() > 0) events.push_back(event);
    }
    EXPECT_OK(rpc::FromGrpc(reader->Finish()));
    return events;
  }

  // ------------------------------------------------ a worker, call by call
  absl::Status RegisterSlot(const std::string& slot_id) {
    v1::RegisterRequest request;
    request.set_slot_id(slot_id);
    request.set_host("node");
    request.set_launcher_rank(-1);
    request.set_protocol(base::kProtocol);
    return CallWorkers(&v1::WorkerService::Stub::Register, request).status();
  }
  absl::StatusOr<v1::HeartbeatResponse> BeatSlot(
      const std::string& slot_id, const v1::ProcessStatus* process = nullptr) {
    v1::HeartbeatRequest request;
    request.mutable_slot()->set_slot_id(slot_id);
    if (process != nullptr)
      *request.mutable_slot()->mutable_process() = *process;
    return CallWorkers(&v1::WorkerService::Stub::Heartbeat, request);
  }
  absl::StatusOr<v1::HeartbeatResponse> BeatRank(
      const v1::RankIdentity& identity) {
    v1::HeartbeatRequest request;
    *request.mutable_rank()->mutable_identity() = identity;
    return CallWorkers(&v1::WorkerService::Stub::Heartbeat, request);
  }
  // Heartbeats of an idle slot until it is told to start a rank.
  v1::RankIdentity AwaitStart(const std::string& slot_id) {
    for (int i = 0; i < 100; ++i) {
      const auto reply = BeatSlot(slot_id);
      EXPECT_OK(reply);
      if (!reply.ok()) break;
      if (reply->has_start()) return reply->start().identity();
    }
    ADD_FAILURE() << slot_id << " was told to start nothing";
    return {};
  }
  static v1::ProcessStatus Running(const v1::RankIdentity& identity) {
    v1::ProcessStatus process;
    *process.mutable_identity() = identity;
    process.set_pid(4711);
    return process;
  }
  static v1::ProcessStatus Exited(const v1::RankIdentity& identity,
                                  int32_t code, int32_t signal = 0) {
    v1::ProcessStatus process = Running(identity);
    process.set_exited(true);
    process.set_exit_code(code);
    process.set_signal(signal);
    return process;
  }
  absl::StatusOr<v1::LeaseStepsResponse> Lease(const v1::RankIdentity& identity,
                                               uint64_t begin) {
    v1::LeaseStepsRequest request;
    *request.mutable_identity() = identity;
    request.set_begin(begin);
    return CallWorkers(&v1::WorkerService::Stub::LeaseSteps, request);
  }
  absl::Status Report(const v1::RankIdentity& identity, uint64_t step) {
    v1::ReportStepRequest request;
    *request.mutable_identity() = identity;
    request.mutable_step()->set_step(step);
    request.mutable_step()->set_block_begin(step);
    request.mutable_step()->set_block_end(step + 1);
    return CallWorkers(&v1::WorkerService::Stub::ReportStep, request).status();
  }

  template <typename Request, typename Response>
  absl::StatusOr<Response> CallRuns(
      grpc::Status (v1::RunService::Stub::*method)(grpc::ClientContext*,
                                                   const Request&, Response*),
      const Request& request) {
    return rpc::Call(*runs_, method, request, absl::Seconds(20));
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> CallWorkers(
      grpc::Status (v1::WorkerService::Stub::*method)(grpc::ClientContext*,
                                                      const Request&,
                                                      Response*),
      const Request& request) {
    return rpc::Call(*workers_, method, request, absl::Seconds(20));
  }

  const testing::TempDirectory directory_;
  const base::SystemClock clock_;
  CoordinatorOptions options_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<v1::RunService::Stub> runs_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_TESTS_COORDINATOR_COORDINATOR_FIXTURE_H_
