#include "tests/coordinator/fake_pool.h"

#include <signal.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "rpc/call.h"
#include "rpc/channel.h"

namespace varalign::coordinator {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr absl::Duration kRetry = absl::Milliseconds(20);

std::string GroupName(const v1::RankIdentity& identity) {
  return absl::StrCat(identity.run_id(), "@", identity.token().incarnation(),
                      ".", identity.token().generation());
}

}  // namespace

struct FakePool::Process {
  v1::RankIdentity identity;
  uint32_t world_size = 0;
  uint32_t pid = 0;

  absl::Mutex mutex;
  bool killed ABSL_GUARDED_BY(mutex) = false;
  bool left ABSL_GUARDED_BY(mutex) = false;
  int32_t exit_code ABSL_GUARDED_BY(mutex) = 0;

  std::thread rank;
  std::thread heart;

  bool IsKilled() {
    absl::MutexLock lock(&mutex);
    return killed;
  }
  bool HasLeft() {
    absl::MutexLock lock(&mutex);
    return left || killed;
  }
};

struct FakePool::Slot {
  std::string slot_id;
  std::shared_ptr<Process> process;
  std::thread thread;
};

FakePool::FakePool(AddressSource address, const FakePoolOptions& options)
    : address_(std::move(address)), options_(options) {
  for (int i = 0; i < options.num_slots; ++i) {
    auto& slot = slots_.emplace_back(std::make_unique<Slot>());
    slot->slot_id = absl::StrCat("slot-", i);
    slot->thread = std::thread([this, &slot = *slot] { RunSlot(slot); });
  }
}

FakePool::~FakePool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (auto& slot : slots_) slot->thread.join();
}

bool FakePool::KillRank(uint32_t rank) {
  absl::MutexLock lock(&mutex_);
  for (const auto& process : processes_) {
    if (process->identity.rank() != rank || process->HasLeft()) continue;
    absl::MutexLock process_lock(&process->mutex);
    process->killed = true;
    broken_[GroupName(process->identity)] = true;
    return true;
  }
  return false;
}

int FakePool::num_started() const {
  absl::MutexLock lock(&mutex_);
  return num_started_;
}

template <typename Service, typename Request, typename Response>
absl::StatusOr<Response> FakePool::Call(
    grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                          Response*),
    const Request& request) {
  const absl::Time give_up = absl::Now() + kPatience;
  while (true) {
    absl::StatusOr<Response> response = absl::UnavailableError("not dialled");
    if (const auto channel = rpc::MakeChannel(address_()); channel.ok()) {
      const auto stub = Service::NewStub(*channel);
      response = rpc::Call(*stub, method, request, kCallTimeout);
    }
    const bool may_retry =
        rpc::IsRetryable(response.status()) && absl::Now() < give_up;
    absl::MutexLock lock(&mutex_);
    if (!may_retry || stopping_) return response;
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kRetry);
  }
}

void FakePool::RunSlot(Slot& slot) {
  const auto is_stopping = [this] {
    absl::MutexLock lock(&mutex_);
    return stopping_;
  };
  bool is_registered = false;
  while (!is_stopping()) {
    if (!is_registered) {
      v1::RegisterRequest request;
      request.set_slot_id(slot.slot_id);
      request.set_host("node");
      request.set_pid(1);
      request.set_launcher_rank(-1);
      request.set_protocol(base::kProtocol);
      is_registered =
          Call<v1::WorkerService>(&v1::WorkerService::Stub::Register, request)
              .ok();
      continue;
    }
    v1::HeartbeatRequest request;
    request.mutable_slot()->set_slot_id(slot.slot_id);
    if (slot.process) {
      v1::ProcessStatus& status = *request.mutable_slot()->mutable_process();
      *status.mutable_identity() = slot.process->identity;
      status.set_pid(slot.process->pid);
      absl::MutexLock lock(&slot.process->mutex);
      status.set_exited(slot.process->left || slot.process->killed);
      status.set_exit_code(slot.process->exit_code);
      status.set_signal(slot.process->killed ? SIGKILL : 0);
      if (slot.process->killed) status.set_last_lines("the last line\n");
    }
    const auto reply =
        Call<v1::WorkerService>(&v1::WorkerService::Stub::Heartbeat, request);
    if (!reply.ok()) continue;
    if (reply->has_register_again()) is_registered = false;
    if (reply->has_acknowledge_exit() && slot.process) {
      slot.process->rank.join();
      slot.process->heart.join();
      slot.process.reset();
    }
    if (reply->has_stop() && slot.process) {
      absl::MutexLock lock(&slot.process->mutex);
      slot.process->killed = true;
    }
    if (reply->has_start() && !slot.process) {
      slot.process = std::make_shared<Process>();
      slot.process->identity = reply->start().identity();
      slot.process->world_size = reply->start().world_size();
      Process& process = *slot.process;
      absl::MutexLock lock(&mutex_);
      process.pid = static_cast<uint32_t>(1000 + ++num_started_);
      processes_.push_back(slot.process);
      process.rank = std::thread([this, &process] { RunRank(process); });
      process.heart = std::thread([this, &process] { Beat(process); });
    }
  }
  if (slot.process) {
    slot.process->rank.join();
    slot.process->heart.join();
  }
}

void FakePool::RunRank(Process& process) {
  const int32_t code = Train(process);
  absl::MutexLock lock(&mutex_);
  absl::MutexLock process_lock(&process.mutex);
  if (code != 0 && code != 93) broken_[GroupName(process.identity)] = true;
  process.left = true;
  process.exit_code = code;
}

void FakePool::Beat(Process& process) {
  v1::HeartbeatRequest request;
  *request.mutable_rank()->mutable_identity() = process.identity;
  while (!process.HasLeft()) {
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    const auto reply =
        Call<v1::WorkerService>(&v1::WorkerService::Stub::Heartbeat, request);
    if (!reply.ok() || !reply->has_stop()) continue;
    absl::MutexLock lock(&mutex_);
    broken_[GroupName(process.identity)] = true;
  }
}

bool FakePool::MeetOthers(const Process& process, uint64_t step) {
  const std::string group = GroupName(process.identity);
  absl::MutexLock lock(&mutex_);
  uint32_t& met = met_[absl::StrCat(group, "/", step)];
  ++met;
  const auto is_over = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return met >= process.world_size || broken_[group] || stopping_;
  };
  mutex_.Await(absl::Condition(&is_over));
  return met >= process.world_size;
}

int32_t FakePool::Train(Process& process) {
  v1::GetRunRequest get;
  get.set_run_id(process.identity.run_id());
  const auto run = Call<v1::RunService>(&v1::RunService::Stub::GetRun, get);
  if (!run.ok()) return 70;
  uint64_t step = run->checkpoint_step();
  uint64_t saved = step;
  while (!process.IsKilled()) {
    v1::LeaseStepsRequest ask;
    *ask.mutable_identity() = process.identity;
    ask.set_begin(step);
    ask.set_total_steps(run->total_steps());
    const auto lease =
        Call<v1::WorkerService>(&v1::WorkerService::Stub::LeaseSteps, ask);
    if (!lease.ok()) return 70;
    const bool is_last = lease->begin() == lease->end();
    for (; step < lease->end(); ++step) {
      if (!MeetOthers(process, step) || process.IsKilled()) return 70;
      absl::SleepFor(options_.step_time);
      if (process.identity.rank() == 0) {
        v1::ReportStepRequest report;
        *report.mutable_identity() = process.identity;
        v1::StepReport& done = *report.mutable_step();
        done.set_step(step);
        done.set_block_begin(step);
        done.set_block_end(step + 1);
        done.set_rows(4);
        done.set_tokens(100);
        done.set_loss(2.5);
        done.set_learning_rate(1e-5);
        done.set_seconds(absl::ToDoubleSeconds(options_.step_time));
        done.mutable_weights()->set_ess_ratio(0.5);
        if (!Call<v1::WorkerService>(&v1::WorkerService::Stub::ReportStep,
                                     report)
                 .ok()) {
          return 70;
        }
      }
      if ((step + 1) % options_.save_every != 0) continue;
      if (!Save(process, *run, step + 1).ok()) return 70;
      saved = step + 1;
    }
    if (!is_last) continue;
    if (step > saved && !Save(process, *run, step).ok()) return 70;
    return lease->then() == v1::LeaseStepsResponse::FINISH ? 0 : 93;
  }
  return 70;
}

absl::Status FakePool::Save(Process& process, const v1::Run& run,
                            uint64_t step) {
  v1::CommitCheckpointRequest request;
  *request.mutable_identity() = process.identity;
  request.set_step(step);
  v1::FileDigest& file = *request.add_files();
  file.set_name(absl::StrCat("optimizer-", process.identity.rank()));
  file.set_num_bytes(100);
  while (!process.IsKilled()) {
    ASSIGN_OR_RETURN(const auto reply,
                     Call<v1::WorkerService>(
                         &v1::WorkerService::Stub::CommitCheckpoint, request));
    if (reply.outcome() == v1::CommitCheckpointResponse::COMMITTED) {
      return absl::OkStatus();
    }
    if (reply.outcome() == v1::CommitCheckpointResponse::GRANTED) {
      const std::filesystem::path path =
          absl::StrFormat("%s/checkpoints/step-%08d", run.directory(), step);
      RETURN_IF_ERROR(base::CreateDirectories(path / "model"));
      RETURN_IF_ERROR(base::WriteFileAtomically(path / "MANIFEST.json", "{}"));
      request.set_confirm(true);
    }
    absl::MutexLock lock(&mutex_);
    if (stopping_ || broken_[GroupName(process.identity)]) break;
  }
  return absl::AbortedError("the group has ended");
}

}  // namespace varalign::coordinator
