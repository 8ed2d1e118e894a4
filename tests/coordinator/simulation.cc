#include "tests/coordinator/simulation.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/version.h"
#include "coordinator/run_state.h"
#include "tests/coordinator/ledger_oracle.h"

namespace varalign::coordinator {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(500);
constexpr uint64_t kTotalSteps = 12;
constexpr uint64_t kSaveEvery = 6;
// A step takes some ten seconds of simulated time.
constexpr double kStepShare = 0.05;
constexpr int kSlots = 3;

Rules SimulationRules() {
  Rules rules;
  rules.lease.first_step_limit = absl::Seconds(30);
  rules.lease.grace = absl::Seconds(40);
  rules.restart_grace = absl::Seconds(20);
  return rules;
}

v1::Run NewRun(const std::string& run_id, uint32_t workers) {
  v1::Run run;
  run.set_run_id(run_id);
  run.set_directory("/runs/" + run_id);
  run.set_total_steps(kTotalSteps);
  run.mutable_config()->mutable_train()->set_workers(workers);
  return run;
}

// The run is in, or was ended by, a generation of its newest attempt.
bool HasBegun(const v1::Run& run) {
  return IsActive(run.state()) || run.state() == v1::SUCCEEDED;
}

std::string GroupName(const v1::RankIdentity& identity) {
  return absl::StrCat(identity.run_id(), "@",
                      TokenOf(identity.token()).ToString());
}

}  // namespace

Simulation::Simulation(const std::filesystem::path& database, uint64_t seed)
    : rules_(SimulationRules()),
      random_(seed),
      num_runs_(1 + seed % 3),
      database_(*RunDatabase::Open(database)) {
  for (int i = 0; i < kSlots; ++i) {
    supervisors_.push_back({.slot_id = absl::StrCat("slot-", i),
                            .is_registered = false,
                            .partitioned_until = {},
                            .process = {}});
  }
  Restart();
}

void Simulation::Restart() {
  auto stored = database_->Start();
  if (!stored.ok()) violations_.push_back(stored.status().ToString());
  state_ =
      std::make_unique<CoordinatorState>(rules_, *std::move(stored), Time());
}

absl::Status Simulation::Commit() {
  const Effects effects = state_->TakeEffects();
  const bool changes = !effects.changes.empty();
  if (changes && Chance(0.02 * fault_rate_)) {
    ++counts_.crashes;
    Restart();
    return absl::UnavailableError("crashed before the commit");
  }
  const absl::Status status = database_->Apply(effects.changes);
  if (!status.ok()) violations_.push_back(status.ToString());
  if (changes && Chance(0.02 * fault_rate_)) {
    ++counts_.crashes;
    Restart();
    return absl::UnavailableError("crashed after the commit");
  }
  return status;
}

template <typename Call>
auto Simulation::Do(Call call) -> decltype(call()) {
  auto result = call();
  if (absl::Status status = Commit(); !status.ok()) return status;
  return result;
}

void Simulation::RunWithFaults(int num_ticks) {
  for (int i = 0; i < num_ticks; ++i) {
    if (Chance(0.05)) SubmitOrRepeat();
    if (Chance(0.1)) ResumeEnded(0.7);
    InjectFaults();
    Tick();
  }
}

bool Simulation::RunToSuccess(int max_ticks) {
  fault_rate_ = 0;
  while (submitted_.size() < num_runs_) SubmitOrRepeat();
  for (int i = 0; i < max_ticks; ++i) {
    Tick();
    if (i % 10 != 0) continue;
    ResumeEnded(1);
    bool all = true;
    for (const auto& [_, run_id] : submitted_) {
      const auto record = database_->Run(run_id);
      all = all && record.ok() && record->run.state() == v1::SUCCEEDED;
    }
    if (all) return true;
  }
  return false;
}

void Simulation::Tick() {
  now_ += kTick;
  state_->Tick(Time());
  Commit().IgnoreError();
  for (Supervisor& supervisor : supervisors_) Beat(supervisor);
  AdvanceGroups();
  for (Supervisor& supervisor : supervisors_) {
    if (supervisor.process && !supervisor.process->exit &&
        IsReachable(supervisor)) {
      Act(*supervisor.process);
    }
  }
}

void Simulation::InjectFaults() {
  Supervisor& victim = supervisors_[Below(supervisors_.size())];
  if (victim.process && !victim.process->exit && Chance(0.02)) {
    ++counts_.kills;
    Leave(*victim.process, 0, 9);
  }
  if (Chance(0.01)) {
    ++counts_.partitions;
    const absl::Duration until = now_ + absl::Seconds(30 * Below(3) + 1);
    victim.partitioned_until = until;
    // Often the whole group with it: nobody is left who could be asked.
    for (Supervisor& other : supervisors_) {
      if (victim.process && other.process && Chance(0.8) &&
          GroupName(other.process->identity) ==
              GroupName(victim.process->identity)) {
        other.partitioned_until = until;
      }
    }
  }
  if (Chance(0.01)) {  // the whole node
    victim.process.reset();
    victim.is_registered = false;
    victim.slot_id += "+";
  }
  if (Chance(0.01) && !submitted_.empty()) {
    const auto any = std::next(submitted_.begin(),
                               static_cast<long>(Below(submitted_.size())));
    Do([&] { return state_->CancelRun(any->second, Time()); })
        .status()
        .IgnoreError();
  }
}

void Simulation::SubmitOrRepeat() {
  const std::string request = absl::StrCat("q", next_request_);
  const auto known = database_->Request(request);
  if (!known.ok()) violations_.push_back(known.status().ToString());
  if (!known->has_value()) {
    if (submitted_.size() >= num_runs_) return;
    const std::string run_id = absl::StrCat("run-", request);
    const auto workers = static_cast<uint32_t>(Below(kSlots));
    const auto run = Do([&] {
      return state_->AddRun(
          {.request_id = request, .digest = "d", .run_id = run_id},
          NewRun(run_id, workers), Time());
    });
    if (!run.ok()) return;  // sent again with the same id
    submitted_[request] = run->run_id();
  } else {
    submitted_[request] = (*known)->run_id;
  }
  ++next_request_;
}

void Simulation::ResumeEnded(double share) {
  for (const auto& [_, run_id] : submitted_) {
    auto record = database_->Run(run_id);
    if (!record.ok() || !IsResumable(record->run.state())) continue;
    if (!Chance(share)) continue;
    const std::string request = absl::StrCat("resume-", next_pid_++);
    Do([&] {
      return state_->ResumeRun(
          {.request_id = request, .digest = "d", .run_id = run_id},
          *std::move(record), 0, Time());
    })
        .status()
        .IgnoreError();
  }
}

void Simulation::Beat(Supervisor& supervisor) {
  if (!IsReachable(supervisor)) return;
  if (!supervisor.is_registered) {
    v1::RegisterRequest request;
    request.set_slot_id(supervisor.slot_id);
    request.set_host("node");
    request.set_protocol(base::kProtocol);
    supervisor.is_registered =
        Do([&] { return state_->Register(request, Time()); }).ok();
    return;
  }
  v1::HeartbeatRequest request;
  request.mutable_slot()->set_slot_id(supervisor.slot_id);
  if (supervisor.process) {
    v1::ProcessStatus& status = *request.mutable_slot()->mutable_process();
    *status.mutable_identity() = supervisor.process->identity;
    status.set_pid(supervisor.process->pid);
    if (supervisor.process->exit) {
      status.set_exited(true);
      status.set_exit_code(supervisor.process->exit->code);
      status.set_signal(supervisor.process->exit->signal);
    }
  }
  const auto reply = Do([&] { return state_->Hear(request, Time()); });
  if (reply.ok() && reply->has_value()) Follow(supervisor, **reply);
}

void Simulation::Follow(Supervisor& supervisor,
                        const v1::HeartbeatResponse& directive) {
  auto& process = supervisor.process;
  if (directive.has_register_again()) {
    supervisor.is_registered = false;
  } else if (directive.has_acknowledge_exit()) {
    process.reset();
  } else if (directive.has_stop() && process) {
    Leave(*process, 0, 15);
  } else if (directive.has_start() && !process) {
    process.emplace();
    process->identity = directive.start().identity();
    process->world_size = directive.start().world_size();
    process->pid = next_pid_++;
    const Token token = TokenOf(process->identity.token());
    Token& newest = newest_token_[process->identity.run_id()];
    if (token < newest) violations_.push_back("a token fell");
    if (token > newest) ++counts_.generations;
    newest = std::max(newest, token);
    const auto record = database_->Run(process->identity.run_id());
    process->next_step = process->saved_step = record->run.checkpoint_step();
    process->lease_begin = process->lease_end = process->next_step;
  }
}

void Simulation::Leave(Process& process, int32_t code, int32_t signal) {
  if (process.exit) return;
  process.exit = RankExit{
      .code = code, .signal = signal, .last_lines = "", .heard_at = {}};
}

void Simulation::Act(Process& process) {
  v1::HeartbeatRequest heartbeat;
  *heartbeat.mutable_rank()->mutable_identity() = process.identity;
  const auto reply = Do([&] { return state_->Hear(heartbeat, Time()); });
  const bool told_to_leave =
      absl::IsAborted(reply.status()) ||
      (reply.ok() && reply->has_value() && (*reply)->has_stop());
  if (told_to_leave) return Leave(process, 70, 0);
  if (Chance(0.3)) ReportSteps(process);  // they may lag behind
  const bool stops = process.next_step == process.lease_end &&
                     process.then != v1::LeaseStepsResponse::ASK_AGAIN;
  const bool saves = process.next_step > process.saved_step &&
                     (stops || process.next_step % kSaveEvery == 0);
  if (saves) {
    Save(process);
  } else if (stops) {
    if (!process.reports.empty()) return;
    Leave(process, process.then == v1::LeaseStepsResponse::FINISH ? 0 : 93, 0);
  } else if (process.next_step == process.lease_end ||
             now_ >= process.lease_expires) {
    Lease(process);
  }
}

void Simulation::ReportSteps(Process& process) {
  while (!process.reports.empty()) {
    const uint64_t step = process.reports.front();
    v1::ReportStepRequest request;
    *request.mutable_identity() = process.identity;
    request.mutable_step()->set_step(step);
    request.mutable_step()->set_epoch(step / 4);
    request.mutable_step()->set_block_begin(step % 4);
    request.mutable_step()->set_block_end(step % 4 + 1);
    request.mutable_step()->set_seconds(1);
    const absl::Status status =
        Do([&] { return state_->Report(request, Time()); });
    if (absl::IsUnavailable(status)) return;
    if (absl::IsFailedPrecondition(status)) {
      violations_.push_back(status.ToString());
    }
    if (!status.ok()) return;
    reported_[GroupName(process.identity)] = step + 1;
    process.reports.pop_front();
    if (Chance(0.05))
      Do([&] { return state_->Report(request, Time()); }).IgnoreError();
  }
}

void Simulation::Lease(Process& process) {
  v1::LeaseStepsRequest request;
  *request.mutable_identity() = process.identity;
  // A lease that ran out is renewed, else the next one is asked for.
  const bool is_renewal = process.next_step < process.lease_end;
  request.set_begin(is_renewal ? process.lease_begin : process.lease_end);
  request.set_total_steps(kTotalSteps);
  const auto lease = Do([&] { return state_->LeaseSteps(request, Time()); });
  if (absl::IsFailedPrecondition(lease.status())) {
    violations_.push_back(lease.status().ToString());
  }
  if (!lease.ok()) return;
  process.lease_begin = lease->begin();
  process.lease_end = lease->end();
  process.then = lease->then();
  process.lease_expires = now_ + absl::Seconds(lease->valid_for().seconds());
}

void Simulation::Save(Process& process) {
  v1::CommitCheckpointRequest request;
  *request.mutable_identity() = process.identity;
  request.set_step(process.next_step);
  request.set_confirm(process.confirms);
  if (!process.confirms) {
    v1::FileDigest& file = *request.add_files();
    file.set_name(absl::StrCat("optimizer-", process.identity.rank()));
    file.set_num_bytes(10);
  }
  const auto reply =
      Do([&] { return state_->CommitCheckpoint(request, Time()); });
  if (absl::IsFailedPrecondition(reply.status())) {
    violations_.push_back(reply.status().ToString());
  }
  if (!reply.ok() || !reply->has_value()) return;
  if ((*reply)->outcome() == v1::CommitCheckpointResponse::GRANTED) {
    process.confirms = true;
  } else if ((*reply)->outcome() == v1::CommitCheckpointResponse::COMMITTED) {
    process.confirms = false;
    process.saved_step = process.next_step;
    uint64_t& saved = saved_[process.identity.run_id()];
    saved = std::max(saved, process.saved_step);
  }
}

std::map<std::string, std::vector<Simulation::Process*>> Simulation::Groups() {
  std::map<std::string, std::vector<Process*>> groups;
  for (Supervisor& supervisor : supervisors_) {
    if (!supervisor.process) continue;
    groups[GroupName(supervisor.process->identity)].push_back(
        &*supervisor.process);
  }
  return groups;
}

void Simulation::AdvanceGroups() {
  for (auto& [name, ranks] : Groups()) {
    const Process& any = *ranks.front();
    const bool is_whole = ranks.size() == any.world_size;
    const bool has_died =
        std::any_of(ranks.begin(), ranks.end(), [](const Process* rank) {
          return rank->exit && rank->exit->code != 0 && rank->exit->code != 93;
        });
    const bool was_killed =
        std::any_of(ranks.begin(), ranks.end(), [](const Process* rank) {
          return rank->exit && rank->exit->signal != 0;
        });
    const bool may_step =
        is_whole && std::all_of(ranks.begin(), ranks.end(), [&](Process* rank) {
          const bool saves = rank->next_step > rank->saved_step &&
                             rank->next_step % kSaveEvery == 0;
          return !rank->exit && rank->next_step == any.next_step &&
                 rank->next_step < rank->lease_end &&
                 now_ < rank->lease_expires && !saves;
        });
    if (may_step) {
      if (!Chance(kStepShare)) continue;
      if (TokenOf(any.identity.token()) <
          newest_token_[any.identity.run_id()]) {
        violations_.push_back(absl::StrCat("two generations ran: ", name));
      }
      ++counts_.steps;
      for (Process* rank : ranks) {
        if (rank->identity.rank() == 0) {
          rank->reports.push_back(rank->next_step);
        }
        ++rank->next_step;
      }
    } else if (has_died || was_killed ||
               (!is_whole && any.next_step > any.saved_step)) {
      // Collectives with a dead rank end in an error.
      for (Process* rank : ranks) {
        if (Chance(0.5)) Leave(*rank, 70, 0);
      }
    }
  }
}

void Simulation::CheckDatabase() {
  for (const auto& [_, run_id] : submitted_) {
    const auto record = database_->Run(run_id);
    if (!record.ok()) {
      violations_.push_back("an acknowledged run is gone: " + run_id);
      continue;
    }
    if (record->run.checkpoint_step() < saved_[run_id]) {
      violations_.push_back("an acknowledged checkpoint is gone: " + run_id);
    }
    const auto rows = database_->Ledger(run_id);
    const auto starts = database_->Generations(run_id);
    const auto live = database_->LiveLedger(run_id);
    if (LiveRows(*rows, *starts) != *live) {
      violations_.push_back("query and function disagree: " + run_id);
    }
    // Steps after the checkpoint count until a new generation begins.
    const bool has_begun = HasBegun(record->run);
    const absl::Status counted =
        CheckLiveLedger(*live, has_begun ? record->run.step() : live->size());
    if (!counted.ok()) violations_.push_back(counted.ToString());
    Token last;
    for (const GenerationStart& start : *starts) {
      const Token token{start.incarnation, start.generation};
      if (token <= last) violations_.push_back("a stored token fell");
      last = token;
      uint64_t end = start.start_step;
      const auto leases = database_->Leases(run_id, start.generation);
      for (const coordinator::Lease& lease : *leases) {
        if (lease.begin != end) violations_.push_back("leases overlap or gap");
        end = lease.end;
      }
    }
    const auto events =
        database_->Events(run_id, 0, std::numeric_limits<uint32_t>::max());
    for (size_t i = 0; i < events->size(); ++i) {
      if ((*events)[i].number() != i + 1) {
        violations_.push_back("event numbers have a hole");
      }
    }
  }
}

}  // namespace varalign::coordinator
