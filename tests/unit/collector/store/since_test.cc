// Totals of all uses since some time, which come from other rollups than those of other times.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "collector/store/sqlite/database.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

std::string TimeText(int64_t time_us) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", absl::FromUnixMicros(time_us),
                          absl::UTCTimeZone());
}

v1::ListRequest Since(int64_t time_us) { return Filtered("since", TimeText(time_us)); }

UseRow Call(uint64_t token, int64_t time_us, uint32_t status, uint32_t grpc_status = 0) {
  UseRow use = Use(PlainContext(), token == 0 ? nullptr : Token(token), time_us, status);
  use.grpc_status = grpc_status;
  return use;
}

// Of eight outbound uses four are denied.
std::vector<UseRow> MixedUses() {
  UseRow received =
      Use(Context([](UseContext& context) { context.direction = "inbound"; }), Token(9), kNow, 401);
  UseRow many = Call(1, kNow - 2 * kHour, 403);
  many.count = 2;
  return {Call(1, kNow - 30 * kHour, 200),
          many,
          Call(2, kNow - 20 * kMinute, 200, /*grpc_status=*/8),  // PERMISSION_DENIED
          Call(2, kNow - 10 * kMinute, 500, /*grpc_status=*/8),  // something before the server
          Call(3, kNow, 401),
          Call(0, kNow, 200),
          Call(3, kNow, 200, /*grpc_status=*/1),
          received};
}

struct Case {
  int64_t since_us;
  uint64_t uses, denied, tokens;
};
constexpr Case kCases[] = {
    {kNow - 40 * kHour, 8, 4, 3},
    {kNow - 2 * kHour, 7, 4, 3},
    {kNow - 2 * kHour + 1, 5, 2, 2},
    // 10:15: the hour of a use before and of all others is cut.
    {kNow - 15 * kMinute, 4, 1, 2},
    {kNow - 30 * kMinute, 5, 2, 2},  // 10:00
    {kNow + kMinute, 0, 0, 0},
};

void ExpectSums(StoreFixture* fixture) {
  for (const Case& sums : kCases) {
    const v1::Stats stats = fixture->Stats(Since(sums.since_us));
    EXPECT_EQ(stats.uses(), sums.uses) << TimeText(sums.since_us);
    EXPECT_EQ(stats.denied(), sums.denied) << TimeText(sums.since_us);
    EXPECT_EQ(stats.tokens(), sums.tokens) << TimeText(sums.since_us);
    EXPECT_EQ(stats.unresolved(), sums.uses > 0 ? 1u : 0u) << TimeText(sums.since_us);
    uint64_t uses = 0;
    for (const v1::Token& token : fixture->Tokens(Since(sums.since_us))) uses += token.uses();
    EXPECT_EQ(uses, sums.uses - stats.unresolved()) << TimeText(sums.since_us);
  }
}

TEST(Since, SumsWhatWasUsedSince) {
  StoreFixture fixture;
  fixture.Add(MixedUses());
  ExpectSums(&fixture);
  // The same in two commits, whose hours meet in the rollups.
  StoreFixture twice;
  std::vector<UseRow> uses = MixedUses();
  const std::vector<UseRow> later(uses.begin() + 4, uses.end());
  uses.resize(4);
  twice.Add(std::move(uses));
  twice.Add(later);
  ExpectSums(&twice);
}

TEST(Since, AnOlderDatabaseIsUpgraded) {
  StoreFixture fixture;
  fixture.Add(MixedUses());
  fixture.Close();
  {
    const auto database = sqlite::Database::Open(fixture.path() + "/tokenwatch.db",
                                                 sqlite::Database::Mode::kReadWrite)
                              .value();
    database->Execute(kUndoHourTotals);
    ASSERT_TRUE(database->ok()) << database->TakeStatus();
  }
  fixture.Reopen();
  ExpectSums(&fixture);
}

TEST(Since, ListsTokensOfPagesAlike) {
  StoreFixture fixture;
  std::vector<UseRow> uses;
  for (uint64_t i = 1; i <= 9; ++i) {
    uses.push_back(Call(i, kNow - static_cast<int64_t>(i) * kMinute, 200));
    uses.push_back(Call(i, kNow - 5 * kHour, 200));
  }
  fixture.Add(std::move(uses));
  v1::ListRequest request = Since(kNow - kHour);
  request.set_limit(4);
  std::vector<std::string> listed;
  for (bool more = true; more;) {
    const v1::ListTokensResponse page = fixture.store().ListTokens(request).value();
    for (const v1::Token& token : page.tokens()) {
      EXPECT_EQ(token.uses(), 1u);
      listed.push_back(token.token_id());
    }
    more = !page.next_page_token().empty();
    request.set_page_token(page.next_page_token());
  }
  ASSERT_EQ(listed.size(), 9u);
  for (uint64_t i = 1; i <= 9; ++i) EXPECT_EQ(listed[i - 1], TokenText(i));
}

}  // namespace
}  // namespace tokenwatch::testing
