// The texts of the parity test, the same as tools/text_parity.py makes.
#ifndef VARALIGN_TESTS_TEXT_PARITY_TEXTS_H_
#define VARALIGN_TESTS_TEXT_PARITY_TEXTS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace varalign::text {

// All planes, combining marks, joined emoji, Hangul parts, special tokens and
// words: text number `index` of the sequence that `seed` begins.
std::string RandomText(uint64_t seed, uint64_t index);

// "hh", "hh_turns", "alpaca_groups" or "preference_pairs" of the test data.
std::vector<std::string> CorpusTexts(const std::filesystem::path& data,
                                     const std::string& name);

}  // namespace varalign::text

#endif  // VARALIGN_TESTS_TEXT_PARITY_TEXTS_H_
