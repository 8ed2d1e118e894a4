// A host that does not see the coordinator's disk: files come through
// FetchShard, real bytes over a real connection.
#include "worker/run_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "tests/testing/loopback_server.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/tiny_run.h"
#include "varalign/v1/coordinator.grpc.pb.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::varalign::testing::LoopbackServer;
using ::varalign::testing::StatusIs;

enum class Network { kHonest, kDamaging };

// Streams the files of a directory in small chunks.
class FileService final : public v1::WorkerService::Service {
 public:
  FileService(fs::path directory, Network network)
      : directory_(std::move(directory)), network_(network) {}

  grpc::Status FetchShard(grpc::ServerContext*,
                          const v1::FetchShardRequest* request,
                          grpc::ServerWriter<v1::ShardChunk>* writer) override {
    fetched_.push_back(request->file());
    const auto contents = base::ReadFile(directory_ / request->file());
    if (!contents.ok()) {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such file");
    }
    constexpr size_t kChunk = 1000;
    v1::ShardChunk chunk;
    for (size_t begin = 0; begin < contents->size(); begin += kChunk) {
      chunk.set_data(contents->substr(begin, kChunk));
      if (network_ == Network::kDamaging) chunk.mutable_data()->front() ^= 1;
      if (begin + kChunk >= contents->size()) {
        chunk.set_xxh3_128(
            base::Xxh3OfFile(directory_ / request->file()).value());
      }
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

  std::vector<std::string> TakeFetched() { return std::exchange(fetched_, {}); }

 private:
  const fs::path directory_;
  const Network network_;
  std::vector<std::string> fetched_;  // calls come one after another
};

class RunDatasetTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteTinyDataset(there_ / "data"); }

  absl::StatusOr<data::Dataset> Open(FileService& service) {
    LoopbackServer server({&service});
    const auto client =
        CoordinatorClient::Create({.target = server.address(), .identity = {}},
                                  clock_, departure_)
            .value();
    return OpenRunDataset(here_ / "not-here", "", here_ / "cache", *client);
  }

  const testing::TempDirectory there_, here_;
  const base::SystemClock clock_;
  Departure departure_;
};

TEST_F(RunDatasetTest, FilesAreFetchedOnce) {
  FileService service(there_ / "data", Network::kHonest);
  ASSERT_OK_AND_ASSIGN(const data::Dataset first, Open(service));
  ASSERT_OK_AND_ASSIGN(const data::Dataset original,
                       data::Dataset::Open(there_ / "data"));
  EXPECT_EQ(first.manifest_xxh3(), original.manifest_xxh3());
  EXPECT_EQ(first.num_examples(), original.num_examples());
  EXPECT_THAT(service.TakeFetched(),
              ElementsAre("MANIFEST.json", "shard-00000.safetensors"));
  EXPECT_OK(Open(service).status());
  EXPECT_THAT(service.TakeFetched(), ElementsAre("MANIFEST.json"));
}

TEST_F(RunDatasetTest, WhatWasDamagedOnItsWayIsNotKept) {
  FileService damaging(there_ / "data", Network::kDamaging);
  EXPECT_THAT(Open(damaging), StatusIs(absl::StatusCode::kDataLoss));
  FileService honest(there_ / "data", Network::kHonest);
  EXPECT_OK(Open(honest).status());
}

TEST_F(RunDatasetTest, ACacheThatOthersMayWriteIsNotTrusted) {
  fs::create_directory(here_ / "cache");
  fs::permissions(here_ / "cache", fs::perms::all);
  FileService service(there_ / "data", Network::kHonest);
  EXPECT_THAT(Open(service), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(service.TakeFetched(), IsEmpty());
  fs::remove(here_ / "cache");
  fs::create_directory_symlink(there_ / "data", here_ / "cache");
  EXPECT_THAT(Open(service), StatusIs(absl::StatusCode::kPermissionDenied));
}

}  // namespace
}  // namespace varalign::worker
