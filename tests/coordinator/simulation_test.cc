// Seeds of Simulation. VARALIGN_SIMULATION_SEEDS (first:count) replays some, or
// runs more.
#include "tests/coordinator/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/testing/temp_directory.h"

namespace varalign::coordinator {
namespace {

struct Seeds {
  unsigned long first = 1;
  unsigned long count = 60;
};

Seeds SeedsToRun() {
  Seeds seeds;
  if (const char* given = std::getenv("VARALIGN_SIMULATION_SEEDS")) {
    std::sscanf(given, "%lu:%lu", &seeds.first, &seeds.count);
  }
  return seeds;
}

TEST(SimulationTest, NoFaultBreaksAPromise) {
  const Seeds seeds = SeedsToRun();
  Simulation::Counts total;
  for (unsigned long seed = seeds.first; seed < seeds.first + seeds.count;
       ++seed) {
    const testing::TempDirectory directory;
    Simulation simulation(directory / "coordinator.db", seed);
    simulation.RunWithFaults(900);
    simulation.CheckDatabase();
    const bool succeeded = simulation.RunToSuccess(8000);
    simulation.CheckDatabase();
    ASSERT_THAT(simulation.violations(), ::testing::IsEmpty())
        << "seed " << seed;
    ASSERT_TRUE(succeeded) << "seed " << seed << " does not end";
    total.crashes += simulation.counts().crashes;
    total.kills += simulation.counts().kills;
    total.partitions += simulation.counts().partitions;
    total.generations += simulation.counts().generations;
    total.steps += simulation.counts().steps;
  }
  std::printf(
      "%lu seeds: %d crashes, %d kills, %d partitions, %d generations, "
      "%d steps\n",
      seeds.count, total.crashes, total.kills, total.partitions,
      total.generations, total.steps);
  // The faults did happen.
  EXPECT_GT(total.crashes, static_cast<int>(seeds.count));
  EXPECT_GT(total.generations, static_cast<int>(3 * seeds.count));
}

}  // namespace
}  // namespace varalign::coordinator
