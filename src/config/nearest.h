// The word that somebody meant.
#ifndef VARALIGN_CONFIG_NEAREST_H_
#define VARALIGN_CONFIG_NEAREST_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace varalign::config {

// Levenshtein distance: insertions, deletions and substitutions of one byte.
size_t EditDistance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, the first among equals; empty if none is
// near enough to be what was meant: more than a third of the word differs.
std::string Nearest(std::string_view word,
                    std::span<const std::string> candidates);

// "; did you mean 'x'?", or nothing where Nearest finds nothing.
std::string DidYouMean(std::string_view word,
                       std::span<const std::string> candidates);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_NEAREST_H_
