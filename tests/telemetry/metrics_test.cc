#include "telemetry/metrics.h"

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::telemetry {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RegistryTest, KnownSeriesStartAtZero) {
  Registry registry("test");
  registry.AddCounter({"varalign_runs_ended_total",
                       "Runs that ended.",
                       {{"state", {"failed", "succeeded"}}}});
  registry.AddGauge({"varalign_queue", "Rows that wait."});
  registry.AddHistogram({"varalign_call_seconds",
                         "Duration of a call.",
                         {{"method", {"get", "put"}}, {"code", {"ok"}}}},
                        {0.5, 1});
  EXPECT_THAT(
      registry.Exposition(),
      AllOf(HasSubstr("# HELP varalign_runs_ended_total Runs that ended.\n"
                      "# TYPE varalign_runs_ended_total counter\n"),
            HasSubstr("varalign_runs_ended_total{state=\"failed\"} 0\n"),
            HasSubstr("varalign_runs_ended_total{state=\"succeeded\"} 0\n"),
            HasSubstr("\nvaralign_queue 0\n"),
            HasSubstr("varalign_call_seconds_count{code=\"ok\",method=\"get\"} "
                      "0\n"),
            HasSubstr("varalign_call_seconds_bucket{code=\"ok\",method=\"put\","
                      "le=\"0.5\"} 0\n")));
}

TEST(RegistryTest, CountsInTheSeriesOfTheGivenValues) {
  Registry registry("test");
  Family<Counter>& rows = registry.AddCounter(
      {"varalign_rows_total",
       "Rows.",
       {{"verdict", {"good", "bad"}}, {"source", {"a", "b"}}}});
  rows.With({"bad", "a"}).Increment(3);
  rows.With({"bad", "a"}).Increment();
  EXPECT_EQ(rows.With({"bad", "a"}).Value(), 4);
  EXPECT_EQ(rows.With({"good", "a"}).Value(), 0);
  EXPECT_EQ(rows.With({"bad", "b"}).Value(), 0);
}

TEST(RegistryTest, SeriesOfUnknownValuesComeWithTheirFirstUse) {
  Registry registry("test");
  Family<Gauge>& step =
      registry.AddGauge({"varalign_step", "Steps done.", {{"run"}}});
  EXPECT_THAT(registry.Exposition(), Not(HasSubstr("varalign_step")));
  step.With({"r-1"}).Set(12);
  step.With({"r-2"}).Set(13);
  EXPECT_THAT(registry.Exposition(),
              AllOf(HasSubstr("varalign_step{run=\"r-1\"} 12\n"),
                    HasSubstr("varalign_step{run=\"r-2\"} 13\n")));
}

TEST(RegistryTest, EscapesLabelValues) {
  Registry registry("test");
  registry.AddGauge({"varalign_step", "Steps done.", {{"run"}}})
      .With({"a\"b\\c\nd"})
      .Set(1);
  EXPECT_THAT(registry.Exposition(),
              HasSubstr("varalign_step{run=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(RegistryTest, HistogramsCountIntoBuckets) {
  Registry registry("test");
  Histogram& seconds =
      registry.AddHistogram({"varalign_step_seconds", "A step."}, {1, 10})
          .With({});
  for (const double value : {0.5, 1.0, 5.0, 50.0}) seconds.Observe(value);
  EXPECT_THAT(
      registry.Exposition(),
      HasSubstr("varalign_step_seconds_count 4\nvaralign_step_seconds_sum "
                "56.5\nvaralign_step_seconds_bucket{le=\"1\"} 2\n"
                "varalign_step_seconds_bucket{le=\"10\"} 3\n"
                "varalign_step_seconds_bucket{le=\"+Inf\"} 4\n"));
}

TEST(RegistryTest, CountsFromManyThreads) {
  Registry registry("test");
  Family<Counter>& calls = registry.AddCounter(
      {"varalign_calls_total", "Calls.", {{"code", {"ok"}}}});
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 10'000; ++j) calls.With({"ok"}).Increment();
      });
    }
  }
  EXPECT_EQ(calls.With({"ok"}).Value(), 40'000);
}

TEST(RegistryTest, TellsBuildAndProcess) {
  Registry registry("coordinator");
  EXPECT_THAT(
      registry.Exposition(),
      AllOf(HasSubstr("varalign_build_info{protocol=\"1\",role=\"coordinator\","
                      "version=\"0.1.0\"} 1\n"),
            HasSubstr("# TYPE process_cpu_seconds_total counter\n"),
            HasSubstr("\nprocess_resident_memory_bytes "),
            HasSubstr("\nprocess_open_fds "),
            HasSubstr("\nprocess_start_time_seconds ")));
}

TEST(RegistryTest, ListsAllFamiliesForTheReference) {
  Registry registry("test");
  registry.AddCounter({"varalign_runs_ended_total",
                       "Runs that ended, good|bad.",
                       {{"state", {"failed", "succeeded"}}, {"run"}}});
  const std::string table = FamiliesAsMarkdown(registry.Families());
  EXPECT_THAT(
      table,
      AllOf(HasSubstr("| name | type | labels | meaning |\n"),
            HasSubstr("| `varalign_runs_ended_total` | counter | `state`: "
                      "failed, succeeded; `run` | Runs that ended, good\\|bad. "
                      "|\n"),
            HasSubstr("| `process_open_fds` | gauge |  | "),
            HasSubstr("| `varalign_build_info` | gauge | ")));
  // Every family of the exposition is in the table.
  const std::string text = registry.Exposition();
  for (size_t at = text.find("# TYPE "); at != std::string::npos;
       at = text.find("# TYPE ", at + 1)) {
    const std::string name =
        text.substr(at + 7, text.find(' ', at + 7) - at - 7);
    EXPECT_THAT(table, HasSubstr("| `" + name + "` |"));
  }
}

TEST(RegistryDeathTest, RefusesWrongDeclarations) {
  Registry registry("test");
  EXPECT_DEATH(registry.AddCounter({"varalign_rows", "Rows."}),
               "varalign_rows: counters, and only they, end in _total");
  EXPECT_DEATH(registry.AddGauge({"varalign_rows_total", "Rows."}), "_total");
  EXPECT_DEATH(registry.AddGauge({"varalign rows", "Rows."}), "valid name");
  EXPECT_DEATH(registry.AddGauge({"varalign_rows", ""}), "no help");
  EXPECT_DEATH(registry.AddGauge({"varalign_rows", "Rows.", {{"a b"}}}),
               "label without a valid name");
  EXPECT_DEATH(registry.AddGauge({"varalign_rows", "Rows.", {{"a"}, {"a"}}}),
               "label twice");
  EXPECT_DEATH(registry.AddHistogram({"varalign_s", "S."}, {1, 1}), "ascend");
  EXPECT_DEATH(registry.AddGauge({"process_open_fds", "Mine."}), "twice");
  Family<Gauge>& queue = registry.AddGauge({"varalign_queue", "Q.", {{"run"}}});
  EXPECT_DEATH(queue.With({}), "another number of labels");
}

TEST(BucketsTest, CoverTheirQuantity) {
  EXPECT_EQ(StepSecondsBuckets().front(), 0.01);
  EXPECT_EQ(StepSecondsBuckets().back(), 600);
  EXPECT_EQ(RpcSecondsBuckets().front(), 0.001);
  EXPECT_EQ(RpcSecondsBuckets().back(), 60);
}

}  // namespace
}  // namespace varalign::telemetry
