// varalign-reward-server as a process over loopback, with the tiny models whose
// numbers transformers computed (tests/golden).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string>

#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "tests/reward_server/reward_client.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/test_data.h"

namespace varalign::reward_server {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using varalign::testing::BuildDirectory;
using varalign::testing::IsOk;
using varalign::testing::SourceDirectory;
using varalign::testing::StatusIs;

constexpr double kTolerance = 1e-3;

struct GoldenRow {
  Ids prompt, response;
  double expected = 0;  // reward, or sum of the log-probabilities
};

fs::path Golden(const char* model) {
  return SourceDirectory() / "tests" / "golden" / model;
}

std::vector<GoldenRow> ReadGolden(const char* model) {
  const base::Json golden =
      base::ParseJson(base::ReadFile(Golden(model) / "golden.json").value())
          .value();
  std::vector<GoldenRow> rows;
  for (size_t i = 0; i < golden["rows"].size(); ++i) {
    GoldenRow row = {golden["rows"][i]["prompt"].get<Ids>(),
                     golden["rows"][i]["response"].get<Ids>(), 0};
    if (golden.contains("rewards")) {
      row.expected = golden["rewards"][i].get<double>();
    } else {
      const auto tokens = golden["log_probs"][i].get<std::vector<double>>();
      row.expected = std::accumulate(tokens.begin(), tokens.end(), 0.0);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

class ProgramTest : public ::testing::Test {
 protected:
  void StartProcess(std::vector<std::string> arguments) {
    base::ProcessOptions options;
    options.argv = {
        (BuildDirectory() / "bin" / "varalign-reward-server").string(),
        "--address-file", AddressFile().string(), "--threads", "2"};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.log_file = Log();
    auto process = base::Subprocess::Spawn(options);
    ASSERT_TRUE(process.ok()) << process.status();
    process_.emplace(*std::move(process));
  }

  void StartServer(std::vector<std::string> more = {}) {
    std::error_code ignored;
    fs::remove(AddressFile(), ignored);
    std::vector<std::string> arguments = {
        "--reward", Golden("llama-reward").string(), "--policy",
        Golden("llama-tied").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ASSERT_NO_FATAL_FAILURE(StartProcess(std::move(arguments)));
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    std::string address;
    while (address.empty()) {
      ASSERT_LT(absl::Now(), deadline);
      ASSERT_FALSE(process_->Poll().has_value())
          << base::TailOfFile(Log(), 2000);
      address = base::ReadFile(AddressFile()).value_or("");
      absl::SleepFor(absl::Milliseconds(10));
    }
    client_.emplace(std::string(absl::StripSuffix(address, "\n")));
  }

  fs::path AddressFile() const { return directory_.path() / "address"; }
  fs::path Log() const { return directory_.path() / "log"; }

  varalign::testing::TempDirectory directory_;
  std::optional<base::Subprocess> process_;
  std::optional<RewardClient> client_;
};

TEST_F(ProgramTest, ScoresEqualTransformers) {
  StartServer();
  for (const char* model : {"llama-reward", "llama-tied"}) {
    const bool reward = std::string_view(model) == "llama-reward";
    const std::vector<GoldenRow> rows = ReadGolden(model);
    v1::ScorePairsRequest request;
    request.mutable_outputs()->set_reward(reward);
    request.mutable_outputs()->set_logprob_sum(!reward);
    for (const GoldenRow& row : rows) {
      AddPair(row.prompt, row.response, request);
    }
    ASSERT_OK_AND_ASSIGN(const auto response, client_->ScorePairs(request));
    ASSERT_EQ(response.scores_size(), static_cast<int>(rows.size()));
    for (size_t i = 0; i < rows.size(); ++i) {
      const v1::Score& score = response.scores(static_cast<int>(i));
      EXPECT_NEAR(reward ? score.reward() : score.logprob_sum(),
                  rows[i].expected, kTolerance)
          << model << ", row " << i;
      EXPECT_EQ(score.num_tokens(), rows[i].response.size());
    }
  }
}

// The bits of a score alone, and with any neighbours in any order, split and
// repeated. No store, so that every number is computed.
TEST_F(ProgramTest, ScoresDoNotDependOnTheirNeighbours) {
  StartServer({"--store-bytes", "0", "--max-batch-tokens", "300"});
  std::vector<std::pair<Ids, Ids>> rows;
  uint64_t state = 11;
  const auto next = [&state](uint32_t bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state >> 33) % bound);
  };
  for (int i = 0; i < 40; ++i) {
    Ids prompt(1 + next(20)), response(1 + next(20));
    for (uint32_t& id : prompt) id = next(64);
    for (uint32_t& id : response) id = next(64);
    rows.emplace_back(std::move(prompt), std::move(response));
  }
  std::vector<v1::Score> alone;
  for (const auto& [prompt, response] : rows) {
    v1::ScorePairsRequest request;
    AddPair(prompt, response, request);
    ASSERT_OK_AND_ASSIGN(const auto answer, client_->ScorePairs(request));
    alone.push_back(answer.scores(0));
  }
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0u);
  for (int round = 0; round < 6; ++round) {
    for (size_t i = order.size() - 1; i > 0; --i) {
      std::swap(order[i], order[next(static_cast<uint32_t>(i + 1))]);
    }
    const size_t count = 1 + next(40);
    v1::ScorePairsRequest request;
    for (size_t i = 0; i < count; ++i) {
      AddPair(rows[order[i]].first, rows[order[i]].second, request);
    }
    AddPair(rows[order[0]].first, rows[order[0]].second, request);
    ASSERT_OK_AND_ASSIGN(const auto answer, client_->ScorePairs(request));
    for (size_t i = 0; i <= count; ++i) {
      const v1::Score& score = answer.scores(static_cast<int>(i));
      const v1::Score& expected = alone[order[i % count]];
      EXPECT_EQ(score.reward(), expected.reward());
      EXPECT_EQ(score.logprob_sum(), expected.logprob_sum());
    }
  }
}

TEST_F(ProgramTest, WeightsAreTheSameBitsAfterARestart) {
  v1::Group group;
  group.set_group_id(1);
  for (const GoldenRow& row : ReadGolden("llama-tied")) {
    AddPair(row.prompt, row.response, group);
  }
  std::string first;
  for (int start = 0; start < 2; ++start) {
    StartServer();
    WeightClient stream(*client_);
    ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR_LITERAL)));
    stream.Send(group);
    const auto answer = stream.Read();
    ASSERT_TRUE(answer.has_value() && answer->has_weights());
    const std::string bytes = answer->weights().SerializeAsString();
    if (start == 0) first = bytes;
    EXPECT_EQ(bytes, first);
    process_->Signal(SIGKILL);  // as a crash would
    process_->Wait(absl::Seconds(10));
    EXPECT_FALSE(stream.Read().has_value());
    EXPECT_THAT(stream.Finish(), StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(ProgramTest, DrainsOnSigterm) {
  StartServer();
  WeightClient stream(*client_);
  ASSERT_OK(stream.Open(Rule(v1::Objective::PRESET_VAR)));
  process_->Signal(SIGTERM);
  const auto draining = stream.Read();
  ASSERT_TRUE(draining.has_value());
  EXPECT_TRUE(draining->has_draining());
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_THAT(stream.Finish(), StatusIs(absl::StatusCode::kUnavailable));
  const auto exit = process_->Wait(absl::Seconds(20));
  ASSERT_TRUE(exit.has_value());
  EXPECT_TRUE(exit->ok()) << exit->ToString();
}

struct BadStart {
  std::vector<std::string> arguments;
  int code;
  std::string message;
};

TEST_F(ProgramTest, SaysWhatIsWrongAndExitsByTheContract) {
  const std::string reward = Golden("llama-reward").string();
  const std::string policy = Golden("llama-tied").string();
  const BadStart kCases[] = {
      {{}, 64, "nothing to serve"},
      {{"--reward", reward, "--store", "/no/such/directory/x.db"},
       77,
       "score store: open"},
      {{"--no-such-flag"}, 64, "no-such-flag"},
      {{"--reward", "/no/such/directory"}, 66, "/no/such/directory"},
      {{"--reward", policy}, 65, "not a reward model"},
      {{"--policy", reward}, 65, "not a language model"},
      {{"--reward", reward, "--listen", "nonsense"}, 64, "HOST:PORT"},
      {{"--reward", reward, "--listen", "0.0.0.0:0"}, 77, "--insecure"},
  };
  for (const BadStart& c : kCases) {
    std::error_code ignored;
    fs::remove(Log(), ignored);
    StartProcess(c.arguments);
    const auto exit = process_->Wait(absl::Seconds(60));
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->code, c.code) << c.message;
    EXPECT_THAT(base::TailOfFile(Log(), 4000), HasSubstr(c.message));
  }
}

}  // namespace
}  // namespace varalign::reward_server
