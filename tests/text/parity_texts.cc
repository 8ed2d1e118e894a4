#include "tests/text/parity_texts.h"

#include <iterator>
#include <string_view>

#include "tests/text/golden_lines.h"

namespace varalign::text {
namespace {

constexpr const char* kSpaces[] = {" ",
                                   "  ",
                                   " ",
                                   "\n",
                                   "\n\n",
                                   "\t",
                                   "\r\n",
                                   "\xc2\xa0",
                                   "\xe2\x80\x83",
                                   "\xe3\x80\x80",
                                   "\xe2\x80\x8b",
                                   "\n \n",
                                   " \t "};
constexpr const char* kPhrases[] = {"'s",           "'T",
                                    "n't",          "I'LL",
                                    " the",         " a",
                                    "https://",     "==",
                                    "//",           "--",
                                    "...",          "</",
                                    "\xe2\x96\x81", "\xe2\x96\x81\xe2\x96\x81",
                                    "\xef\xbb\xbf"};
constexpr const char* kSpecial[] = {
    "<s>",           "</s>",    "<unk>",  "<|im_start|>", "<|im_end|>",
    "<|endoftext|>", "<think>", "<0x0A>", "[CLS]",        "<mask>"};
constexpr uint32_t kScripts[][2] = {
    {0x370, 0x90},   {0x400, 0x100},   {0x590, 0x70},    {0x600, 0x100},
    {0x900, 0x80},   {0xE00, 0x80},    {0x1E00, 0x100},  {0x2000, 0x70},
    {0x2190, 0x270}, {0x3040, 0xC0},   {0xAC00, 0x2BA4}, {0xF900, 0x100},
    {0xFF00, 0x60},  {0x1D400, 0x400}, {0x1F300, 0x300}};

// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint32_t Below(uint32_t n) {
    state_ += 0x9E3779B97F4A7C15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return static_cast<uint32_t>((z ^ (z >> 31)) % n);
  }
  template <size_t N>
  std::string OneOf(const char* const (&texts)[N]) {
    return texts[Below(N)];
  }

 private:
  uint64_t state_;
};

void AppendUtf8(uint32_t code, std::string& text) {
  const auto put = [&](uint32_t byte) { text += static_cast<char>(byte); };
  const auto rest = [&](int shift) { put(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    rest(0);
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    rest(6);
    rest(0);
  } else {
    put(0xf0 | (code >> 18));
    rest(12);
    rest(6);
    rest(0);
  }
}

std::string Run(Random& random, uint32_t low, uint32_t count, uint32_t length) {
  std::string text;
  for (uint32_t i = 0; i < length; ++i) {
    AppendUtf8(low + random.Below(count), text);
  }
  return text;
}

// Any character of any plane.
std::string AnyCharacter(Random& random) {
  uint32_t code = random.Below(17) * 0x10000;
  code += random.Below(0x10000);
  if (code >= 0xD800 && code <= 0xDFFF) code -= 0x800;
  std::string text;
  AppendUtf8(code, text);
  return text;
}

std::string Emoji(Random& random) {
  std::string text = Run(random, 0x1F600, 0x50, 1);
  for (uint32_t n = random.Below(4); n > 0; --n) {
    if (random.Below(3) == 0) text += "\xef\xb8\x8f";
    text += "\xe2\x80\x8d";
    text += Run(random, 0x1F466, 4, 1);
  }
  return text;
}

// `1 + below(n)` is drawn before the characters are.
std::string SomeOf(Random& random, uint32_t low, uint32_t count, uint32_t n,
                   uint32_t least = 1) {
  const uint32_t length = least + random.Below(n);
  return Run(random, low, count, length);
}

std::string Piece(Random& random) {
  switch (const uint32_t kind = random.Below(16)) {
    case 3:
      return random.OneOf(kSpaces);
    case 4: {
      std::string text = Run(random, 0x61, 26, 1);
      return text + SomeOf(random, 0x300, 0x70, 3);
    }
    case 5:
      return Emoji(random);
    case 6:
      return AnyCharacter(random);
    case 7:
      return SomeOf(random, 0x4E00, 0x5200, 4);
    case 8:
      return SomeOf(random, 0x1100, 0x100, 3);
    case 9:
      return SomeOf(random, 0xA0, 0x250, 4);
    case 10: {
      const uint32_t(&script)[2] = kScripts[random.Below(std::size(kScripts))];
      return SomeOf(random, script[0], script[1], 4);
    }
    case 11:
      return SomeOf(random, 0x30, 10, 6);
    case 12:
      return random.OneOf(kPhrases);
    case 13:
      return random.OneOf(kSpecial);
    default:
      if (kind < 3) return SomeOf(random, 0x20, 0x5F, 8);
      return " " + SomeOf(random, 0x61, 26, 7, 2);
  }
}

std::vector<std::string> HhTexts(const std::filesystem::path& data) {
  std::vector<std::string> texts;
  for (const char* name : {"harmless-base", "helpful-base"}) {
    for (const base::Json& row : ReadGoldenLines(
             data / "hh" / (std::string(name) + ".test.jsonl.gz"))) {
      texts.push_back(row["chosen"].get<std::string>());
      texts.push_back(row["rejected"].get<std::string>());
    }
  }
  return texts;
}

std::vector<std::string> Turns(const std::vector<std::string>& texts) {
  std::vector<std::string> turns;
  for (const std::string_view text : texts) {
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find("\n\n", at), text.size());
      if (end > at) turns.emplace_back(text.substr(at, end - at));
      at = end + 2;
    }
  }
  return turns;
}

}  // namespace

std::string RandomText(uint64_t seed, uint64_t index) {
  Random random(seed + index * 0xD1342543DE82EF95);
  std::string text;
  for (uint32_t n = 1 + random.Below(24); n > 0; --n) text += Piece(random);
  return text;
}

std::vector<std::string> CorpusTexts(const std::filesystem::path& data,
                                     const std::string& name) {
  if (name == "hh") return HhTexts(data);
  if (name == "hh_turns") return Turns(HhTexts(data));
  std::vector<std::string> texts;
  if (name == "alpaca_groups") {
    for (const base::Json& row :
         ReadGoldenLines(data / "alpaca_groups/train.jsonl.gz")) {
      for (const base::Json& response : row["responses"]) {
        texts.push_back(response.get<std::string>());
      }
    }
    return texts;
  }
  for (const char* file : {"evalbiasbench", "llmbar", "dpo_demo"}) {
    for (const base::Json& row :
         ReadGoldenLines(data / "assets/preference-pairs" /
                         (std::string(file) + ".jsonl.gz"))) {
      texts.push_back(row["chosen"].get<std::string>());
      texts.push_back(row["rejected"].get<std::string>());
    }
  }
  return texts;
}

}  // namespace varalign::text
