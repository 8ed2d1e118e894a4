#include "model/cached_decoder.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <tuple>

#include "base/round_up.h"
#include "model/cached_attention.h"
#include "model/elementwise.h"
#include "model/head_norm.h"
#include "model/linear.h"
#include "model/parallel.h"
#include "model/row_kernels.h"

namespace varalign::model {
namespace {

// Rows of a product where each sequence gets one token: reading the weights
// costs the same for fewer.
constexpr int64_t kStepRows = 16;
// Elements of keys that one thread reads at least.
constexpr int64_t kGrainWork = 1 << 15;

// TiledLinear with tiles of `tile` rows. REQUIRES: T is a multiple of it.
at::Tensor Product(const at::Tensor& x, const LinearParameters& parameters,
                   int64_t tile) {
  if (tile == kTileRows) return TiledLinear(x, parameters);
  const at::Tensor transposed = parameters.weight.detach().t();
  at::Tensor out = at::empty({x.size(0), transposed.size(1)}, x.options());
  for (int64_t row = 0; row < x.size(0); row += tile) {
    at::Tensor part = out.narrow(0, row, tile);
    const at::Tensor rows = x.narrow(0, row, tile);
    if (parameters.bias.defined()) {
      at::addmm_out(part, parameters.bias.detach(), rows, transposed);
    } else {
      at::mm_out(part, rows, transposed);
    }
    if (!parameters.low_rank.empty()) {
      AddLowRank(rows, parameters.low_rank, part);
    }
  }
  return out;
}

// The rows of one call: which sequence each belongs to, and its position.
struct Rows {
  std::vector<size_t> sequence;
  std::vector<int32_t> positions;  // those of padding rows are 0
  std::vector<int64_t> last;       // of each sequence
  at::Tensor tokens;               // [T] int64, padded to whole tiles
  int64_t tile = 0;
};

Rows MakeRows(std::span<KeyValueCache* const> caches,
              std::span<const std::vector<uint32_t>> tokens) {
  Rows rows;
  std::vector<int64_t> ids;
  bool one_each = true;
  for (size_t i = 0; i < tokens.size(); ++i) {
    one_each &= tokens[i].size() == 1;
    for (size_t t = 0; t < tokens[i].size(); ++t) {
      ids.push_back(tokens[i][t]);
      rows.sequence.push_back(i);
      rows.positions.push_back(
          static_cast<int32_t>(caches[i]->length + static_cast<int64_t>(t)));
    }
    rows.last.push_back(static_cast<int64_t>(ids.size()) - 1);
  }
  rows.tile = one_each ? kStepRows : kTileRows;
  ids.resize(static_cast<size_t>(
      base::RoundUp(static_cast<int64_t>(ids.size()), rows.tile)));
  rows.positions.resize(ids.size(), 0);
  rows.tokens = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), rows.tokens.data_ptr<int64_t>());
  return rows;
}

// One layer's attention: rotates, stores keys and values, attends.
template <typename T>
class LayerAttention {
 public:
  LayerAttention(const ModelConfig& config, const RotaryTable& rotary,
                 const Rows& rows, std::span<KeyValueCache* const> caches,
                 int64_t layer)
      : config_(config),
        rotary_(rotary),
        rows_(rows),
        caches_(caches),
        layer_(layer) {}

  at::Tensor Run(const at::Tensor& qkv) const {
    const at::Tensor rotated = Rotate(qkv);
    const T* data = rotated.const_data_ptr<T>();
    const auto count = static_cast<int64_t>(rows_.sequence.size());
    for (int64_t row = 0; row < count; ++row) Store(data, row);
    at::Tensor out = at::zeros(
        {qkv.size(0), config_.num_heads * config_.head_dim}, qkv.options());
    T* target = out.data_ptr<T>();
    ParallelFor(
        count * config_.num_heads, Grain(), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            Attend(data, i / config_.num_heads, i % config_.num_heads, target);
          }
        });
    return out;
  }

 private:
  int64_t width() const {
    return (config_.num_heads + 2 * config_.num_kv_heads) * config_.head_dim;
  }

  // Queries that are worth a thread of their own.
  int64_t Grain() const {
    const int64_t longest =
        1 + *std::max_element(rows_.positions.begin(), rows_.positions.end());
    return std::max<int64_t>(1, kGrainWork / (longest * config_.head_dim));
  }

  at::Tensor Rotate(const at::Tensor& qkv) const {
    at::Tensor rotated = at::empty_like(qkv);
    RotateRows(
        Rotation<T>{.in = qkv.const_data_ptr<T>(),
                    .out = rotated.data_ptr<T>(),
                    .cos = rotary_.cos.const_data_ptr<T>(),
                    .sin = rotary_.sin.const_data_ptr<T>(),
                    .positions = rows_.positions.data(),
                    .heads = config_.num_heads + 2 * config_.num_kv_heads,
                    .rotated = config_.num_heads + config_.num_kv_heads,
                    .dim = config_.head_dim,
                    .sign = T(1)},
        0, qkv.size(0));
    return rotated;
  }

  // Where the keys (part 0) or values (part 1) of a head begin in a cache.
  T* Place(size_t sequence, int64_t part, int64_t kv_head) const {
    const at::Tensor& rows = caches_[sequence]->rows;
    const int64_t offset = (layer_ * 2 + part) * config_.num_kv_heads + kv_head;
    return rows.data_ptr<T>() + offset * rows.size(3) * config_.head_dim;
  }

  void Store(const T* data, int64_t row) const {
    const auto index = static_cast<size_t>(row);
    const int64_t dim = config_.head_dim;
    const T* keys = data + row * width() + config_.num_heads * dim;
    for (int64_t part = 0; part < 2; ++part) {
      for (int64_t head = 0; head < config_.num_kv_heads; ++head) {
        const T* from = keys + (part * config_.num_kv_heads + head) * dim;
        std::copy(from, from + dim,
                  Place(rows_.sequence[index], part, head) +
                      rows_.positions[index] * dim);
      }
    }
  }

  void Attend(const T* data, int64_t row, int64_t head, T* out) const {
    const auto index = static_cast<size_t>(row);
    const int64_t dim = config_.head_dim;
    const int64_t kv_head = head / (config_.num_heads / config_.num_kv_heads);
    const size_t sequence = rows_.sequence[index];
    AttendOne(OneQuery<T>{.query = data + row * width() + head * dim,
                          .keys = Place(sequence, 0, kv_head),
                          .values = Place(sequence, 1, kv_head),
                          .length = rows_.positions[index] + 1,
                          .dim = dim,
                          .out = out + (row * config_.num_heads + head) * dim});
  }

  const ModelConfig& config_;
  const RotaryTable& rotary_;
  const Rows& rows_;
  const std::span<KeyValueCache* const> caches_;
  const int64_t layer_;
};

}  // namespace

CachedDecoder::CachedDecoder(const Parameters& parameters,
                             int64_t max_positions)
    : parameters_(parameters),
      rotary_(MakeRotaryTable(parameters.config, max_positions,
                              parameters.flat.scalar_type())) {}

KeyValueCache CachedDecoder::MakeCache(int64_t capacity) const {
  const ModelConfig& config = parameters_.config;
  return {.rows = at::empty({config.num_layers, 2, config.num_kv_heads,
                             capacity, config.head_dim},
                            parameters_.flat.options())};
}

at::Tensor CachedDecoder::Extend(
    std::span<KeyValueCache* const> caches,
    std::span<const std::vector<uint32_t>> tokens) const {
  const c10::NoGradGuard no_grad;
  const ModelConfig& config = parameters_.config;
  const double eps = config.rms_norm_eps;
  const Rows rows = MakeRows(caches, tokens);
  const auto product = [&](const at::Tensor& x, const LinearParameters& p) {
    return Product(x, p, rows.tile);
  };
  at::Tensor x = Embed(rows.tokens, parameters_.embedding);
  at::Tensor delta, y;
  int64_t number = 0;
  for (const LayerParameters& layer : parameters_.layers) {
    std::tie(x, y) = AddNorm(x, delta, layer.input_norm, eps);
    y = product(y, layer.qkv);
    if (layer.query_norm.defined()) {
      y = HeadNorm(y, layer.query_norm, layer.key_norm, config.num_kv_heads,
                   eps);
    }
    AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "CachedAttention", [&] {
      y = LayerAttention<scalar_t>(config, rotary_, rows, caches, number)
              .Run(y);
    });
    ++number;
    delta = product(y, layer.output);
    std::tie(x, y) = AddNorm(x, delta, layer.post_norm, eps);
    delta = product(SwiGlu(product(y, layer.gate_up)), layer.down);
  }
  for (size_t i = 0; i < caches.size(); ++i) {
    caches[i]->length += static_cast<int64_t>(tokens[i].size());
  }
  const at::Tensor hidden =
      AddNorm(x, delta, parameters_.final_norm, eps).second;
  const auto count = static_cast<int64_t>(rows.last.size());
  at::Tensor last = at::zeros({base::RoundUp(count, kStepRows), hidden.size(1)},
                              hidden.options());
  for (int64_t i = 0; i < count; ++i) {
    last[i].copy_(hidden[rows.last[static_cast<size_t>(i)]]);
  }
  return Product(last, {.weight = parameters_.lm_head}, kStepRows)
      .narrow(0, 0, count);
}

}  // namespace varalign::model
