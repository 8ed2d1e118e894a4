#include "reward_server/weight_stream.h"

#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "objective/log_weights.h"
#include "reward_server/request_reading.h"
#include "rpc/status.h"

namespace varalign::reward_server {
namespace {

// Answers that wait while the next message is read. A client that keeps reading
// has fewer; one that does not is read no more, so that its errors, which cost
// no credit, cannot pile up here.
constexpr size_t kMaxWaitingReplies = 64;

// The rows to return; none asked for means all.
absl::StatusOr<std::vector<uint32_t>> ReadRows(const v1::Group& group,
                                               size_t num_pairs) {
  // The credit that a group costs pays for one answer a pair.
  if (static_cast<size_t>(group.rows_size()) > num_pairs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "more rows are asked for than there are pairs: ", group.rows_size(),
        " of ", num_pairs));
  }
  std::vector<uint32_t> rows(group.rows().begin(), group.rows().end());
  for (const uint32_t row : rows) {
    if (row < num_pairs) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "rows points at a pair that is not there: ", row, " of ", num_pairs));
  }
  if (rows.empty()) {
    for (uint32_t row = 0; row < num_pairs; ++row) rows.push_back(row);
  }
  return rows;
}

v1::WeightResponse ErrorResponse(uint64_t group_id,
                                 const absl::Status& status) {
  const grpc::Status shown = rpc::ToGrpc(status);
  v1::WeightResponse response;
  v1::GroupError& error = *response.mutable_error();
  error.set_group_id(group_id);
  error.set_code(static_cast<int32_t>(shown.error_code()));
  error.set_message(shown.error_message());
  return response;
}

}  // namespace

std::shared_ptr<WeightStream> WeightStream::Begin(
    const ServiceContext& context) {
  std::shared_ptr<WeightStream> stream(new WeightStream(context));
  stream->self_ = stream;
  context.metrics.open_streams.Increment();
  stream->StartRead(&stream->request_);
  return stream;
}

void WeightStream::Drain() {
  uint64_t last_group_id = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (ending_.has_value()) return;
    last_group_id = last_group_id_;
    ending_ = absl::UnavailableError(
        "the reward server is draining; send what is unanswered to another "
        "one");
    v1::WeightResponse message;
    message.mutable_draining()->set_last_group_id(last_group_id);
    outbox_.push_back({std::move(message), 0});
  }
  Advance();
}

void WeightStream::OnReadDone(bool ok) {
  if (!ok) return EndWith(absl::OkStatus());
  if (const absl::Status status = Take(request_); !status.ok()) {
    return Break(status);
  }
  absl::MutexLock lock(&mutex_);
  reading_ = false;
  ReadOn();
}

void WeightStream::ReadOn() {
  if (reading_ || ending_.has_value() || outbox_.size() > kMaxWaitingReplies) {
    return;
  }
  reading_ = true;
  request_.Clear();
  StartRead(&request_);
}

void WeightStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    outbox_.pop_front();
    if (ok) ReadOn();
  }
  if (!ok) return Break(absl::CancelledError("the client has gone"));
  Advance();
}

void WeightStream::OnCancel() {
  Break(absl::CancelledError("cancelled by the client"));
}

void WeightStream::OnDone() {
  context_.metrics.open_streams.Decrement();
  const std::shared_ptr<WeightStream> self = std::move(self_);
}

absl::Status WeightStream::Take(const v1::WeightRequest& request) {
  const bool is_open = request.has_open();
  if (is_open == opened_) {
    return absl::InvalidArgumentError(
        is_open ? "Open must be sent once"
                : "the first message of a stream must be Open");
  }
  if (is_open) return TakeOpen(request.open());
  if (request.has_group()) return TakeGroup(request.group());
  if (!request.has_cancel()) {
    return absl::InvalidArgumentError("a message has no known content");
  }
  TakeCancel(request.cancel());
  return absl::OkStatus();
}

absl::Status WeightStream::TakeOpen(const v1::Open& open) {
  RETURN_IF_ERROR(
      CheckFingerprint(open.expected_fingerprint(), context_.fingerprint));
  RETURN_IF_ERROR(CheckRule(open.rule()));
  const WantedScores wanted = {objective::NeedsRewards(open.rule()),
                               objective::NeedsLogProbs(open.rule()), false};
  RETURN_IF_ERROR(CheckServed(wanted, context_.models));
  opened_ = true;
  rule_ = open.rule();
  wanted_ = wanted;
  v1::WeightResponse message;
  message.mutable_opened()->set_fingerprint(context_.fingerprint);
  message.mutable_opened()->set_token_credit(context_.token_credit);
  Post(std::move(message));
  return absl::OkStatus();
}

absl::Status WeightStream::TakeGroup(const v1::Group& group) {
  {
    absl::MutexLock lock(&mutex_);
    // Draining: the client has been told that this one is not ours.
    if (ending_.has_value()) return absl::OkStatus();
    if (group.group_id() <= last_group_id_) {
      return absl::InvalidArgumentError(
          absl::StrCat("group_id must start at 1 or above and rise: got ",
                       group.group_id(), " after ", last_group_id_));
    }
    last_group_id_ = group.group_id();
    pending_.emplace(group.group_id(), PendingGroup{});
  }
  if (const absl::Status status = Submit(group); !status.ok()) {
    AnswerError(group.group_id(), status);
  }
  return absl::OkStatus();
}

void WeightStream::TakeCancel(const v1::Cancel& cancel) {
  std::shared_ptr<ScoringJob> job;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = pending_.find(cancel.group_id());
    if (found == pending_.end()) return;  // answered already
    job = found->second.job;
  }
  if (job != nullptr) context_.scheduler.Cancel(job);
}

absl::Status WeightStream::Submit(const v1::Group& group) {
  ASSIGN_OR_RETURN(PairSet set,
                   ReadPairs(group.prompts(), group.responses(), group.pairs(),
                             context_.limits.max_pairs));
  ASSIGN_OR_RETURN(std::vector<uint32_t> rows,
                   ReadRows(group, set.pairs.size()));
  RETURN_IF_ERROR(CheckAgainstModels(set, wanted_, context_.models));
  absl::Duration deadline =
      context_.clock.MonotonicNow() + context_.limits.longest_wait;
  if (group.has_time_left()) {
    ASSIGN_OR_RETURN(deadline, ReadTimeLeft(group.time_left(), context_.clock,
                                            context_.limits.longest_wait));
  }

  const auto pairs = std::make_shared<const PairSet>(std::move(set));
  const uint64_t group_id = group.group_id();
  auto done = [stream = shared_from_this(), pairs, group_id,
               rows = std::move(rows)](
                  const absl::StatusOr<std::vector<PairScore>>& scores) {
    if (!scores.ok()) return stream->AnswerError(group_id, scores.status());
    auto weights = stream->Weigh(*pairs, rows, *scores);
    if (!weights.ok()) return stream->AnswerError(group_id, weights.status());
    weights->set_group_id(group_id);
    v1::WeightResponse message;
    *message.mutable_weights() = *std::move(weights);
    stream->Answer(group_id, std::move(message));
  };
  const auto job = std::make_shared<ScoringJob>(
      pairs, wanted_, deadline, OnNoRoom::kQueue, std::move(done));
  RETURN_IF_ERROR(TakeCredit(group_id, CreditTokens(*pairs), job));
  return context_.scheduler.Submit(job);
}

absl::Status WeightStream::TakeCredit(uint64_t group_id, uint64_t tokens,
                                      const std::shared_ptr<ScoringJob>& job) {
  absl::MutexLock lock(&mutex_);
  if (unanswered_tokens_ > 0 &&
      unanswered_tokens_ + tokens > context_.token_credit) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the group exceeds the stream's token credit: ", tokens,
        " tokens beside ", unanswered_tokens_, " unanswered, the credit is ",
        context_.token_credit, "; wait for answers before sending more"));
  }
  const auto found = pending_.find(group_id);
  if (found == pending_.end()) return absl::CancelledError("the stream ended");
  found->second = {job, tokens};
  unanswered_tokens_ += tokens;
  return absl::OkStatus();
}

absl::StatusOr<v1::GroupWeights> WeightStream::Weigh(
    const PairSet& set, const std::vector<uint32_t>& rows,
    const std::vector<PairScore>& scores) const {
  std::vector<objective::Score> z_set;
  std::vector<uint32_t> prompts;
  z_set.reserve(scores.size());
  for (size_t pair = 0; pair < scores.size(); ++pair) {
    const size_t num_tokens =
        set.Tokens(ModelKind::kReference, pair).response.size();
    z_set.push_back({scores[pair].reward, scores[pair].logprob_sum,
                     static_cast<uint32_t>(num_tokens)});
    prompts.push_back(set.pairs[pair].prompt);
  }
  ASSIGN_OR_RETURN(const objective::ZSetWeights weights,
                   objective::LogWeights(z_set, rule_, prompts));
  context_.metrics.ess_ratio.Observe(weights.ess /
                                     static_cast<double>(z_set.size()));
  v1::GroupWeights result;
  result.set_log_z(weights.log_z);
  result.set_ess(weights.ess);
  for (const uint32_t row : rows) {
    v1::RowWeight& out = *result.add_rows();
    out.set_log_weight(weights.log_weights[row]);
    out.set_reward(z_set[row].reward);
    out.set_logprob_sum(z_set[row].logprob_sum);
    out.set_num_tokens(z_set[row].num_tokens);
  }
  return result;
}

void WeightStream::AnswerError(uint64_t group_id, const absl::Status& status) {
  Answer(group_id, ErrorResponse(group_id, status));
}

void WeightStream::Answer(uint64_t group_id, v1::WeightResponse message) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = pending_.find(group_id);
    if (found == pending_.end()) return;
    outbox_.push_back({std::move(message), found->second.tokens});
    pending_.erase(found);
  }
  Advance();
}

void WeightStream::Post(v1::WeightResponse message) {
  {
    absl::MutexLock lock(&mutex_);
    outbox_.push_back({std::move(message), 0});
  }
  Advance();
}

void WeightStream::EndWith(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!ending_.has_value()) ending_ = status;
  }
  Advance();
}

void WeightStream::Break(const absl::Status& status) {
  std::vector<std::shared_ptr<ScoringJob>> jobs;
  {
    absl::MutexLock lock(&mutex_);
    ending_ = status;
    for (const auto& [group_id, group] : pending_) {
      if (group.job != nullptr) jobs.push_back(group.job);
    }
    pending_.clear();
    outbox_.resize(writing_ ? 1 : 0);
  }
  for (const auto& job : jobs) context_.scheduler.Cancel(job);
  Advance();
}

void WeightStream::Advance() {
  const v1::WeightResponse* message = nullptr;
  std::optional<absl::Status> end;
  {
    absl::MutexLock lock(&mutex_);
    if (finished_ || writing_) return;
    if (!outbox_.empty()) {
      writing_ = true;
      // Now, not in OnWriteDone: the client may have the answer, and send the
      // next group, before that.
      unanswered_tokens_ -= outbox_.front().tokens;
      message = &outbox_.front().message;
    } else if (ending_.has_value() && pending_.empty()) {
      finished_ = true;
      end = ending_;
    }
  }
  if (message != nullptr) StartWrite(message);
  if (end.has_value()) Finish(rpc::ToGrpc(*end));
}

}  // namespace varalign::reward_server
