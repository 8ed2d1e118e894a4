#include "checkpoint/model_index.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/targets.h"

namespace varalign::fuzz {

void ModelIndex(std::string_view bytes) {
  const auto index = checkpoint::ParseModelIndex(bytes);
  if (!index.ok()) return;
  Require(!index->shard_of.empty(), "an index names shards");
  for (const auto& [name, shard] : index->shard_of) {
    Require(shard.find('/') == shard.npos && !shard.starts_with('.') &&
                shard.ends_with(".safetensors"),
            "a shard stays in its directory");
  }
}

}  // namespace varalign::fuzz
