#include "rpc/proto_time.h"

#include "gtest/gtest.h"

namespace varalign::rpc {
namespace {

TEST(ProtoTimeTest, InstantsComeBackToTheNanosecond) {
  for (const absl::Time time :
       {absl::UnixEpoch(), absl::FromUnixNanos(1767323045123456789),
        absl::FromUnixNanos(-1), absl::FromUnixNanos(-1500000000)}) {
    const google::protobuf::Timestamp proto = ToProto(time);
    EXPECT_EQ(FromProto(proto), time) << time;
    EXPECT_GE(proto.nanos(), 0) << "counts forward, before 1970 too";
  }
}

TEST(ProtoTimeTest, DurationsComeBackAndHaveOneSign) {
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Milliseconds(1500), absl::Nanoseconds(-1),
        absl::Milliseconds(-1500), absl::Hours(24 * 365 * 100)}) {
    const google::protobuf::Duration proto = ToProto(duration);
    EXPECT_EQ(FromProto(proto), duration) << duration;
    EXPECT_GE(proto.seconds() * proto.nanos(), 0) << duration;
  }
}

}  // namespace
}  // namespace varalign::rpc
