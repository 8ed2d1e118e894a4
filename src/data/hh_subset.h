// The four subsets of Anthropic's hh-rlhf, known by the names of their files.
#ifndef VARALIGN_DATA_HH_SUBSET_H_
#define VARALIGN_DATA_HH_SUBSET_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace varalign::data {

struct HhSubset {
  std::string name;       // "harmless-base"
  std::string split;      // "train" or "test"
  uint64_t num_rows = 0;  // of the file that was published
};

// By "harmless-base/train.jsonl.gz", as published, or
// "harmless-base.train.jsonl.gz"; compressed or not. Pure: the file need not
// exist.
//
// 160,800 train rows and 8,552 test rows in all.
std::optional<HhSubset> HhSubsetOf(const std::filesystem::path& file);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_HH_SUBSET_H_
