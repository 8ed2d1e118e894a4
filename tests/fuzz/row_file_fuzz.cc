#include <utility>

#include "data/row_source.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/scratch_file.h"
#include "tests/fuzz/targets.h"

namespace varalign::fuzz {

// The first byte says how the rest is compressed.
void RowFile(std::string_view bytes) {
  if (bytes.empty()) return;
  constexpr const char* kNames[] = {"rows.jsonl", "rows.jsonl.gz",
                                    "rows.jsonl.zst"};
  const auto kind = static_cast<unsigned char>(bytes.front()) % 3;
  auto source =
      data::RowSource::Open(WriteScratch(kNames[kind], bytes.substr(1)));
  if (!source.ok()) return;
  uint64_t number = 0;
  while (true) {
    const auto line = source->Next();
    if (!line.ok() || !line->has_value()) return;
    Require((*line)->number > number, "line numbers rise");
    Require((*line)->text.size() <= data::kMaxLineBytes, "lines are bounded");
    number = (*line)->number;
  }
}

}  // namespace varalign::fuzz
