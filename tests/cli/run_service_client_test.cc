#include "cli/run_service_client.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/loopback_server.h"
#include "tests/testing/status_matchers.h"

namespace varalign::cli {
namespace {

using ::testing::ElementsAre;

// Five runs, two to a page, and one worker on every page.
class PagingService final : public v1::RunService::Service {
 public:
  grpc::Status ListRuns(grpc::ServerContext*,
                        const v1::ListRunsRequest* request,
                        v1::ListRunsResponse* response) override {
    uint32_t next = 0;
    if (!request->page_token().empty() &&
        !absl::SimpleAtoi(request->page_token(), &next)) {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "page_token");
    }
    const uint32_t end =
        std::min(kRuns, next + std::min(request->page_size(), 2u));
    for (; next < end; ++next) {
      response->add_runs()->set_run_id(absl::StrCat("r-", next));
    }
    if (next < kRuns) response->set_next_page_token(absl::StrCat(next));
    response->add_slots()->set_slot_id("only");
    return grpc::Status::OK;
  }

 private:
  static constexpr uint32_t kRuns = 5;
};

class RunServiceClientTest : public ::testing::Test {
 protected:
  v1::ListRunsResponse List(uint32_t limit) {
    const auto client = RunServiceClient::Create(server_.address());
    EXPECT_OK(client);
    const auto list = client->List({}, limit);
    EXPECT_OK(list);
    return *list;
  }

  static std::vector<std::string> RunIds(const v1::ListRunsResponse& list) {
    std::vector<std::string> ids;
    for (const v1::Run& run : list.runs()) ids.push_back(run.run_id());
    return ids;
  }

  PagingService service_;
  varalign::testing::LoopbackServer server_{{&service_}};
};

TEST_F(RunServiceClientTest, ListsPageByPageUpToTheLimit) {
  const v1::ListRunsResponse three = List(3);
  EXPECT_THAT(RunIds(three), ElementsAre("r-0", "r-1", "r-2"));
  EXPECT_FALSE(three.next_page_token().empty());
  const v1::ListRunsResponse all = List(5);
  EXPECT_THAT(RunIds(all), ElementsAre("r-0", "r-1", "r-2", "r-3", "r-4"));
  EXPECT_TRUE(all.next_page_token().empty());
  EXPECT_EQ(RunIds(List(100)), RunIds(all));
}

TEST_F(RunServiceClientTest, ListsEachWorkerOnce) {
  EXPECT_EQ(List(5).slots_size(), 1);
}

}  // namespace
}  // namespace varalign::cli
