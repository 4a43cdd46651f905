// Tokens over key rotations, and lists whose pages stand still while uses arrive.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

constexpr char kOldKey[] = "key_00000001";
constexpr char kNewKey[] = "key_00000002";

TEST(Rotation, JoinsBothIdsOfAToken) {
  StoreFixture fixture;
  const auto context = PlainContext();
  const auto both_old_first = Token({{kOldKey, 1}, {kNewKey, 101}});
  const auto both_new_first = Token({{kNewKey, 101}, {kOldKey, 1}});
  // Before, during and after a rotation.
  fixture.Add({Use(context, Token({{kOldKey, 1}}), kNow - 5 * kHour)});
  EXPECT_EQ(fixture.Tokens()[0].token_id(), TokenText(1));
  fixture.Add({Use(context, both_old_first, kNow - 4 * kHour, 403)});
  fixture.Add({Use(context, both_new_first, kNow - 3 * kHour)});
  fixture.Add({Use(context, Token({{kNewKey, 101}}), kNow - 2 * kHour)});
  fixture.Add({Use(context, Token({{kOldKey, 2}}), kNow - kHour)});  // another token

  for (int round = 0; round < 2; ++round) {
    const std::vector<v1::Token> tokens = fixture.Tokens();
    ASSERT_EQ(tokens.size(), 2);
    EXPECT_EQ(tokens[1].token_id(), TokenText(101)) << "the id that was used last";
    EXPECT_EQ(tokens[1].key_id(), kNewKey);
    EXPECT_EQ(tokens[1].uses(), 4);
    EXPECT_EQ(tokens[1].denied(), 1);
    EXPECT_EQ(Micros(tokens[1].first_used()), kNow - 5 * kHour);
    EXPECT_EQ(Micros(tokens[1].last_used()), kNow - 2 * kHour);
    for (const uint64_t id : {1, 101}) {
      EXPECT_EQ(fixture.Detail(TokenText(id)).token().uses(), 4);
      EXPECT_EQ(fixture.Detail(TokenText(id)).usage_size(), 1);
      EXPECT_EQ(fixture.Uses(Filtered("token", TokenText(id))).size(), 4);
      EXPECT_EQ(fixture.Stats(Filtered("token", TokenText(id))).uses(), 4);
      ASSERT_EQ(fixture.Tokens(Filtered("token", TokenText(id))).size(), 1);
    }
    EXPECT_EQ(fixture.Stats().tokens(), 2);
    // A use shows the id that it came with.
    const std::vector<v1::Use> uses = fixture.Uses(Filtered("token", TokenText(1)));
    EXPECT_EQ(uses[0].token_id(), TokenText(101));
    EXPECT_EQ(uses[3].token_id(), TokenText(1));
    EXPECT_EQ(uses[3].key_id(), kOldKey);
    fixture.Reopen();
  }
}

TEST(Rotation, JoinsHistoriesThatGrewApart) {
  StoreFixture fixture;
  const auto context = PlainContext();
  // One agent has the new key already, one not yet; a third has both and tells that they are one.
  fixture.Add({Use(context, Token({{kOldKey, 1}}), kNow - 3 * kHour),
               Use(context, Token({{kNewKey, 101}}), kNow - 2 * kHour)});
  EXPECT_EQ(fixture.Stats().tokens(), 2);
  fixture.Add({Use(context, Token({{kOldKey, 1}, {kNewKey, 101}}), kNow - kHour)});
  EXPECT_EQ(fixture.Stats().tokens(), 1);
  EXPECT_EQ(fixture.Tokens()[0].uses(), 3);
  // And a third key, whose chain meets in the middle.
  fixture.Add({Use(context, Token({{"key_00000003", 201}}), kNow - 30 * kMinute)});
  EXPECT_EQ(fixture.Stats().tokens(), 2);
  fixture.Add({Use(context, Token({{kNewKey, 101}, {"key_00000003", 201}}), kNow - 20 * kMinute)});
  EXPECT_EQ(fixture.Stats().tokens(), 1);
  EXPECT_EQ(fixture.Detail(TokenText(1)).token().uses(), 5);
}

TEST(Rotation, NeverGivesATokenTwoIdsUnderOneKey) {
  StoreFixture fixture;
  const auto context = PlainContext();
  // Nonsense that an agent cannot mean: it must not weld tokens together.
  fixture.Add({Use(context, Token({{kOldKey, 1}, {kOldKey, 2}}), kNow - kHour),
               Use(context, Token({{kOldKey, 3}, {kNewKey, 103}}), kNow - kHour),
               Use(context, Token({{kOldKey, 4}, {kNewKey, 103}}), kNow - kHour)});
  EXPECT_EQ(fixture.Detail(TokenText(1)).token().uses(), 1);
  EXPECT_EQ(fixture.Detail(TokenText(2)).token().uses(), 0);
  EXPECT_EQ(fixture.Detail(TokenText(103)).token().uses(), 1);
  EXPECT_EQ(fixture.Detail(TokenText(4)).token().uses(), 1);
  EXPECT_EQ(fixture.Stats().tokens(), 3);
}

TEST(Tokens, AnswersForUnknownOnes) {
  StoreFixture fixture;
  fixture.Add({Use(PlainContext(), Token(1), kNow)});
  EXPECT_EQ(fixture.store().GetToken(TokenText(2)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(fixture.store().GetToken("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(fixture.store().GetToken("tok_x").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(fixture.Uses(Filtered("token", TokenText(2))).empty());
  EXPECT_TRUE(fixture.Tokens(Filtered("token", TokenText(2))).empty());
  EXPECT_EQ(fixture.Stats(Filtered("token", TokenText(2))).uses(), 0);
}

TEST(Tokens, TakesFormatAndProviderFromTheNewestUse) {
  StoreFixture fixture;
  const auto known = Context([](UseContext& made) {
    made.format = "github_pat_classic";
    made.provider = "github";
    made.token_length = 40;
  });
  fixture.Add({Use(PlainContext(), Token(1), kNow - kHour)});
  fixture.Add({Use(known, Token(1), kNow)});
  const v1::Token token = fixture.Tokens()[0];
  EXPECT_EQ(token.format(), "github_pat_classic");
  EXPECT_EQ(token.provider(), "github");
}

TEST(Tokens, ListsTheTenMostUsedHosts) {
  StoreFixture fixture;
  for (int host = 0; host < 15; ++host) {
    const auto context = Context(
        [host](UseContext& made) { made.host = "h" + std::to_string(host) + ".example.com"; });
    fixture.Add(std::vector<UseRow>(static_cast<size_t>(host + 1), Use(context, Token(1), kNow)));
  }
  const v1::Token token = fixture.Tokens()[0];
  ASSERT_EQ(token.hosts_size(), 10);
  EXPECT_EQ(token.hosts(0), "h14.example.com");
  EXPECT_EQ(token.hosts(9), "h5.example.com");
  EXPECT_EQ(token.resources(), 15);
}

TEST(Tokens, BoundsTheUsageOfOne) {
  StoreFixture fixture;
  std::vector<UseRow> uses;
  for (int path = 0; path < 1005; ++path) {
    const auto context =
        Context([path](UseContext& made) { made.path = "/p/" + std::to_string(path); });
    uses.push_back(Use(context, Token(1), kNow));
    if (path == 1004) uses.push_back(uses.back());
  }
  fixture.Add(uses);
  const v1::TokenDetail detail = fixture.Detail(TokenText(1));
  ASSERT_EQ(detail.usage_size(), 1000);
  EXPECT_EQ(detail.usage(0).path(), "/p/1004");
  EXPECT_EQ(detail.token().uses(), 1006);
}

// Lists in pages and calls `between` after each of them.
template <typename Between>
std::vector<std::string> TokenPages(StoreFixture* fixture, v1::ListRequest request,
                                    const Between& between) {
  std::vector<std::string> ids;
  do {
    const v1::ListTokensResponse page = fixture->store().ListTokens(request).value();
    for (const v1::Token& token : page.tokens()) ids.push_back(token.token_id());
    request.set_page_token(page.next_page_token());
    between();
  } while (!request.page_token().empty());
  return ids;
}

TEST(Pages, OfTokensStandStillWhileUsesArrive) {
  for (const char* since : {"", "24h"}) {
    StoreFixture fixture;
    const auto context = PlainContext();
    std::vector<std::string> expected;
    for (uint64_t i = 1; i <= 20; ++i) {
      fixture.Add({Use(context, Token(i), kNow - static_cast<int64_t>(i) * kMinute)});
      expected.push_back(TokenText(i));
    }
    v1::ListRequest request = Filtered("since", since);
    request.set_limit(3);
    uint64_t next = 0;
    const std::vector<std::string> ids = TokenPages(&fixture, request, [&] {
      // Tokens of pages to come move to the front, or forth within what is still to come; new ones
      // appear, and the clock goes on.
      ++next;
      fixture.SetNow(kNow + static_cast<int64_t>(next) * kMinute);
      fixture.Add({Use(context, Token(21 - next), kNow + static_cast<int64_t>(next)),
                   Use(context, Token(10), kNow - 9 * kMinute),
                   Use(context, Token(1000 + next), kNow - static_cast<int64_t>(next) * kMinute)});
    });
    EXPECT_EQ(ids, expected) << "since " << since;
  }
}

TEST(Pages, OfUsesStandStillWhileUsesArrive) {
  StoreFixture fixture;
  const auto context = PlainContext();
  // Five in the same microsecond, three times, over midnight.
  const int64_t midnight = kNow - kNow % kDay;
  std::vector<UseRow> uses;
  for (const int64_t time : {midnight - 1, midnight, midnight + 1}) {
    for (int i = 0; i < 5; ++i) uses.push_back(Use(context, Token(1), time));
  }
  fixture.Add(uses);
  v1::ListRequest request;
  request.set_limit(2);
  std::set<uint64_t> sequences;
  int64_t last = INT64_MAX;
  int pages = 0;
  do {
    const v1::ListUsesResponse page = fixture.store().ListUses(request).value();
    for (const v1::Use& use : page.uses()) {
      if (use.sequence() > 15) continue;  // came meanwhile, and older: may be listed
      EXPECT_TRUE(sequences.insert(use.sequence()).second) << "twice";
      EXPECT_LE(Micros(use.time()), last);
      last = Micros(use.time());
    }
    request.set_page_token(page.next_page_token());
    fixture.Add({Use(context, Token(1), midnight), Use(context, Token(1), kNow)});
    ASSERT_LT(++pages, 100);
  } while (!request.page_token().empty());
  EXPECT_EQ(sequences.size(), 15);
}

TEST(Pages, KeepTheTimesOfTheFirst) {
  StoreFixture fixture;
  const auto context = PlainContext();
  for (int i = 0; i < 4; ++i) {
    fixture.Add({Use(context, Token(1), kNow - kHour + i * kMinute)});
  }
  v1::ListRequest request = Filtered("since", "1h");
  request.set_limit(2);
  const v1::ListUsesResponse first = fixture.store().ListUses(request).value();
  fixture.SetNow(kNow + 30 * kMinute);
  request.set_page_token(first.next_page_token());
  EXPECT_EQ(fixture.store().ListUses(request).value().uses_size(), 2);
  request.set_since("2h");
  EXPECT_EQ(fixture.store().ListUses(request).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(fixture.store().ListTokens(request).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tokenwatch::testing
