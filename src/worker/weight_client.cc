#include "worker/weight_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::worker {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(200);
// A lane knows why there is no answer; it is given time to say so.
constexpr absl::Duration kLaneGrace = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<WeightClient>> WeightClient::Create(
    Options options, const base::Clock& clock, const Departure& departure,
    telemetry::Family<telemetry::Counter>& requests) {
  std::unique_ptr<WeightClient> client(
      new WeightClient(std::move(options), clock, departure, requests));
  for (size_t i = 0; i < client->options_.servers.size(); ++i) {
    ASSIGN_OR_RETURN(
        auto lane,
        WeightLane::Start(
            {.server = client->options_.servers[i],
             .open = client->options_.open,
             .seed = i},
            {.on_answer =
                 [client = client.get()](uint64_t ticket, auto answer) {
                   client->Answer(ticket, std::move(answer));
                 },
             .on_lost = [client = client.get(),
                         i](auto& jobs) { return client->MoveOn(i, jobs); },
             .give_up_at =
                 [client = client.get()](uint64_t ticket) {
                   return client->GiveUpAt(ticket);
                 }},
            clock));
    client->lanes_.push_back(std::move(lane));
  }
  return client;
}

WeightClient::WeightClient(Options options, const base::Clock& clock,
                           const Departure& departure,
                           telemetry::Family<telemetry::Counter>& requests)
    : options_(std::move(options)),
      clock_(clock),
      departure_(departure),
      requests_(requests) {}

WeightClient::~WeightClient() {
  for (const auto& lane : lanes_) lane->Stop();
  // Their threads use one another.
  for (const auto& lane : lanes_) lane->Join();
}

uint64_t WeightClient::Send(v1::Group group, uint64_t tokens, uint64_t hash) {
  WeightJob job{.group = std::move(group), .tokens = tokens};
  {
    absl::MutexLock lock(&mutex_);
    job.ticket = ++last_ticket_;
  }
  const uint64_t ticket = job.ticket;
  lanes_[hash % lanes_.size()]->Send(std::move(job));
  return ticket;
}

void WeightClient::Answer(uint64_t ticket,
                          absl::StatusOr<v1::GroupWeights> answer) {
  requests_.With({answer.ok() ? "ok" : "error"}).Increment();
  absl::MutexLock lock(&mutex_);
  answers_.emplace(ticket, std::move(answer));
}

bool WeightClient::MoveOn(size_t from, std::map<uint64_t, WeightJob>& jobs) {
  requests_.With({"retried"}).Increment(static_cast<double>(jobs.size()));
  if (lanes_.size() == 1) return false;
  for (auto& [ticket, job] : jobs) {
    lanes_[(from + 1) % lanes_.size()]->Send(std::move(job));
  }
  jobs.clear();
  return true;
}

absl::Duration WeightClient::GiveUpAt(uint64_t ticket) {
  absl::MutexLock lock(&mutex_);
  const auto found = awaited_.find(ticket);
  return found == awaited_.end() ? absl::InfiniteDuration() : found->second;
}

absl::StatusOr<v1::GroupWeights> WeightClient::Await(uint64_t ticket) {
  const absl::Duration give_up_at = clock_.MonotonicNow() + options_.timeout;
  {
    absl::MutexLock lock(&mutex_);
    awaited_[ticket] = give_up_at;
  }
  while (true) {
    RETURN_IF_ERROR(departure_.status());
    absl::MutexLock lock(&mutex_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return answers_.contains(ticket);
    };
    if (mutex_.AwaitWithTimeout(absl::Condition(&there), kPoll)) {
      awaited_.erase(ticket);
      return std::move(answers_.extract(ticket).mapped());
    }
    // The lanes give up at the timeout; the rest is for a server that hangs.
    if (clock_.MonotonicNow() > give_up_at + kLaneGrace) {
      return absl::DeadlineExceededError(
          absl::StrCat("weights did not arrive within scoring.timeout, ",
                       absl::FormatDuration(options_.timeout)));
    }
  }
}

}  // namespace varalign::worker
