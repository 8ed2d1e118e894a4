#include "model/adapter.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/adapter_modules.h"
#include "base/round_up.h"
#include "base/status_macros.h"
#include "model/parameter_names.h"

namespace varalign::model {
namespace {

constexpr absl::string_view kPrefix = "base_model.model.";

// "self_attn.q_proj" of "self_attn.q_proj.weight".
absl::string_view PathOf(absl::string_view name) {
  return absl::StripSuffix(name, ".weight");
}

bool IsChosen(const AdapterOptions& options, absl::string_view path) {
  const std::string module(path.substr(path.rfind('.') + 1));
  return std::ranges::count(options.modules, module) > 0;
}

// The parts of one matrix of `layer`, their tensors still undefined.
LowRank PartsOf(const ModelConfig& config, const AdapterOptions& options,
                LayerParameters& layer, const LinearParameters& linear) {
  LowRank low_rank{.a = {},
                   .parts = {},
                   .scale = options.alpha / static_cast<double>(options.rank)};
  for (const LayerName& row : LayerNames()) {
    const absl::string_view path = PathOf(row.name);
    if (&row.tensor(layer) != &linear.weight || !IsChosen(options, path)) {
      continue;
    }
    const int64_t begin = row.rows == nullptr ? 0 : row.rows(config).begin;
    low_rank.parts.push_back({.name = path, .row_begin = begin, .b = {}});
  }
  return low_rank;
}

int64_t RowsOf(const ModelConfig& config, const LinearParameters& linear,
               const LowRank::Part& part) {
  for (const LayerName& row : LayerNames()) {
    if (PathOf(row.name) != part.name) continue;
    return row.rows == nullptr ? linear.weight.size(0) : row.rows(config).count;
  }
  return 0;
}

// Takes tensors from the front of a buffer; without one it only counts.
class Cutter {
 public:
  explicit Cutter(at::Tensor flat) : flat_(std::move(flat)) {}

  at::Tensor Take(int64_t rows, int64_t columns) {
    const int64_t begin = taken_;
    taken_ += rows * columns;
    return flat_.defined()
               ? flat_.narrow(0, begin, rows * columns).view({rows, columns})
               : at::Tensor();
  }
  int64_t taken() const { return taken_; }

 private:
  const at::Tensor flat_;
  int64_t taken_ = 0;
};

// Gives every chosen matrix its parts, from `cutter`.
void CutParts(const AdapterOptions& options, Cutter& cutter,
              Parameters& parameters) {
  for (LayerParameters& layer : parameters.layers) {
    for (LinearParameters* linear : LinearsOf(layer)) {
      LowRank low_rank = PartsOf(parameters.config, options, layer, *linear);
      if (low_rank.empty()) continue;
      const auto parts = static_cast<int64_t>(low_rank.parts.size());
      low_rank.a = cutter.Take(parts * options.rank, linear->weight.size(1));
      for (LowRank::Part& part : low_rank.parts) {
        part.b =
            cutter.Take(RowsOf(parameters.config, *linear, part), options.rank);
      }
      linear->low_rank = std::move(low_rank);
    }
  }
}

// Kaiming's uniform with a = sqrt(5), as torch.nn.Linear begins: the bound is
// sqrt(6 / ((1 + a^2) in)).
void Initialize(uint64_t seed, Parameters& parameters) {
  const c10::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (LayerParameters& layer : parameters.layers) {
    for (LinearParameters* linear : LinearsOf(layer)) {
      if (linear->low_rank.empty()) continue;
      at::Tensor& a = linear->low_rank.a;
      const double bound = 1 / std::sqrt(static_cast<double>(a.size(1)));
      a.uniform_(-bound, bound, generator);
    }
  }
}

absl::Status CheckOptions(const AdapterOptions& options,
                          const Parameters& parameters) {
  if (options.rank < 1 || !(options.alpha > 0) || options.modules.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "an adapter needs a rank and an alpha above 0 and a module: rank ",
        options.rank, ", alpha ", options.alpha, ", ", options.modules.size(),
        " modules"));
  }
  for (const std::string& module : options.modules) {
    RETURN_IF_ERROR(base::ParseAdapterModules(module).status());
  }
  if (parameters.base.defined()) {
    return absl::InvalidArgumentError("the model has an adapter already");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AddAdapter(const AdapterOptions& options, uint64_t seed,
                        Parameters& parameters) {
  RETURN_IF_ERROR(CheckOptions(options, parameters));
  Cutter counter({});
  CutParts(options, counter, parameters);
  const int64_t size = counter.taken();
  at::Tensor flat = at::zeros({base::RoundUp(size, kFlatMultiple)},
                              parameters.flat.options());
  Cutter cutter(flat);
  CutParts(options, cutter, parameters);
  parameters.base = std::exchange(parameters.flat, std::move(flat));
  parameters.num_parameters = size;
  parameters.decayed = {{0, size}};  // matrices all of them
  Initialize(seed, parameters);
  return absl::OkStatus();
}

std::vector<NamedTensor> AdapterTensors(const Parameters& parameters) {
  std::vector<NamedTensor> tensors;
  std::vector<LayerParameters> layers = parameters.layers;  // of views
  for (size_t i = 0; i < layers.size(); ++i) {
    for (const LinearParameters* linear : LinearsOf(layers[i])) {
      const LowRank& low_rank = linear->low_rank;
      for (size_t p = 0; p < low_rank.parts.size(); ++p) {
        const LowRank::Part& part = low_rank.parts[p];
        const std::string name =
            absl::StrCat(kPrefix, LayerPrefix(i), part.name);
        tensors.emplace_back(name + ".lora_A.weight",
                             low_rank.PartA(p).detach());
        tensors.emplace_back(name + ".lora_B.weight", part.b.detach());
      }
    }
  }
  return tensors;
}

std::vector<NamedTensor> MergedTensors(const Parameters& parameters) {
  Parameters merged = parameters;  // of views
  for (LayerParameters& layer : merged.layers) {
    for (LinearParameters* linear : LinearsOf(layer)) {
      if (linear->low_rank.empty()) continue;
      linear->weight = Merged(linear->weight, linear->low_rank);
    }
  }
  return HuggingFaceTensors(merged);
}

}  // namespace varalign::model
