#include "coordinator/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace varalign::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr MembershipRules kRules = {.settle = absl::Seconds(1),
                                    .launcher_settle = absl::Seconds(10)};

absl::Duration At(double seconds) { return absl::Seconds(seconds); }

IdleSlot ByHand(const std::string& id, uint64_t order) {
  return {
      .slot_id = id, .launcher_rank = -1, .launcher_size = 0, .order = order};
}
IdleSlot Launched(const std::string& id, int32_t rank, int32_t size,
                  uint64_t order) {
  return {.slot_id = id,
          .launcher_rank = rank,
          .launcher_size = size,
          .order = order};
}

MembershipView View(uint32_t workers, std::vector<IdleSlot> idle,
                    absl::Duration last_change) {
  const size_t num_slots = idle.size();
  return {.workers = workers,
          .idle = std::move(idle),
          .num_slots = num_slots,
          .last_change = last_change};
}

TEST(MembershipTest, MakesOneMovePerSituation) {
  const IdleSlot a = ByHand("a", 1), b = ByHand("b", 2), c = ByHand("c", 3);
  const IdleSlot r0 = Launched("r0", 0, 2, 5), r1 = Launched("r1", 1, 2, 4);
  const Wait settling{"waiting for more workers to register"};
  const struct {
    const char* situation;
    MembershipView view;
    Move move;
  } kCases[] = {
      {"nobody is there", View(0, {}, At(0)),
       Wait{"waiting for 1 worker, 0 registered, 0 idle"}},
      {"too few, however long", View(2, {a}, At(0)),
       Wait{"waiting for 2 workers, 1 registered, 1 idle"}},
      {"as many as wanted do not settle", View(2, {a, b}, At(99.9)),
       Form{{"a", "b"}}},
      {"more than wanted: the first", View(2, {c, b, a}, At(99.9)),
       Form{{"a", "b"}}},
      {"all, not yet settled", View(0, {a}, At(99.1)), settling},
      {"all, settled", View(0, {a, b}, At(99)), Form{{"a", "b"}}},
      {"a launcher's ranks are all there", View(0, {r1, r0}, At(99.9)),
       Form{{"r0", "r1"}}},
      {"a launcher's rank is missing", View(0, {r1}, At(91)), settling},
      {"it does not come", View(0, {r1}, At(90)), Form{{"r1"}}},
      {"launched before by hand", View(3, {a, r1, r0}, At(99.9)),
       Form{{"r0", "r1", "a"}}},
  };
  for (const auto& [situation, view, move] : kCases) {
    EXPECT_EQ(NextMove(view, kRules, At(100)), move) << situation;
  }
}

TEST(MembershipTest, WaitsOutTheLeaseOfAnUnconfirmedGeneration) {
  MembershipView view = View(1, {ByHand("a", 1)}, At(0));
  view.not_before = At(101);
  const Move early = NextMove(view, kRules, At(100));
  ASSERT_TRUE(std::holds_alternative<Wait>(early));
  EXPECT_THAT(std::get<Wait>(early).reason, HasSubstr("lease"));
  EXPECT_EQ(NextMove(view, kRules, At(101)), Move(Form{{"a"}}));
}

}  // namespace
}  // namespace varalign::coordinator
