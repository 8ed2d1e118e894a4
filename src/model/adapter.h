// An adapter: low-rank parts of a model's matrices, which are trained in place
// of the model (docs/lora.md). Names and shapes are those of PEFT.
#ifndef VARALIGN_MODEL_ADAPTER_H_
#define VARALIGN_MODEL_ADAPTER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/parameters.h"

namespace varalign::model {

struct AdapterOptions {
  int64_t rank = 0;  // r, >= 1
  double alpha = 0;  // the low-rank parts count alpha / r; > 0
  // Of base::kAdapterModules (base/adapter_modules.h): which projections of
  // every layer get a low-rank part.
  std::vector<std::string> modules = {};
};

// Freezes the model and gives it an adapter, which then is what `flat`,
// `num_parameters`, `decayed` and (after EnableGradients) `gradients` hold; the
// model's own parameters keep their places in `base`. The adapter's begin as
// PEFT's do: A uniform in +-1/sqrt(in), from `seed` alone, B zero, so that the
// model computes what it did before, bit for bit.
//
// InvalidArgument: options out of range, a name that is no module, or the model
// has an adapter already.
absl::Status AddAdapter(const AdapterOptions& options, uint64_t seed,
                        Parameters& parameters);

// The adapter's tensors under the names of PEFT's files, such as
// base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight; in the order
// of the layers. Views of `flat`.
std::vector<NamedTensor> AdapterTensors(const Parameters& parameters);

// Copies (and converts) every tensor of an adapter in. InvalidArgument names
// all that are missing, unknown, have another shape or are not floating point;
// then nothing is copied.
absl::Status LoadAdapter(std::span<const NamedTensor> tensors,
                         Parameters& parameters);

// HuggingFaceTensors of the model that has the adapter added into its matrices.
// Those are freshly allocated, the others views; without an adapter all are.
std::vector<NamedTensor> MergedTensors(const Parameters& parameters);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_ADAPTER_H_
