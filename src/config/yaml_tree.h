// YAML as a tree with places and without surprises: one document; no aliases,
// anchors, tags or duplicate keys; scalars as text, for the reader's field type
// to convert.
#ifndef VARALIGN_CONFIG_YAML_TREE_H_
#define VARALIGN_CONFIG_YAML_TREE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostics.h"

namespace varalign::config {

struct YamlNode {
  enum class Kind { kNothing, kScalar, kList, kMap };

  Kind kind = Kind::kNothing;
  Place place = {};
  std::string text = {};  // kScalar, quotes and escapes resolved
  // kList and kMap, in file order.
  std::vector<YamlNode> items = {};
  // Of an item of a map; keys of one map differ.
  std::string key = {};
  Place key_place = {};
};

inline constexpr size_t kMaxYamlBytes = size_t{1} << 20;
inline constexpr int kMaxYamlDepth = 32;
inline constexpr int kMaxYamlNodes = 10'000;

// The document of `yaml`; an empty text is an empty map. Adds what is wrong to
// `diagnostics`; nullopt if the text cannot be read at all, else the tree
// without what was refused.
std::optional<YamlNode> ParseYaml(std::string_view yaml,
                                  Diagnostics& diagnostics);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_YAML_TREE_H_
