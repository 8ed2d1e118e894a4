#include "model/attention.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>
#include <vector>

#include "model/attention_kernel.h"
#include "model/parallel.h"
#include "model/row_kernels.h"
#include "model/wide.h"

namespace varalign::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using LayoutPointer = std::shared_ptr<const AttentionLayout>;

constexpr int64_t kGrainRows = 32;

// Carries the layout from forward to backward inside the context.
struct LayoutHolder : torch::CustomClassHolder {
  explicit LayoutHolder(LayoutPointer pointer) : layout(std::move(pointer)) {}
  LayoutPointer layout;
};

template <typename T>
void Rotate(const AttentionLayout& layout, const at::Tensor& in, T sign,
            at::Tensor& out) {
  const Rotation<T> rotation{.in = in.const_data_ptr<T>(),
                             .out = out.data_ptr<T>(),
                             .cos = layout.rotary.cos.const_data_ptr<T>(),
                             .sin = layout.rotary.sin.const_data_ptr<T>(),
                             .positions = layout.positions.data(),
                             .heads = layout.heads + 2 * layout.kv_heads,
                             .rotated = layout.heads + layout.kv_heads,
                             .dim = layout.dim,
                             .sign = sign};
  ParallelFor(in.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
    RotateRows(rotation, begin, end);
  });
}

// The packed buffers of one call and where a (segment, head) lies in them.
template <typename T>
struct Buffers {
  const AttentionLayout& layout;
  const T* qkv;  // rotated
  T* out;
  T* lse;  // [heads, T]
  int64_t num_tokens;

  AttentionTask<T> Task(size_t segment, int64_t head) const {
    const int64_t begin = layout.packed.begin(segment);
    const int64_t dim = layout.dim;
    const T* query = qkv + begin * stride() + head * dim;
    return {.q = query,
            .keys = KeysOf(segment, head),
            .seen = layout.packed.is_continuation(segment)
                        ? KeysOf(layout.packed.continued(segment), head)
                        : Keys<T>{},
            .stride = stride(),
            .out = out + (begin * layout.heads + head) * dim,
            .out_stride = layout.heads * dim,
            .lse = lse + head * num_tokens + begin,
            .dim = dim};
  }

 private:
  int64_t stride() const {
    return (layout.heads + 2 * layout.kv_heads) * layout.dim;
  }
  Keys<T> KeysOf(size_t segment, int64_t head) const {
    const int64_t kv_head = head / (layout.heads / layout.kv_heads);
    const T* row = qkv + layout.packed.begin(segment) * stride();
    return {.k = row + (layout.heads + kv_head) * layout.dim,
            .v = row + (layout.heads + layout.kv_heads + kv_head) * layout.dim,
            .length = layout.packed.length(segment)};
  }
};

// Calls body(item, head) for all; heads vary slowest, so that each thread gets
// some of every item, whatever their lengths.
template <typename Body>
void ForEachWithHead(size_t items, int64_t heads, const Body& body) {
  const auto count = static_cast<int64_t>(items);
  ParallelFor(heads * count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      body(static_cast<size_t>(i % count), i / count);
    }
  });
}

template <typename T>
void RunForward(const Buffers<T>& buffers) {
  const AttentionLayout& layout = buffers.layout;
  ForEachWithHead(layout.packed.num_segments(), layout.heads,
                  [&](size_t segment, int64_t head) {
                    if (layout.packed.length(segment) == 0) return;
                    AttendForward(buffers.Task(segment, head));
                  });
}

// One segment under the query heads of one key head.
template <typename T>
void SegmentBackward(const Buffers<T>& buffers, size_t segment, int64_t kv_head,
                     const T* dout, T* dqkv) {
  const auto gradient = [&](const T* place) {
    return place == nullptr ? nullptr : dqkv + (place - buffers.qkv);
  };
  const int64_t group = buffers.layout.heads / buffers.layout.kv_heads;
  for (int64_t i = 0; i < group; ++i) {
    const AttentionTask<T> task = buffers.Task(segment, kv_head * group + i);
    AttendBackward(AttentionGradTask<T>{
        .forward = task,
        .dout = dout + (task.out - buffers.out),
        .dq = gradient(task.q),
        .keys = {gradient(task.keys.k), gradient(task.keys.v)},
        .seen = {gradient(task.seen.k), gradient(task.seen.v)},
        .adds_to_keys = i > 0});
  }
}

// A block under one key head is one task: its segments, the continued one
// first, and its query heads add to the same dk and dv, in this order.
template <typename T>
void RunBackward(const Buffers<T>& buffers, const T* dout, T* dqkv) {
  const AttentionLayout& layout = buffers.layout;
  const std::vector<std::vector<size_t>> blocks = layout.packed.Blocks();
  ForEachWithHead(blocks.size(), layout.kv_heads,
                  [&](size_t block, int64_t kv_head) {
                    for (const size_t segment : blocks[block]) {
                      if (layout.packed.length(segment) == 0) continue;
                      SegmentBackward(buffers, segment, kv_head, dout, dqkv);
                    }
                  });
}

// Rows behind the last segment belong to nobody.
void ZeroTail(const AttentionLayout& layout, at::Tensor& rows) {
  const int64_t covered = layout.packed.num_rows();
  if (covered < rows.size(0)) {
    rows.narrow(0, covered, rows.size(0) - covered).zero_();
  }
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv,
                            const LayoutPointer& layout) {
    const int64_t num_tokens = qkv.size(0);
    const at::Tensor wide = Wide(qkv);
    at::Tensor rotated = at::empty_like(wide);
    at::Tensor out =
        at::empty({num_tokens, layout->heads * layout->dim}, wide.options());
    at::Tensor lse = at::empty({layout->heads, num_tokens}, wide.options());
    ZeroTail(*layout, out);
    AT_DISPATCH_FLOATING_TYPES(wide.scalar_type(), "RotaryAttention", [&] {
      Rotate<scalar_t>(*layout, wide, 1, rotated);
      RunForward(Buffers<scalar_t>{*layout, rotated.const_data_ptr<scalar_t>(),
                                   out.data_ptr<scalar_t>(),
                                   lse.data_ptr<scalar_t>(), num_tokens});
    });
    ctx->save_for_backward({rotated, out, lse});
    ctx->saved_data["layout"] =
        at::IValue::make_capsule(c10::make_intrusive<LayoutHolder>(layout));
    return RoundedLike(qkv, out);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto capsule = ctx->saved_data["layout"].toCapsule();
    const LayoutPointer& layout =
        static_cast<const LayoutHolder&>(*capsule).layout;
    const at::Tensor dout = Wide(grads[0].contiguous());
    at::Tensor dqkv = at::empty_like(saved[0]);
    ZeroTail(*layout, dqkv);
    AT_DISPATCH_FLOATING_TYPES(dqkv.scalar_type(), "AttentionGrad", [&] {
      const Buffers<scalar_t> buffers{
          *layout, saved[0].const_data_ptr<scalar_t>(),
          saved[1].data_ptr<scalar_t>(), saved[2].data_ptr<scalar_t>(),
          dqkv.size(0)};
      RunBackward(buffers, dout.const_data_ptr<scalar_t>(),
                  dqkv.data_ptr<scalar_t>());
      Rotate<scalar_t>(*layout, dqkv, -1, dqkv);
    });
    return {RoundedLike(grads[0], dqkv), at::Tensor()};
  }
};

}  // namespace

at::Tensor RotaryAttention(const at::Tensor& qkv, LayoutPointer layout) {
  return AttentionFunction::apply(qkv, layout);
}

}  // namespace varalign::model
