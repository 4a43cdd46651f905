#include "agent/broker/request.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "agent/workload/proc.h"

namespace tokenwatch {
namespace {

TEST(RequestTest, ComesBackAsItWas) {
  const std::string id(64, 'b');
  const Request requests[] = {
      {RequestKind::kStats, 0, 0, std::string("\1\0\0\0\2\0\0\0", 8)},
      {RequestKind::kExe, 4711, 0, ""},
      {RequestKind::kExists, 1, 0, "/srv/app.py"},
      {RequestKind::kUserName, 0, 1000, ""},
      {RequestKind::kUserName, 0, 0, ""},
      {RequestKind::kLook, 7, uint64_t{1} << 60, "/usr/bin/curl"},
      {RequestKind::kLook, 7, 3, ""},
      {RequestKind::kConnectCollector, 0, 0, ""},
      {RequestKind::kEnrolSecret, 0, 0, ""},
      {RequestKind::kContainer, 0, 0, id + "/11111111-0000-4000-8000-000000000001"},
      {RequestKind::kContainer, 0, 0, id + "/"},
      {RequestKind::kContainer, 0, 0, "/11111111-0000-4000-8000-000000000001"},
      {RequestKind::kContainerStatus, 0, 0, ""},
      {RequestKind::kListenForStatus, 0, 0, ""},
      {RequestKind::kListenForFingerprints, 0, 0, ""},
  };
  for (const Request& request : requests) {
    const absl::StatusOr<Request> read = DecodeRequest(EncodeRequest(request));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->kind, request.kind);
    EXPECT_EQ(read->pid, request.pid);
    EXPECT_EQ(read->number, request.number);
    EXPECT_EQ(read->text, request.text);
  }
}

TEST(RequestTest, RefusesWhatNoWorkerAsks) {
  const std::string over_pids((ProcReader::kStatsMax + 1) * sizeof(uint32_t), 'p');
  const Request requests[] = {
      {RequestKind::kNone, 0, 0, ""},
      {static_cast<RequestKind>(kRequestKinds), 0, 0, ""},
      {static_cast<RequestKind>(0xffffffff), 0, 0, ""},
      {RequestKind::kExe, 0, 0, ""},             // no process
      {RequestKind::kExe, 1, 1, ""},             // a number that it does not carry
      {RequestKind::kExe, 1, 0, "/x"},           // a text that it does not carry
      {RequestKind::kStats, 0, 0, "abc"},        // no whole numbers
      {RequestKind::kStats, 0, 0, over_pids},    // too many
      {RequestKind::kExists, 1, 0, ""},          // no path
      {RequestKind::kExists, 1, 0, "relative"},  // likewise
      {RequestKind::kExists, 1, 0, std::string("/a\0b", 4)},
      {RequestKind::kExists, 1, 0, "/" + std::string(Request::kTextMax, 'a')},
      {RequestKind::kLook, 1, 2, "../etc"},
      {RequestKind::kWipe, 1, 0, ""},
      {RequestKind::kConnectCollector, 0, 0, "/run/other.sock"},
      {RequestKind::kEnrolSecret, 0, 0, "/etc/shadow"},
      {RequestKind::kContainer, 0, 0, ""},
      {RequestKind::kContainer, 0, 0, "/"},
      {RequestKind::kContainer, 0, 0, "short/"},
      {RequestKind::kContainer, 0, 0, std::string(64, 'b')},
      {RequestKind::kContainer, 0, 0, std::string(64, 'b') + "/../../etc"},
      {RequestKind::kContainer, 0, 0, "/" + std::string(65, 'b')},
      {RequestKind::kListenForStatus, 0, 0, "0.0.0.0:80"},
      {RequestKind::kListenForFingerprints, 0, 1, ""},
  };
  for (const Request& request : requests) {
    EXPECT_TRUE(absl::IsInvalidArgument(DecodeRequest(EncodeRequest(request)).status()))
        << static_cast<uint32_t>(request.kind) << " " << request.text;
  }
}

TEST(RequestTest, RefusesEveryPartOfAPacketAndEveryLonger) {
  const std::string whole = EncodeRequest({RequestKind::kExists, 1, 0, "/srv/app.py"});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeRequest(whole.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeRequest(whole + "x").ok());
  std::string lying = whole;
  const uint32_t size = 0xffffffff;
  std::memcpy(lying.data() + 16, &size, sizeof(size));
  EXPECT_FALSE(DecodeRequest(lying).ok());
}

}  // namespace
}  // namespace tokenwatch
