#include "model/forward.h"

#include "model/decoder.h"
#include "model/linear.h"

namespace varalign::model {

at::Tensor Forward(const Parameters& parameters, const at::Tensor& tokens,
                   const base::PackedLayout& packed, const at::Tensor& rows,
                   Recompute recompute) {
  return RunDecoder(parameters, tokens, packed, rows, Linear, recompute);
}

at::Tensor Forward(const Parameters& parameters, const at::Tensor& tokens,
                   std::span<const int64_t> cu_seqlens,
                   const at::Tensor& rows) {
  return Forward(parameters, tokens,
                 base::PackedLayout::OfSequences(cu_seqlens), rows);
}

}  // namespace varalign::model
