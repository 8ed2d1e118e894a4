#include "coordinator/run_state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace varalign::coordinator {
namespace {

constexpr v1::RunState kAll[] = {v1::RUN_STATE_UNSPECIFIED,
                                 v1::QUEUED,
                                 v1::PREPARING,
                                 v1::RUNNING,
                                 v1::SUCCEEDED,
                                 v1::FAILED,
                                 v1::CANCELLED};

// The table of docs/protocol.md.
const std::map<v1::RunState, std::set<v1::RunState>> kTable = {
    {v1::RUN_STATE_UNSPECIFIED, {v1::QUEUED}},
    {v1::QUEUED, {v1::PREPARING, v1::CANCELLED}},
    {v1::PREPARING, {v1::QUEUED, v1::RUNNING, v1::FAILED, v1::CANCELLED}},
    {v1::RUNNING, {v1::SUCCEEDED, v1::FAILED, v1::CANCELLED}},
    {v1::SUCCEEDED, {}},
    {v1::FAILED, {v1::QUEUED}},
    {v1::CANCELLED, {v1::QUEUED}},
};

TEST(RunStateTest, AllowsEveryPairOfTheTableAndNoOther) {
  for (const v1::RunState from : kAll) {
    for (const v1::RunState to : kAll) {
      EXPECT_EQ(IsAllowed(from, to), kTable.at(from).contains(to))
          << v1::RunState_Name(from) << " -> " << v1::RunState_Name(to);
    }
  }
}

TEST(RunStateTest, EveryStateIsWaitingActiveOrEnded) {
  for (const v1::RunState state : kAll) {
    if (state == v1::RUN_STATE_UNSPECIFIED) continue;
    const int kinds = (state == v1::QUEUED) + IsActive(state) + HasEnded(state);
    EXPECT_EQ(kinds, 1) << v1::RunState_Name(state);
  }
}

TEST(RunStateTest, OnlyFailedAndCancelledRunsCanBeResumed) {
  for (const v1::RunState state : kAll) {
    EXPECT_EQ(IsResumable(state),
              state == v1::FAILED || state == v1::CANCELLED);
  }
}

TEST(RunStateTest, EachStateHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (const v1::RunState state : kAll) words.insert(StateWord(state));
  EXPECT_EQ(words.size(), std::size(kAll));
}

}  // namespace
}  // namespace varalign::coordinator
