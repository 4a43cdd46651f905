// What findings say to people.
#include "collector/detect/finding_text.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "collector/detect/engine.h"
#include "collector/detect/shown_names.h"
#include "collector/detect/spans.h"
#include "tests/unit/collector/detect/detect_testing.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::testing {
namespace {

// The only finding of `rule` after all of `history`.
v1::Finding Only(const History& history, std::string_view rule, const std::string& policy = "",
                 int64_t wait_us = 0) {
  Engine engine({});
  if (!policy.empty()) engine.SetPolicy(PolicyOf(policy));
  for (const CommittedUse& use : history.uses()) {
    engine.Judge(use);
    engine.AdvanceTo(use.row.time_us - kMinute);
  }
  if (wait_us != 0) engine.AdvanceTo(history.now_us() + wait_us);
  v1::Finding only;
  for (const StoredFinding& stored : engine.TakeFindings(true)) {
    if (stored.finding.rule() != rule) continue;
    EXPECT_TRUE(only.finding_id().empty()) << "more than one";
    only = stored.finding;
  }
  EXPECT_FALSE(only.finding_id().empty()) << rule;
  return only;
}

std::string PolicyWith(const std::string& what) {
  return absl::StrCat("rules:\n  - id: api-only\n    match: {format: github_*}\n    ", what, "\n");
}

TEST(FindingText, SpansHaveTheUnitThatFits) {
  struct Case {
    absl::Duration span;
    const char* text;
  };
  for (const Case& each : std::vector<Case>{{absl::ZeroDuration(), "0 seconds"},
                                            {absl::Seconds(1), "1 second"},
                                            {absl::Seconds(119), "119 seconds"},
                                            {absl::Minutes(2), "2 minutes"},
                                            {absl::Seconds(150), "2.5 minutes"},
                                            {absl::Hours(1), "1 hour"},
                                            {absl::Minutes(90), "90 minutes"},
                                            {absl::Hours(24), "1 day"},
                                            {absl::Hours(47), "47 hours"},
                                            {absl::Hours(60), "2.5 days"},
                                            {absl::Hours(24 * 90), "90 days"}}) {
    EXPECT_EQ(SpanText(each.span), each.text);
  }
}

TEST(FindingText, NamesAreThoseOfTheUse) {
  Call call;
  call.unit = "";
  call.user = "root";
  call.exe = "/tmp/h3u/python3";
  call.user_agent = "boto3/1.2 (x) md5lib/2";
  History history;
  history.Uses(1, call);
  const CommittedUse& use = history.uses()[0];
  EXPECT_EQ(ShownName(use, Dimension::kService), "root: python3");
  EXPECT_EQ(ShownName(use, Dimension::kWorkload), "root: python3 /tmp/h3u/python3");
  EXPECT_EQ(ShownName(use, Dimension::kAgent), "boto3 md5lib");
  EXPECT_EQ(ShownName(use, Dimension::kHost), "");
  EXPECT_EQ(UseText(use),
            "GET api.github.com/repos/acme/shop by root: python3 /tmp/h3u/python3 on m1 "
            "(10.1.2.3)");
  v1::Workload pod;
  pod.set_namespace_("payments");
  pod.set_pod("api-7c9d8f5b66-x2x4z");
  EXPECT_EQ(ShownService(pod), "payments/api");
  pod.set_pod("runner-t3kq59-project-99-concurrent-3-q5ykeqy5");
  EXPECT_EQ(ShownService(pod), "payments/runner-t3kq59-project-99-concurrent-3-q5ykeqy5");
}

TEST(FindingText, APolicysViolationSaysWhatAndWhichRule) {
  struct Case {
    const char* allow;
    const char* kind;
    const char* title;
    const char* value;
    const char* normal;
  };
  for (const Case& each : std::vector<Case>{
           {"hosts: [api.example]", "hosts",
            "api.github.com: host that the policy's api-only does not allow", "api.github.com",
            "allowed by api-only (policy.yaml:2): api.example"},
           {"methods: [POST, PUT]", "methods",
            "GET: method that the policy's api-only does not allow", "GET",
            "allowed by api-only (policy.yaml:2): POST, PUT"},
           {"workloads: [mail]", "workloads",
            "billing.service /usr/bin/billing: workload that the policy's api-only does not allow",
            "billing.service /usr/bin/billing", "allowed by api-only (policy.yaml:2): mail"},
           {"sources: [192.0.2.0/24]", "sources",
            "10.1.2.3: source address that the policy's api-only does not allow", "10.1.2.3",
            "allowed by api-only (policy.yaml:2): 192.0.2.0/24"},
           {"hours: {days: tue-fri, from: '07:00', to: '19:00', time-zone: Europe/Berlin}", "hours",
            "Used on Mon 01:00 CET (Mon 00:00 UTC): outside of the hours that the policy's "
            "api-only allows",
            "", "allowed by api-only (policy.yaml:2): tue-fri 07:00-19:00 Europe/Berlin"}}) {
    SCOPED_TRACE(each.kind);
    History history;
    history.Uses(3, Call());
    const v1::Finding finding =
        Only(history, "policy_violation", PolicyWith(absl::StrCat("allow: {", each.allow, "}")));
    EXPECT_EQ(finding.kind(), each.kind);
    EXPECT_EQ(finding.policy_rule(), "api-only");
    EXPECT_EQ(finding.title(), each.title);
    EXPECT_EQ(finding.value(), each.value);
    EXPECT_EQ(finding.normal(), each.normal);
    EXPECT_EQ(finding.revision(), 1u);
    EXPECT_TRUE(absl::EndsWith(finding.observed(),
                               "GET api.github.com/repos/acme/shop by billing.service "
                               "/usr/bin/billing on m1 (10.1.2.3)"))
        << finding.observed();
  }
}

TEST(FindingText, AgesAreSaidInTheirUnitAndRotationIsNoAge) {
  History history;
  history.Uses(2, Call(), 150 * kMinute);
  v1::Finding finding = Only(history, "over_age", PolicyWith("max-age: 2h"));
  EXPECT_EQ(finding.title(),
            "2.5 hours old: a token older than the 2 hours that the policy's api-only allows");
  EXPECT_EQ(finding.observed(), "2.5 hours in use, 30 minutes too old");
  EXPECT_EQ(finding.normal(), "at most 2 hours, as the policy's api-only (policy.yaml:2) says");
  finding = Only(history, "over_age", PolicyWith("rotate-within: 2h"));
  EXPECT_EQ(finding.title(),
            "2.5 hours old: a token not rotated within the 2 hours that the policy's api-only "
            "gives");
  finding = Only(history, "dormant", PolicyWith("dormant-after: 2h"), 4 * kHour);
  EXPECT_TRUE(absl::StartsWith(finding.title(), "No use for 6.5 hours: ")) << finding.title();
  EXPECT_EQ(finding.format(), "github_pat");
  EXPECT_EQ(finding.provider(), "github");
  EXPECT_EQ(finding.workload(), "billing.service");
}

TEST(FindingText, ABurstIsHeldAgainstWhatWasBefore) {
  Call denied;
  denied.status = 403;
  History history;
  history.Days(5, Call(), {.uses = 2});
  history.Uses(30, denied);
  const v1::Finding finding = Only(history, "denial_burst");
  EXPECT_EQ(finding.normal(), "0 of the 240 uses before were refused");
  // The newest, not those with which it began.
  EXPECT_TRUE(absl::StartsWith(finding.title(), "30 of 30 requests in ten minutes were refused: "))
      << finding.title();
  EXPECT_TRUE(absl::StrContains(finding.observed(), "answered 403")) << finding.observed();
  EXPECT_TRUE(absl::StrContains(finding.advice(), absl::StrCat("--token ", IdOf("one"))))
      << finding.advice();
}

TEST(FindingText, HowOftenANewOneCameIsNoMoreThanIsKnown) {
  Call other;
  other.unit = "";
  other.user = "root";
  other.exe = "/usr/bin/python3";
  History history;
  history.Days(14, Call());
  history.Uses(1, other);
  const v1::Finding finding = Only(history, "new_workload");
  EXPECT_EQ(finding.value(), "root: python3 /usr/bin/python3");
  EXPECT_EQ(finding.workload(), "root: python3");
  EXPECT_EQ(finding.normal(),
            "billing.service /usr/bin/billing; a workload that is new, not once in 13.9 days");
  EXPECT_TRUE(absl::StrContains(finding.observed(), "on m1 (10.1.2.3)")) << finding.observed();
}

TEST(FindingText, ASourceIsNamedWithItsAddress) {
  Call away;
  away.agent_address = "10.77.1.1";
  History history;
  history.Days(14, Call());
  history.Uses(1, away);
  const v1::Finding finding = Only(history, "new_source");
  EXPECT_EQ(finding.value(), "10.77.0.0/16");
  EXPECT_TRUE(absl::StrContains(finding.observed(), "(10.77.1.1)")) << finding.observed();
}

TEST(FindingText, ABurstNamesAUseOfIt) {
  History history;
  history.Days(14, Call(), {.uses = 2});
  history.Uses(200, Call());
  const v1::Finding finding = Only(history, "volume_spike");
  EXPECT_TRUE(absl::StrContains(finding.observed(), " uses within this hour; now GET "))
      << finding.observed();
  EXPECT_TRUE(absl::StrContains(finding.title(), " uses within this hour: far more uses than"))
      << finding.title();
}

// The value is in the title, what was seen is more than it.
TEST(FindingText, NothingIsSaidTwice) {
  Call foreign;
  foreign.traits = v1::USE_TRAIT_FOREIGN_HOST | v1::USE_TRAIT_CLEARTEXT | v1::USE_TRAIT_IN_QUERY;
  History history;
  history.Uses(1, foreign);
  for (const char* rule : {"foreign_host", "cleartext", "in_query"}) {
    const v1::Finding finding = Only(history, rule);
    EXPECT_FALSE(absl::StrContains(finding.title(), finding.observed())) << finding.title();
    EXPECT_FALSE(absl::StrContains(finding.observed(), finding.title())) << finding.observed();
  }
  EXPECT_TRUE(absl::StrContains(Only(history, "foreign_host").advice(), "the agent's"));
}

}  // namespace
}  // namespace tokenwatch::testing
