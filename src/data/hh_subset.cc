#include "data/hh_subset.h"

#include <array>
#include <string_view>

namespace varalign::data {
namespace {

struct Published {
  std::string_view name;
  uint64_t train = 0, test = 0;  // rows
};

constexpr std::array<Published, 4> kPublished = {{
    {"harmless-base", 42'537, 2'312},
    {"helpful-base", 43'835, 2'354},
    {"helpful-online", 22'007, 1'137},
    {"helpful-rejection-sampled", 52'421, 2'749},
}};

}  // namespace

std::optional<HhSubset> HhSubsetOf(const std::filesystem::path& file) {
  const std::string folder = file.parent_path().filename().string();
  const std::string name = file.filename().string();
  for (const Published& subset : kPublished) {
    for (const bool train : {true, false}) {
      const std::string split = train ? "train" : "test";
      for (const char* ending : {".jsonl", ".jsonl.gz", ".jsonl.zst"}) {
        const std::string published = split + ending;
        if ((folder == subset.name && name == published) ||
            name == std::string(subset.name) + "." + published) {
          return HhSubset{std::string(subset.name), split,
                          train ? subset.train : subset.test};
        }
      }
    }
  }
  return std::nullopt;
}

}  // namespace varalign::data
