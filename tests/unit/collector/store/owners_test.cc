// Who owns tokens and uses, where rollups know less than uses do; oracle_test.cc has the rest.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "collector/policy/policy.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

class OwnersTest : public ::testing::Test {
 protected:
  void SetOwners(const std::string& rows) {
    std::vector<std::string> problems;
    auto policy = Policy::Parse(absl::StrCat("owners:\n", rows), "policy", &problems);
    ASSERT_NE(policy, nullptr) << problems[0];
    fixture_.store().SetPolicy(std::move(policy));
  }
  std::string OwnersOf(const std::string& token) {
    const v1::Token shown = fixture_.Detail(token).token();
    std::string text = shown.state();
    for (const std::string& owner : shown.owners()) absl::StrAppend(&text, " ", owner);
    return text;
  }
  static auto Labelled(const std::string& team) {
    return Context([&](UseContext& context) {
      (*context.workload.mutable_labels())["team"] = team;
      context.workload.set_pid(static_cast<uint32_t>(team.size()));
      context.workload.set_comm(absl::StrCat("p-", team));
    });
  }

  StoreFixture fixture_;
};

TEST_F(OwnersTest, NobodyOwnsAnythingWithoutAPolicy) {
  fixture_.Add({Use(PlainContext(), Token(1), kNow)});
  EXPECT_EQ(fixture_.Uses()[0].owner(), "");
  EXPECT_EQ(fixture_.Tokens()[0].owners_size(), 0);
  EXPECT_EQ(fixture_.Tokens()[0].state(), "active");
  EXPECT_EQ(fixture_.Tokens(Filtered("owner", "none")).size(), 1U);
  EXPECT_EQ(fixture_.Tokens(Filtered("owner", "a")).size(), 0U);
}

TEST_F(OwnersTest, LabelsAreThoseOfTheProgramsProcesses) {
  fixture_.Add({Use(Labelled("pay"), Token(1), kNow - kHour), Use(Labelled("web"), Token(2), kNow),
                Use(PlainContext(), Token(3), kNow)});
  SetOwners("- {owner: pay, match: {label: team=pay}}\n- {owner: any, match: {label: 'team=*'}}\n");
  EXPECT_EQ(OwnersOf(TokenText(1)), "active pay");
  EXPECT_EQ(OwnersOf(TokenText(2)), "active any");
  EXPECT_EQ(OwnersOf(TokenText(3)), "unmapped");
  ASSERT_EQ(fixture_.Uses(Filtered("owner", "any")).size(), 1U);
  EXPECT_EQ(fixture_.Uses(Filtered("owner", "any"))[0].token_id(), TokenText(2));
  // One that comes later is seen as well.
  fixture_.Add({Use(Labelled("later"), Token(4), kNow)});
  EXPECT_EQ(OwnersOf(TokenText(4)), "active any");
}

TEST_F(OwnersTest, CarriersAreThoseOfTheFormatAtTheResource) {
  const auto header = Context([](UseContext& context) { context.format = "npm"; });
  const auto query = Context([](UseContext& context) { context.carrier = "query/key"; });
  fixture_.Add({Use(header, Token(1), kNow), Use(query, Token(2), kNow)});
  SetOwners("- {owner: q, match: {carrier: query/*}}\n");
  EXPECT_EQ(OwnersOf(TokenText(1)), "unmapped");
  EXPECT_EQ(OwnersOf(TokenText(2)), "active q");
  EXPECT_EQ(fixture_.Uses(Filtered("owner", "none")).size(), 1U);
  SetOwners("- {owner: n, match: {format: 'n?m'}}\n");
  EXPECT_EQ(OwnersOf(TokenText(1)), "active n");
  EXPECT_EQ(OwnersOf(TokenText(2)), "unmapped");
}

TEST_F(OwnersTest, ATokenIsNamedByAnyOfItsIdsOrItsCredential) {
  const auto both = Token({{"key_00000001", 1}, {"key_00000002", 101}});
  fixture_.Add({Use(PlainContext(), both, kNow), Use(PlainContext(), Token(2), kNow)}, {},
               {Fact(Token(2), "credential", CredentialText(7), kNow)});
  for (const uint64_t id : {1, 101}) {
    SetOwners(absl::StrCat("- {owner: a, match: {token: ", TokenText(id), "}}\n"));
    EXPECT_EQ(OwnersOf(TokenText(1)), "active a");
    EXPECT_EQ(OwnersOf(TokenText(101)), "active a");
    EXPECT_EQ(OwnersOf(TokenText(2)), "unmapped");
  }
  SetOwners(absl::StrCat("- {owner: c, match: {token: ", CredentialText(7), "}}\n"));
  EXPECT_EQ(OwnersOf(TokenText(2)), "active c");
  EXPECT_EQ(OwnersOf(CredentialText(7)), "active c");
}

TEST_F(OwnersTest, AnotherPolicyCountsAtOnce) {
  fixture_.Add({Use(PlainContext(), Token(1), kNow)});
  SetOwners("- {owner: a}\n");
  EXPECT_EQ(fixture_.Uses()[0].owner(), "a");
  EXPECT_EQ(fixture_.Tokens(Filtered("owner", "a")).size(), 1U);
  SetOwners("- {owner: b}\n");
  EXPECT_EQ(fixture_.Uses()[0].owner(), "b");
  EXPECT_EQ(OwnersOf(TokenText(1)), "active b");
  EXPECT_EQ(fixture_.Tokens(Filtered("owner", "a")).size(), 0U);
}

TEST_F(OwnersTest, UsesThatServersReceivedOwnNoToken) {
  fixture_.Add({Use(PlainContext(), Token(1), kNow), Use(Context([](UseContext& context) {
                                                           context.direction = "inbound";
                                                           context.workload.set_script(
                                                               "/srv/server.py");
                                                         }),
                                                         Token(1), kNow)});
  SetOwners("- {owner: server, match: {workload: server.py}}\n");
  EXPECT_EQ(OwnersOf(TokenText(1)), "unmapped");
}

}  // namespace
}  // namespace tokenwatch::testing
