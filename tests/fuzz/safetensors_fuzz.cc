#include <cstddef>
#include <span>

#include "base/safetensors.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/targets.h"

namespace varalign::fuzz {

void Safetensors(std::string_view bytes) {
  const auto file =
      std::as_bytes(std::span<const char>(bytes.data(), bytes.size()));
  const auto contents = base::ParseSafetensors(file);
  if (!contents.ok()) return;
  const std::byte* at = nullptr;
  for (const base::TensorSpan& tensor : contents->tensors) {
    int64_t size = base::DtypeSize(tensor.dtype);
    for (const int64_t extent : tensor.shape) size *= extent;
    Require(tensor.bytes.size() == static_cast<size_t>(size),
            "a span holds its shape");
    if (tensor.bytes.empty()) continue;
    Require(at == nullptr || at == tensor.bytes.data(),
            "tensors lie end to end");
    Require(tensor.bytes.data() > file.data(), "a span is inside the file");
    at = tensor.bytes.data() + tensor.bytes.size();
  }
  Require(at == nullptr || at == file.data() + file.size(),
          "the last tensor ends the file");
}

}  // namespace varalign::fuzz
