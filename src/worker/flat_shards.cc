#include "worker/flat_shards.h"

#include <ATen/OpMathType.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::worker {
namespace {

using collective::Bucket;
using collective::PaddedSize;
using collective::ProcessGroup;

std::vector<Bucket> BucketsOf(const model::Parameters& parameters,
                              const ShardOptions& options, int world_size) {
  std::vector<collective::Block> blocks;
  for (model::ParameterBlock& block : model::BlocksOf(parameters)) {
    blocks.push_back({.name = std::move(block.name),
                      .begin = block.begin,
                      .end = block.end,
                      .apart = block.is_table});
  }
  const auto element = static_cast<int64_t>(
      c10::elementSize(at::toOpMathType(parameters.flat.scalar_type())));
  // One rank has nobody to send buckets to.
  const int64_t min_elements = world_size == 1 ? parameters.flat.numel()
                                               : options.bucket_bytes / element;
  if (world_size == 1) {
    for (collective::Block& block : blocks) block.apart = false;
  }
  return collective::CutBuckets(blocks, min_elements, world_size);
}

at::Tensor Part(const at::Tensor& flat, const Bucket& bucket) {
  return flat.narrow(0, bucket.begin, bucket.end - bucket.begin);
}

}  // namespace

FlatShards::FlatShards(const model::Parameters& parameters,
                       const ShardOptions& options, ProcessGroup& group,
                       const base::Clock& clock)
    : clock_(clock),
      world_size_(group.size()),
      overlap_(options.overlap),
      buckets_(BucketsOf(parameters, options, world_size_)),
      // Parameters arrive while passes run that have saved views of others:
      // autograd must not take that for a change of those.
      parameters_(parameters.flat.variable_data()),
      gathered_(buckets_.size(), 0) {
  for (const Bucket& bucket : buckets_) {
    slices_.push_back(SliceOf(bucket, group.rank(), world_size_));
    last_bucket_.resize(bucket.end_block);
    std::fill(last_bucket_.begin() + static_cast<ptrdiff_t>(bucket.first_block),
              last_bucket_.end(), slices_.size() - 1);
  }
  complete_.resize(last_bucket_.size(), false);
  if (world_size_ == 1) return;
  for (const Bucket& bucket : buckets_) {
    reduced_.push_back(
        at::empty({PaddedSize(bucket, world_size_) / world_size_},
                  parameters_.options().dtype(
                      at::toOpMathType(parameters_.scalar_type()))));
  }
  thread_.emplace(group);
}

void FlatShards::SendFullBuckets(const at::Tensor& gradients) {
  if (overlap_ == Overlap::kNone || !thread_.has_value()) return;
  absl::MutexLock lock(&mutex_);
  gradients_ = gradients;
  unsent_ = buckets_.size();
  std::fill(complete_.begin(), complete_.end(), false);
}

void FlatShards::SendAllBuckets(const at::Tensor& gradients) {
  absl::MutexLock lock(&mutex_);
  if (!gradients_.defined()) unsent_ = buckets_.size();
  gradients_ = gradients;
  std::fill(complete_.begin(), complete_.end(), true);
  SendWhatIsFull();
}

void FlatShards::AfterBackward(size_t block) {
  absl::MutexLock lock(&mutex_);
  if (!gradients_.defined()) return;  // not the last pass of a step
  complete_[block] = true;
  SendWhatIsFull();
}

// In descending order, whatever is complete first: equal on all ranks.
void FlatShards::SendWhatIsFull() {
  if (!thread_.has_value()) return;
  while (unsent_ > 0) {
    const size_t index = unsent_ - 1;
    const Bucket& bucket = buckets_[index];
    const auto begin = complete_.begin();
    if (!std::all_of(begin + static_cast<ptrdiff_t>(bucket.first_block),
                     begin + static_cast<ptrdiff_t>(bucket.end_block),
                     [](bool complete) { return complete; })) {
      return;
    }
    reduced_ticket_ = thread_->Post(
        absl::StrCat("reduce-scatter of ", bucket.name),
        [this, index, gradients = gradients_](ProcessGroup& group) {
          return Reduce(index, gradients, group);
        });
    unsent_ = index;
  }
}

absl::Status FlatShards::Reduce(size_t bucket, const at::Tensor& gradients,
                                ProcessGroup& group) {
  at::Tensor input = Part(gradients, buckets_[bucket]);
  const int64_t padded = PaddedSize(buckets_[bucket], world_size_);
  if (padded != input.numel()) {
    const at::Tensor whole = at::zeros({padded}, input.options());
    whole.narrow(0, 0, input.numel()).copy_(input);
    input = whole;
  }
  return group.ReduceScatterSum(input, reduced_[bucket]);
}

absl::StatusOr<std::vector<at::Tensor>> FlatShards::AwaitGradients() {
  at::Tensor gradients;
  Ticket ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    gradients = std::exchange(gradients_, at::Tensor());
    ticket = reduced_ticket_;
  }
  RETURN_IF_ERROR(Await(ticket));
  std::vector<at::Tensor> mine;
  for (size_t i = 0; i < slices_.size(); ++i) {
    mine.push_back(thread_.has_value()
                       ? reduced_[i].narrow(0, 0, slices_[i].size())
                       : Part(gradients, buckets_[i]));
  }
  return mine;
}

absl::Status FlatShards::AllReduceSum(at::Tensor& tensor) {
  if (!thread_.has_value()) return absl::OkStatus();
  return Await(thread_->Post(
      "all-reduce of the step's scalars",
      [&tensor](ProcessGroup& group) { return group.AllReduceSum(tensor); }));
}

absl::Status FlatShards::SendSlice(size_t bucket) {
  if (!thread_.has_value()) return absl::OkStatus();
  gathered_[bucket] = thread_->Post(
      absl::StrCat("all-gather of ", buckets_[bucket].name),
      [this, bucket](ProcessGroup& group) { return Gather(bucket, group); });
  return overlap_ == Overlap::kNone ? Await(gathered_[bucket])
                                    : absl::OkStatus();
}

absl::Status FlatShards::Gather(size_t bucket, ProcessGroup& group) {
  at::Tensor all = Part(parameters_, buckets_[bucket]);
  const int64_t padded = PaddedSize(buckets_[bucket], world_size_);
  const int64_t part = padded / world_size_;
  if (padded == all.numel()) {
    return group.AllGather(all.narrow(0, part * group.rank(), part), all);
  }
  const collective::Slice& slice = slices_[bucket];
  at::Tensor whole = at::zeros({padded}, all.options());
  const at::Tensor mine = whole.narrow(0, part * group.rank(), part);
  mine.narrow(0, 0, slice.size())
      .copy_(parameters_.narrow(0, slice.begin, slice.size()));
  RETURN_IF_ERROR(group.AllGather(mine, whole));
  all.copy_(whole.narrow(0, 0, all.numel()));
  return absl::OkStatus();
}

void FlatShards::BeforeForward(size_t block) {
  // The error stays in `status`.
  Await(gathered_[last_bucket_[block]]).IgnoreError();
}

absl::Status FlatShards::AwaitParameters() { return Await(gathered_.back()); }

absl::Status FlatShards::status() const {
  return thread_.has_value() ? thread_->status() : absl::OkStatus();
}

absl::Status FlatShards::Await(Ticket ticket) {
  if (!thread_.has_value()) return absl::OkStatus();
  const absl::Duration begin = clock_.MonotonicNow();
  const absl::Status status = thread_->Await(ticket);
  exposed_ += clock_.MonotonicNow() - begin;
  return status;
}

absl::Duration FlatShards::TakeExposed() {
  return std::exchange(exposed_, absl::ZeroDuration());
}

}  // namespace varalign::worker
