#include "reward_server/scoring_service.h"

#include "absl/strings/str_cat.h"
#include "reward_server/score_pairs.h"
#include "rpc/status.h"

namespace varalign::reward_server {
namespace {

// A stream that is refused before it begins.
class RefusedStream final
    : public grpc::ServerBidiReactor<v1::WeightRequest, v1::WeightResponse> {
 public:
  explicit RefusedStream(const absl::Status& status) {
    Finish(rpc::ToGrpc(status));
  }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerUnaryReactor* ScoringService::ScorePairs(
    grpc::CallbackServerContext* call, const v1::ScorePairsRequest* request,
    v1::ScorePairsResponse* response) {
  return new ScorePairsCall(context_, *call, *request, *response);
}

grpc::ServerBidiReactor<v1::WeightRequest, v1::WeightResponse>*
ScoringService::StreamWeights(grpc::CallbackServerContext* /*call*/) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(streams_, [](const auto& stream) { return stream.expired(); });
  if (draining_) {
    return new RefusedStream(absl::UnavailableError(
        "the reward server is draining; try again or use another one"));
  }
  if (streams_.size() >= context_.max_streams) {
    return new RefusedStream(absl::ResourceExhaustedError(
        absl::StrCat("too many streams: the limit is ", context_.max_streams)));
  }
  std::shared_ptr<WeightStream> stream = WeightStream::Begin(context_);
  streams_.push_back(stream);
  return stream.get();
}

void ScoringService::Drain() {
  std::vector<std::weak_ptr<WeightStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    streams.swap(streams_);
  }
  for (const auto& weak : streams) {
    if (const auto stream = weak.lock()) stream->Drain();
  }
}

}  // namespace varalign::reward_server
