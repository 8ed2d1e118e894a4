#include "tests/contract/contract.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "collective/local_process_group.h"

namespace varalign::collective {
namespace {

constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kDouble};
// One element, fewer than ranks, odd, and several segments of a message.
constexpr int64_t kLengths[] = {1, 2, 3, 7, 1023, 300001};

absl::Status Expect(bool condition, absl::string_view what, int64_t detail) {
  return condition ? absl::OkStatus()
                   : absl::FailedPreconditionError(
                         absl::StrCat(what, " (", detail, ")"));
}

// Numbers of many magnitudes, whose sum depends on the order of summation.
at::Tensor Numbers(int64_t length, at::ScalarType dtype, int rank) {
  const at::Tensor x = at::arange(length, at::kDouble);
  return (at::sin(x * 0.37 + 1.7 * rank) * at::exp(5 * at::cos(x + rank)))
      .to(dtype);
}

at::Tensor Whole(int64_t length, at::ScalarType dtype, int rank) {
  return at::remainder(at::arange(length, at::kDouble), 13).add(rank).to(dtype);
}

// The sum of Whole over `size` ranks; exact, whatever the order.
at::Tensor WholeSum(int64_t length, at::ScalarType dtype, int size) {
  at::Tensor sum = at::zeros({length}, dtype);
  for (int rank = 0; rank < size; ++rank) {
    sum.add_(Whole(length, dtype, rank));
  }
  return sum;
}

template <typename Body>
absl::Status ForEachSize(const Body& body) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const int64_t length : kLengths) {
      RETURN_IF_ERROR(body(length, dtype));
    }
  }
  return absl::OkStatus();
}

absl::Status AllReduceAddsUp(ProcessGroup& group) {
  return ForEachSize([&](int64_t length, at::ScalarType dtype) -> absl::Status {
    at::Tensor tensor = Whole(length, dtype, group.rank());
    RETURN_IF_ERROR(group.AllReduceSum(tensor));
    return Expect(at::equal(tensor, WholeSum(length, dtype, group.size())),
                  "all-reduce is not the sum", length);
  });
}

absl::Status ReduceScatterGivesEachRankItsPart(ProcessGroup& group) {
  const int64_t n = group.size();
  return ForEachSize([&](int64_t length, at::ScalarType dtype) -> absl::Status {
    const at::Tensor input = Whole(length * n, dtype, group.rank());
    const at::Tensor before = input.clone();
    at::Tensor output = at::empty({length}, dtype);
    RETURN_IF_ERROR(group.ReduceScatterSum(input, output));
    RETURN_IF_ERROR(
        Expect(at::equal(input, before), "the input changed", length));
    const at::Tensor sum = WholeSum(length * n, dtype, group.size());
    return Expect(
        at::equal(output, sum.narrow(0, length * group.rank(), length)),
        "reduce-scatter is not the rank's part of the sum", length);
  });
}

absl::Status AllGatherKeepsTheOrderOfRanks(ProcessGroup& group) {
  const int64_t n = group.size();
  return ForEachSize([&](int64_t length, at::ScalarType dtype) -> absl::Status {
    at::Tensor expected = at::empty({length * n}, dtype);
    for (int rank = 0; rank < n; ++rank) {
      expected.narrow(0, rank * length, length)
          .copy_(Whole(length, dtype, rank));
    }
    const at::Tensor mine = Whole(length, dtype, group.rank());
    at::Tensor apart = at::zeros({length * n}, dtype);
    RETURN_IF_ERROR(group.AllGather(mine, apart));
    RETURN_IF_ERROR(
        Expect(at::equal(apart, expected), "all-gather differs", length));

    at::Tensor in_place = at::zeros({length * n}, dtype);
    const at::Tensor own = in_place.narrow(0, group.rank() * length, length);
    own.copy_(mine);
    RETURN_IF_ERROR(group.AllGather(own, in_place));
    return Expect(at::equal(in_place, expected), "in-place all-gather differs",
                  length);
  });
}

absl::Status BroadcastComesFromEveryRoot(ProcessGroup& group) {
  return ForEachSize([&](int64_t length, at::ScalarType dtype) -> absl::Status {
    for (int root = 0; root < group.size(); ++root) {
      at::Tensor tensor = Whole(length, dtype, group.rank());
      RETURN_IF_ERROR(group.Broadcast(tensor, root));
      RETURN_IF_ERROR(Expect(at::equal(tensor, Whole(length, dtype, root)),
                             "broadcast differs", length));
    }
    return absl::OkStatus();
  });
}

absl::Status ShiftMovesRoundTheRing(ProcessGroup& group) {
  const int previous = (group.rank() + group.size() - 1) % group.size();
  return ForEachSize([&](int64_t length, at::ScalarType dtype) -> absl::Status {
    const at::Tensor input = Whole(length, dtype, group.rank());
    at::Tensor output = at::zeros({length}, dtype);
    RETURN_IF_ERROR(group.Shift(input, output));
    return Expect(at::equal(output, Whole(length, dtype, previous)),
                  "shift is not the previous rank's", length);
  });
}

absl::Status SumsHaveTheSameBitsOnEveryRankAndEveryTime(ProcessGroup& group) {
  const int64_t n = group.size();
  return ForEachSize([&](int64_t length, at::ScalarType dtype) -> absl::Status {
    at::Tensor first;
    for (int repeat = 0; repeat < 3; ++repeat) {
      at::Tensor sum = Numbers(length, dtype, group.rank());
      RETURN_IF_ERROR(group.AllReduceSum(sum));
      if (!first.defined()) first = sum;
      RETURN_IF_ERROR(
          Expect(at::equal(sum, first), "a repeat has other bits", length));
    }
    at::Tensor all = at::empty({length * n}, dtype);
    RETURN_IF_ERROR(group.AllGather(first, all));
    for (int64_t rank = 0; rank < n; ++rank) {
      RETURN_IF_ERROR(
          Expect(at::equal(all.narrow(0, rank * length, length), first),
                 "a rank has other bits", rank));
    }
    return absl::OkStatus();
  });
}

absl::Status SumsHaveTheBitsOfTheLocalGroup(ProcessGroup& group) {
  const int size = group.size();
  return ForEachSize([&](int64_t length, at::ScalarType dtype) -> absl::Status {
    at::Tensor sum = Numbers(length, dtype, group.rank());
    RETURN_IF_ERROR(group.AllReduceSum(sum));

    at::Tensor expected;
    LocalHub hub(size, absl::Seconds(60));
    std::vector<std::unique_ptr<ProcessGroup>> local;
    for (int rank = 0; rank < size; ++rank) local.push_back(hub.Join(rank));
    for (const absl::Status& status : OnEveryRank(size, [&](int rank) {
           at::Tensor tensor = Numbers(length, dtype, rank);
           absl::Status reduced =
               local[static_cast<size_t>(rank)]->AllReduceSum(tensor);
           if (rank == group.rank()) expected = tensor;
           return reduced;
         })) {
      RETURN_IF_ERROR(status);
    }
    return Expect(at::equal(sum, expected),
                  "the sum differs from the local group's", length);
  });
}

absl::Status ReduceScatterThenAllGatherIsAllReduce(ProcessGroup& group) {
  const int64_t n = group.size();
  for (const int64_t part : {1, 5, 300000}) {
    const at::Tensor input = Numbers(part * n, at::kFloat, group.rank());
    at::Tensor slice = at::empty({part}, at::kFloat);
    at::Tensor whole = at::empty({part * n}, at::kFloat);
    RETURN_IF_ERROR(group.ReduceScatterSum(input, slice));
    RETURN_IF_ERROR(group.AllGather(slice, whole));
    at::Tensor reduced = input.clone();
    RETURN_IF_ERROR(group.AllReduceSum(reduced));
    RETURN_IF_ERROR(Expect(at::equal(whole, reduced),
                           "the two ways to a sum differ", part));
  }
  return absl::OkStatus();
}

absl::Status VerbsFollowOneAnotherWithoutMixingUp(ProcessGroup& group) {
  const int n = group.size();
  for (int i = 0; i < 30; ++i) {
    at::Tensor value = at::full({1 + i % 5}, group.rank() + i, at::kDouble);
    at::Tensor shifted = at::empty_like(value);
    RETURN_IF_ERROR(group.Shift(value, shifted));
    RETURN_IF_ERROR(group.AllReduceSum(value));
    RETURN_IF_ERROR(group.Broadcast(shifted, i % n));
    RETURN_IF_ERROR(group.Barrier());
    const int sum = n * (n - 1) / 2 + n * i;
    const int from = (i % n + n - 1) % n + i;
    RETURN_IF_ERROR(Expect(
        value.eq(sum).all().item<bool>() && shifted.eq(from).all().item<bool>(),
        "a value of another verb came", i));
  }
  return absl::OkStatus();
}

absl::Status TensorsOfAnyShapeAreFlat(ProcessGroup& group) {
  at::Tensor scalar = at::full({}, 2, at::kFloat);
  RETURN_IF_ERROR(group.AllReduceSum(scalar));
  RETURN_IF_ERROR(
      Expect(scalar.item<float>() == 2.0f * static_cast<float>(group.size()),
             "a scalar's sum differs", 0));
  at::Tensor matrix = at::ones({3, 5}, at::kFloat);
  RETURN_IF_ERROR(group.AllReduceSum(matrix));
  RETURN_IF_ERROR(Expect(matrix.eq(group.size()).all().item<bool>(),
                         "a matrix's sum differs", 0));
  at::Tensor nothing = at::empty({0}, at::kFloat);
  RETURN_IF_ERROR(group.AllReduceSum(nothing));
  RETURN_IF_ERROR(group.Broadcast(nothing, 0));
  RETURN_IF_ERROR(group.AllGather(nothing, nothing));
  at::Tensor bits = at::full({4}, group.rank(), at::kByte);
  RETURN_IF_ERROR(group.Broadcast(bits, group.size() - 1));
  return Expect(bits.eq(group.size() - 1).all().item<bool>(),
                "bytes were not broadcast", 0);
}

absl::Status ExpectInvalid(const absl::Status& status, absl::string_view what) {
  return Expect(status.code() == absl::StatusCode::kInvalidArgument, what,
                static_cast<int64_t>(status.code()));
}

absl::Status BadArgumentsAreRefusedAndDoNoHarm(ProcessGroup& group) {
  const int64_t n = group.size();
  at::Tensor odd = at::ones({3 * n + 1}), part = at::ones({3});
  at::Tensor doubles = at::ones({3 * n}, at::kDouble);
  at::Tensor strided = at::ones({4, 6}).t(), undefined;
  RETURN_IF_ERROR(ExpectInvalid(group.ReduceScatterSum(odd, part),
                                "reduce-scatter of a ragged input"));
  RETURN_IF_ERROR(ExpectInvalid(group.AllGather(part, odd),
                                "all-gather into a ragged output"));
  RETURN_IF_ERROR(ExpectInvalid(group.AllGather(part, doubles),
                                "all-gather into another dtype"));
  RETURN_IF_ERROR(
      ExpectInvalid(group.Shift(part, odd), "shift into another size"));
  RETURN_IF_ERROR(
      ExpectInvalid(group.AllReduceSum(strided), "a strided tensor"));
  RETURN_IF_ERROR(
      ExpectInvalid(group.AllReduceSum(undefined), "an undefined tensor"));
  RETURN_IF_ERROR(ExpectInvalid(group.Broadcast(part, group.size()),
                                "a root outside the group"));
  RETURN_IF_ERROR(ExpectInvalid(group.Broadcast(part, -1), "a negative root"));
  return group.Barrier();
}

// Last, since it ends the group.
absl::Status NothingFollowsAnAbort(ProcessGroup& group) {
  RETURN_IF_ERROR(group.Barrier());
  if (group.size() == 1) return absl::OkStatus();
  group.Abort();
  at::Tensor tensor = at::ones({3});
  RETURN_IF_ERROR(Expect(absl::IsAborted(group.AllReduceSum(tensor)),
                         "a verb after Abort did not return Aborted",
                         group.rank()));
  return Expect(absl::IsAborted(group.Barrier()),
                "a second verb after Abort did not return Aborted",
                group.rank());
}

}  // namespace

const std::vector<ContractCase>& ContractCases() {
  static const auto* const kCases = new std::vector<ContractCase>{
      {"AllReduceAddsUp", AllReduceAddsUp},
      {"ReduceScatterGivesEachRankItsPart", ReduceScatterGivesEachRankItsPart},
      {"AllGatherKeepsTheOrderOfRanks", AllGatherKeepsTheOrderOfRanks},
      {"BroadcastComesFromEveryRoot", BroadcastComesFromEveryRoot},
      {"ShiftMovesRoundTheRing", ShiftMovesRoundTheRing},
      {"SumsHaveTheSameBitsOnEveryRankAndEveryTime",
       SumsHaveTheSameBitsOnEveryRankAndEveryTime},
      {"SumsHaveTheBitsOfTheLocalGroup", SumsHaveTheBitsOfTheLocalGroup},
      {"ReduceScatterThenAllGatherIsAllReduce",
       ReduceScatterThenAllGatherIsAllReduce},
      {"VerbsFollowOneAnotherWithoutMixingUp",
       VerbsFollowOneAnotherWithoutMixingUp},
      {"TensorsOfAnyShapeAreFlat", TensorsOfAnyShapeAreFlat},
      {"BadArgumentsAreRefusedAndDoNoHarm", BadArgumentsAreRefusedAndDoNoHarm},
      {"NothingFollowsAnAbort", NothingFollowsAnAbort},
  };
  return *kCases;
}

std::vector<absl::Status> OnEveryRank(
    int size, const std::function<absl::Status(int rank)>& body) {
  std::vector<absl::Status> results(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      results[static_cast<size_t>(rank)] =
          base::CatchExceptions([&] { return body(rank); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

}  // namespace varalign::collective
