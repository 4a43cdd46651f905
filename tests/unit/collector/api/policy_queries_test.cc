// Owners and the policy, as they are asked for.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "collector/api/queries.h"
#include "collector/json/json.h"
#include "collector/store/fake_store.h"
#include "collector/store/finding_words.h"
#include "collector/store/proto_time.h"

namespace tokenwatch {
namespace {

class PolicyQueriesTest : public testing::Test {
 protected:
  PolicyQueriesTest() {
    std::ofstream(file_) << "owners:\n"
                            "- {owner: pay, contact: pay@acme.example, match: {namespace: pay}}\n"
                            "- {owner: web, match: {unit: web.service}}\n"
                            "- {owner: pay, match: {host: bank.example}}\n"
                            "rules:\n"
                            "- {id: young, max-age: 90d}\n"
                            "suppressions:\n"
                            "- {rule: new_host, until: 2000-01-01, reason: moved}\n"
                            "- {rule: 'new_*', until: 2999-01-01, reason: moves}\n";
    EXPECT_TRUE(policy_.Load().ok());
    AddSum("web", 2, 20);
    AddSum("none", 3, 30);
  }
  ~PolicyQueriesTest() override { unlink(file_.c_str()); }
  void AddSum(const std::string& name, uint64_t tokens, uint64_t uses) {
    v1::Owner& owner = store_.owners.emplace_back();
    owner.set_owner(name);
    owner.set_tokens(tokens);
    owner.set_uses(uses);
    owner.mutable_last_used()->set_seconds(1);
  }
  // "name tokens ..." of a page, and its next page's token.
  std::string Page(const v1::ListRequest& request, std::string* next) {
    const auto answer = queries_.ListOwners(request);
    EXPECT_TRUE(answer.ok()) << answer.status();
    std::string text;
    for (const v1::Owner& owner : answer->owners()) {
      absl::StrAppend(&text, owner.owner(), " ", owner.tokens(), "/", owner.matches_size(), "; ");
    }
    *next = answer->next_page_token();
    return text;
  }

  const std::string file_ = absl::StrCat(testing::TempDir(), "/queries-", getpid(), ".yaml");
  RealClock clock_;
  FakeStore store_;
  PolicyHolder policy_{file_, &clock_};
  Queries queries_{&store_, [](const std::string&) { return false; },
                   Queries::Options{.policy = &policy_, .add_status = [](v1::PolicyStatus* status) {
                                      status->add_detection()->set_rule("new_host");
                                      status->set_judged(5);
                                    }}};
};

// Rows of owners add up to all open findings, also after the policy renamed one.
TEST_F(PolicyQueriesTest, FindingsOfAnOwnerThatIsGoneAreCounted) {
  DetectionCommit commit;
  int number = 0;
  for (const char* owner : {"web", "gone", "gone", ""}) {
    StoredFinding& stored = commit.findings.emplace_back();
    std::array<uint8_t, 16> id{};
    id[0] = static_cast<uint8_t>(++number);
    stored.finding.set_finding_id(FindingIdText(id));
    stored.finding.set_severity("high");
    stored.finding.set_state("open");
    stored.finding.set_owner(owner);
    SetTime(absl::ToUnixMicros(clock_.Now()), stored.finding.mutable_last_seen());
  }
  ASSERT_TRUE(store_.detection()->CommitDetection(commit).ok());
  const auto answer = queries_.ListOwners({});
  ASSERT_TRUE(answer.ok());
  std::string counts;
  for (const v1::Owner& owner : answer->owners()) {
    absl::StrAppend(&counts, owner.owner(), " ", owner.open_findings(), "; ");
  }
  EXPECT_EQ(counts, "pay 0; web 1; gone 2; none 1; ");
}

TEST_F(PolicyQueriesTest, OwnersComeInThePolicysOrderOnceEach) {
  std::string next;
  v1::ListRequest request;
  EXPECT_EQ(Page(request, &next), "pay 0/2; web 2/1; none 3/0; ");
  EXPECT_EQ(next, "");
  const auto answer = queries_.ListOwners(request);
  EXPECT_EQ(ToJson(answer->owners(0)).dump(),
            R"({"owner":"pay","contact":"pay@acme.example","matches":["{namespace: pay}",)"
            R"("{host: bank.example}"],"tokens":0,"uses":0,"openFindings":0,"lastUsed":null})");
  request.set_limit(2);
  EXPECT_EQ(Page(request, &next), "pay 0/2; web 2/1; ");
  request.set_page_token(next);
  EXPECT_EQ(Page(request, &next), "none 3/0; ");
  EXPECT_EQ(next, "");
  request.set_page_token("x");
  EXPECT_TRUE(absl::IsInvalidArgument(queries_.ListOwners(request).status()));
  v1::ListRequest one;
  one.set_owner("web");
  EXPECT_EQ(Page(one, &next), "web 2/1; ");
}

TEST_F(PolicyQueriesTest, AnOwnerOfYesterdaysPolicyIsNotLost) {
  AddSum("gone", 1, 1);
  std::string next;
  EXPECT_EQ(Page({}, &next), "pay 0/2; web 2/1; gone 1/0; none 3/0; ");
}

TEST_F(PolicyQueriesTest, SaysWhatIsInForceAndWhatIsWrongWithTheFileNow) {
  std::ofstream(file_) << "owner: x\n";
  policy_.Refresh(true);
  const auto status = queries_.GetPolicy();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->file(), file_);
  EXPECT_EQ(status->digest().size(), 64U);
  EXPECT_GT(status->loaded().seconds(), 0);
  ASSERT_EQ(status->problems_size(), 1);
  EXPECT_EQ(status->problems(0).find(absl::StrCat(file_, ":1: ")), 0U);
  EXPECT_EQ(status->owners(), 2U);
  ASSERT_EQ(status->rules_size(), 1);
  EXPECT_EQ(status->rules(0).asks(), "every use: at most 90d old");
  EXPECT_EQ(status->rules(0).where(), absl::StrCat(file_, ":6"));
  ASSERT_EQ(status->suppressions_size(), 2);
  EXPECT_TRUE(status->suppressions(0).ended());
  EXPECT_FALSE(status->suppressions(1).ended());
  EXPECT_EQ(status->suppressions_ended(), 1U);
  ASSERT_EQ(status->warnings_size(), 1);
  EXPECT_EQ(
      status->warnings(0).find(absl::StrCat(file_, ":8: the suppression of 'new_host' ended")), 0U);
  EXPECT_EQ(status->detection(0).rule(), "new_host");
  EXPECT_EQ(status->judged(), 5U);
}

TEST_F(PolicyQueriesTest, WithoutAPolicyThereIsNobody) {
  const Queries bare(&store_, [](const std::string&) { return false; });
  const auto status = bare.GetPolicy();
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->file(), "");
  EXPECT_FALSE(status->has_loaded());
  EXPECT_EQ(bare.ListOwners({})->owners_size(), 2) << "web, of the store, and none";
}

}  // namespace
}  // namespace tokenwatch
