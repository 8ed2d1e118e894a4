#include "data/manifest.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/scratch_file.h"
#include "tests/fuzz/targets.h"

namespace varalign::fuzz {

void Manifest(std::string_view bytes) {
  WriteScratch(data::kManifestFile, bytes);
  const auto manifest = data::ReadManifest(ScratchDirectory());
  if (!manifest.ok()) return;
  for (const v1::Shard& shard : manifest->shards()) {
    Require(shard.file().find('/') == std::string::npos,
            "a shard stays in its directory");
  }
  Require(data::WriteManifest(ScratchDirectory(), *manifest).ok(),
          "what was read can be written");
  const auto again = data::ReadManifest(ScratchDirectory());
  Require(again.ok(), "what was written can be read");
  Require(
      google::protobuf::util::MessageDifferencer::Equivalent(*manifest, *again),
      "it is the same manifest");
}

}  // namespace varalign::fuzz
