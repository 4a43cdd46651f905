#include "collector/ingest/refusal_log.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

const absl::Status kWhy = absl::UnauthenticatedError("no certificate");
const absl::Status kOtherWhy = absl::PermissionDeniedError("was revoked");

class RefusalLogTest : public testing::Test {
 protected:
  std::string Line(const std::string& kind, const std::string& peer,
                   const absl::Status& why = kWhy) {
    return log_.Line(kind, peer, absl::StrCat("an agent at ", peer), why).value_or("");
  }

  FakeClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  RefusalLog log_{&clock_};
};

TEST_F(RefusalLogTest, OneLineAnIntervalWithACountOfTheRest) {
  EXPECT_EQ(Line("stream", "192.0.2.1"), "refused an agent at 192.0.2.1: no certificate");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Line("stream", "192.0.2.1"), "");
  // Another peer, another kind, another reason.
  EXPECT_NE(Line("stream", "192.0.2.2"), "");
  EXPECT_NE(Line("enrol", "192.0.2.1"), "");
  EXPECT_NE(Line("stream", "192.0.2.1", kOtherWhy), "");
  clock_.Advance(RefusalLog::kInterval);
  EXPECT_EQ(Line("stream", "192.0.2.1"),
            "refused an agent at 192.0.2.1: no certificate (1000 more like it were left out of the "
            "log)");
  EXPECT_EQ(Line("stream", "192.0.2.1"), "");
  clock_.Advance(RefusalLog::kInterval);
  EXPECT_NE(Line("stream", "192.0.2.1").find("(1 more"), std::string::npos);
}

TEST_F(RefusalLogTest, ManyPeersShareALine) {
  size_t lines = 0;
  constexpr size_t kPeers = 10'000;
  for (size_t i = 0; i < kPeers; ++i) {
    if (!Line("stream", absl::StrCat("peer ", i)).empty()) ++lines;
  }
  EXPECT_EQ(lines, RefusalLog::kMaxPeers + 1);
  // Nothing that was left out is forgotten: the next line that is written has it.
  clock_.Advance(RefusalLog::kInterval);
  EXPECT_EQ(Line("stream", "peer 0"), "refused an agent at peer 0: no certificate");
  EXPECT_EQ(Line("stream", absl::StrCat("peer ", kPeers)).find("more"), std::string::npos);
  for (size_t i = 0; i < RefusalLog::kMaxPeers; ++i) {
    const std::string line = Line("stream", absl::StrCat("late ", i));
    if (line.find("more like it") == std::string::npos) continue;
    EXPECT_NE(line.find(absl::StrCat("(", kPeers - lines, " more")), std::string::npos) << line;
    return;
  }
  FAIL() << "what was left out is in no line";
}

}  // namespace
}  // namespace tokenwatch
