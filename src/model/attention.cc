#include "model/attention.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "model/attention_kernel.h"
#include "model/parallel.h"
#include "model/row_kernels.h"

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

// The packed buffers of one call and where a (sequence, head) lies in them.
template <typename T>
struct Buffers {
  const AttentionLayout& layout;
  const T* qkv;  // rotated
  T* out;
  T* lse;  // [heads, T]
  int64_t num_tokens;

  AttentionTask<T> Task(size_t sequence, int64_t head) const {
    const int64_t begin = layout.cu_seqlens[sequence];
    const int64_t dim = layout.dim;
    const int64_t stride = (layout.heads + 2 * layout.kv_heads) * dim;
    const int64_t kv_head = head / (layout.heads / layout.kv_heads);
    const T* row = qkv + begin * stride;
    return {.q = row + head * dim,
            .k = row + (layout.heads + kv_head) * dim,
            .v = row + (layout.heads + layout.kv_heads + kv_head) * dim,
            .stride = stride,
            .out = out + (begin * layout.heads + head) * dim,
            .out_stride = layout.heads * dim,
            .lse = lse + head * num_tokens + begin,
            .length = layout.cu_seqlens[sequence + 1] - begin,
            .dim = dim};
  }
};

// Calls body(sequence, head) for all; heads vary slowest, so that each thread
// gets some of every sequence, whatever their lengths.
template <typename Body>
void ForEachSequenceAndHead(const AttentionLayout& layout, int64_t heads,
                            const Body& body) {
  const auto sequences = static_cast<int64_t>(layout.cu_seqlens.size()) - 1;
  ParallelFor(heads * sequences, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto sequence = static_cast<size_t>(i % sequences);
      if (layout.cu_seqlens[sequence] < layout.cu_seqlens[sequence + 1]) {
        body(sequence, i / sequences);
      }
    }
  });
}

// The query heads of a key head are one task: they add to the same dk and dv.
template <typename T>
void RunBackward(const Buffers<T>& buffers, const T* dout, T* dqkv) {
  const AttentionLayout& layout = buffers.layout;
  const int64_t group = layout.heads / layout.kv_heads;
  ForEachSequenceAndHead(
      layout, layout.kv_heads, [&](size_t sequence, int64_t kv_head) {
        for (int64_t i = 0; i < group; ++i) {
          const AttentionTask<T> task =
              buffers.Task(sequence, kv_head * group + i);
          AttendBackward(
              AttentionGradTask<T>{.forward = task,
                                   .dout = dout + (task.out - buffers.out),
                                   .dq = dqkv + (task.q - buffers.qkv),
                                   .dk = dqkv + (task.k - buffers.qkv),
                                   .dv = dqkv + (task.v - buffers.qkv),
                                   .adds_to_keys = i > 0});
        }
      });
}

// Rows behind the last sequence belong to nobody.
void ZeroTail(const AttentionLayout& layout, at::Tensor& rows) {
  const int64_t covered = layout.cu_seqlens.back();
  if (covered < rows.size(0)) {
    rows.narrow(0, covered, rows.size(0) - covered).zero_();
  }
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv,
                            const LayoutPointer& layout) {
    const int64_t num_tokens = qkv.size(0);
    at::Tensor rotated = at::empty_like(qkv);
    at::Tensor out =
        at::empty({num_tokens, layout->heads * layout->dim}, qkv.options());
    at::Tensor lse = at::empty({layout->heads, num_tokens}, qkv.options());
    ZeroTail(*layout, out);
    AT_DISPATCH_FLOATING_TYPES(qkv.scalar_type(), "RotaryAttention", [&] {
      Rotate<scalar_t>(*layout, qkv, 1, rotated);
      const Buffers<scalar_t> buffers{
          *layout, rotated.const_data_ptr<scalar_t>(), out.data_ptr<scalar_t>(),
          lse.data_ptr<scalar_t>(), num_tokens};
      ForEachSequenceAndHead(*layout, layout->heads,
                             [&](size_t sequence, int64_t head) {
                               AttendForward(buffers.Task(sequence, head));
                             });
    });
    ctx->save_for_backward({rotated, out, lse});
    ctx->saved_data["layout"] =
        at::IValue::make_capsule(c10::make_intrusive<LayoutHolder>(layout));
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto capsule = ctx->saved_data["layout"].toCapsule();
    const LayoutPointer& layout =
        static_cast<const LayoutHolder&>(*capsule).layout;
    const at::Tensor dout = grads[0].contiguous();
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
    return {dqkv, at::Tensor()};
  }
};

}  // namespace

at::Tensor RotaryAttention(const at::Tensor& qkv, LayoutPointer layout) {
  return AttentionFunction::apply(qkv, layout);
}

}  // namespace varalign::model
