#include "model/forward.h"

#include "model/decoder.h"
#include "model/linear.h"

namespace varalign::model {

at::Tensor Forward(const Parameters& parameters, const at::Tensor& tokens,
                   std::span<const int64_t> cu_seqlens,
                   const at::Tensor& rows) {
  return RunDecoder(parameters, tokens, cu_seqlens, rows, Linear);
}

}  // namespace varalign::model
