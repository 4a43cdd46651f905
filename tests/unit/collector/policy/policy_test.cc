#include "collector/policy/policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_join.h"

namespace tokenwatch {
namespace {

constexpr char kGood[] = R"yaml(owners:
  - owner: payments
    contact: payments@acme.example
    match: {namespace: payments}
  - owner: platform
    match:
      format: [github_*, gitlab_*]
      path: /orgs/*
  - owner: everybody
rules:
  - id: ci-tokens
    match: {format: github_*, owner: platform}
    max-age: 90d
    rotate-within: 30d
    dormant-after: 30d
    allow:
      hosts: [api.github.com]
      resources: ['GET api.github.com/repos/acme/*']
      methods: [get, POST]
      workloads: [runner]
      hours: {days: mon-fri, from: '07:00', to: '19:00', time-zone: Europe/Berlin}
      networks: [192.0.2.0/24]
      sources: [10.0.0.0/8]
suppressions:
  - rule: new_*
    match: {workload: migrate.py}
    until: 2027-01-31
    reason: moves to the new API, OPS-42
)yaml";

TEST(Policy, ReadsAll) {
  std::vector<std::string> problems;
  const std::shared_ptr<const Policy> policy = Policy::Parse(kGood, "p.yaml", &problems);
  ASSERT_NE(policy, nullptr) << absl::StrJoin(problems, "\n");
  EXPECT_TRUE(problems.empty());
  ASSERT_EQ(policy->owners().size(), 3u);
  EXPECT_EQ(policy->owners()[0].contact, "payments@acme.example");
  EXPECT_EQ(policy->owners()[1].where, "p.yaml:5");
  ASSERT_EQ(policy->rules().size(), 1u);
  const PolicyRule& rule = policy->rules()[0];
  EXPECT_EQ(rule.max_age, absl::Hours(90 * 24));
  EXPECT_EQ(rule.owners, std::vector<std::string>{"platform"});
  EXPECT_EQ(rule.methods, (std::vector<std::string>{"GET", "POST"}));
  EXPECT_TRUE(rule.hours.has_value());
  EXPECT_EQ(rule.networks.size(), 1u);
  EXPECT_EQ(rule.sources.size(), 1u);

  v1::Workload who;
  PolicySubject subject;
  subject.workload = &who;
  subject.format = "github_pat_classic";
  subject.path = "/orgs/acme";
  EXPECT_EQ(policy->OwnerOf(subject)->owner, "platform");
  who.set_namespace_("payments");
  EXPECT_EQ(policy->OwnerOf(subject)->owner, "payments") << "the first row wins";
  subject.path = "/user";
  who.clear_namespace_();
  EXPECT_EQ(policy->OwnerOf(subject)->owner, "everybody");

  who.set_script("/srv/migrate.py");
  const absl::Time last =
      absl::FromCivil(absl::CivilSecond(2027, 1, 31, 23, 0, 0), absl::UTCTimeZone());
  ASSERT_NE(policy->SuppressionOf("new_host", subject, last), nullptr);
  EXPECT_EQ(policy->SuppressionOf("new_host", subject, last)->reason,
            "moves to the new API, OPS-42");
  EXPECT_EQ(policy->SuppressionOf("new_host", subject, last + absl::Hours(14)), nullptr);
  EXPECT_EQ(policy->SuppressionOf("volume_spike", subject, last), nullptr);
  who.set_script("/srv/other.py");
  EXPECT_EQ(policy->SuppressionOf("new_host", subject, last), nullptr);
}

TEST(Policy, WithoutRowsOwnsNothing) {
  for (const char* text : {"{}", "rules: []\n", "owners: []\n"}) {
    std::vector<std::string> problems;
    const std::shared_ptr<const Policy> policy = Policy::Parse(text, "p.yaml", &problems);
    ASSERT_NE(policy, nullptr) << absl::StrJoin(problems, "\n");
    EXPECT_EQ(policy->OwnerOf(PolicySubject()), nullptr);
  }
}

TEST(Policy, SaysWhatIsWrongAndWhere) {
  const struct {
    const char *text, *problem;
  } cases[] = {
      {"owner:\n  - owner: a\n", "p.yaml:1: 'the file' has no key 'owner'; did you mean 'owners'?"},
      {"owners:\n  - owner: a\n    match: {namespce: x}\n",
       "p.yaml:3: 'match' has no key 'namespce'; did you mean 'namespace'?"},
      {"owners:\n  - match: {namespace: x}\n", "p.yaml:2: 'owner' is needed"},
      {"owners:\n  - owner: a\n    owner: b\n", "p.yaml:3: 'owner' was given already"},
      {"owners:\n  - owner: a\n  - owner: b\n    match: {pod: x}\n",
       "p.yaml:3: this row never counts: the one of 'a' in line 2 takes all"},
      {"owners:\n  - owner: a\n    match: {pod: 'x*'}\n  - owner: b\n    match: {pod: xy, format: "
       "jwt}\n",
       "p.yaml:4: this row never counts"},
      {"owners: a\n", "p.yaml:1: 'owners' must be a list"},
      {"owners:\n  - a\n", "p.yaml:2: 'owners' must be a map of owner, contact, match"},
      {"rules:\n  - id: A b\n    max-age: 1d\n", "p.yaml:2: 'id' is needed"},
      {"rules:\n  - id: a\n", "p.yaml:2: the rule asks for nothing"},
      {"rules:\n  - id: a\n    max-age: soon\n", "p.yaml:3: 'max-age' takes a time"},
      {"rules:\n  - id: a\n    max-age: 10s\n", "p.yaml:3: 'max-age' takes a time"},
      {"rules:\n  - id: a\n    max-age: 1d\n  - id: a\n    max-age: 2d\n",
       "p.yaml:4: the id 'a' is taken already"},
      {"rules:\n  - id: a\n    allow: {hours: {from: '08:00', to: '09:00', time-zone: "
       "Mars/Base}}\n",
       "p.yaml:3: the time zone database has no 'Mars/Base'"},
      {"rules:\n  - id: a\n    allow: {hours: {from: '08:00', to: '09:00'}}\n",
       "p.yaml:3: 'time-zone' is needed"},
      {"rules:\n  - id: a\n    allow: {networks: [10.0.0.1/8]}\n",
       "p.yaml:3: '10.0.0.1/8' has bits beyond"},
      {"rules:\n  - id: a\n    allow: {resources: [api.github.com/x]}\n",
       "p.yaml:3: 'api.github.com/x' is no resource"},
      {"rules:\n  - id: a\n    allow: {host: [x]}\n",
       "p.yaml:3: 'allow' has no key 'host'; did you mean 'hosts'?"},
      {"suppressions:\n  - rule: x\n    until: 2027-01-31\n", "p.yaml:2: 'reason' is needed"},
      {"suppressions:\n  - rule: new_host\n    until: never\n    reason: y\n",
       "p.yaml:3: 'until' takes a day"},
      {"suppressions:\n  - rule: new_hosts\n    until: 2027-01-31\n    reason: y\n",
       "p.yaml:2: there is no rule 'new_hosts'; did you mean 'new_host'?"},
      {"rules:\n  - id: ci\n    max-age: 1d\nsuppressions:\n  - rule: 'zzzzzz*'\n    until: "
       "2027-01-31\n    reason: y\n",
       "p.yaml:5: there is no rule 'zzzzzz*'; rules of detection are such as"},
      {"rules:\n  - id: a\n    match: {owner: none}\n    allow: {}\n",
       "p.yaml:4: 'allow' says nothing"},
      {"owners:\n  - owner: platform\nrules:\n  - id: a\n    match:\n      owner: [none, "
       "platfrom]\n    max-age: 1d\n",
       "p.yaml:6: no row of 'owners' names 'platfrom'; did you mean 'platform'?"},
      {"rules:\n  - id: a\n    match: {owner: 'x*'}\n    max-age: 1d\n",
       "p.yaml:3: no row of 'owners' names 'x*'; 'none' is what nobody owns"},
      {"rules:\n  - id: old\n    max-age: 90d\n  - id: older\n    match: {format: jwt}\n    "
       "max-age: 1h\n  - id: oldest\n    match: {format: npm}\n    max-age: 365d\n",
       "p.yaml:7: the rule 'oldest' never counts: 'old' in line 2 is about"},
      {"rules:\n  - id: a\n    match: {format: jwt}\n    allow: {hosts: ['*.a.example', "
       "b.example]}\n  - id: b\n    allow: {hosts: [x.a.example]}\n",
       "p.yaml:2: the rule 'a' never counts: 'b' in line 5 is about"},
      {"rules:\n  - id: a\n    max-age: 1d\n  - id: b\n    rotate-within: 1d\n",
       "p.yaml:4: the rule 'b' never counts: 'a' in line 2 is about"},
      {"rules:\n  - id: a\n    allow: {networks: [10.1.0.0/16], methods: GET}\n  - id: b\n    "
       "allow: {networks: [10.0.0.0/8, '::1']}\n",
       "p.yaml:4: the rule 'b' never counts"},
      {"owners:\n  - owner: &a b\n", "p.yaml:2: anchors are not understood"},
      {"owners: [\n", "p.yaml:2: not valid YAML"},
      {"owners:\n---\nowners:\n", "p.yaml:2: only one YAML document"},
      {"owners:\n", "p.yaml:1: 'owners' has no value"},
      {"", "p.yaml:1: the file holds nothing"},
      {"# nothing\n", "p.yaml:1: the file holds nothing"},
      {"---\n", "p.yaml:1: the file holds nothing"},
      {"~", "p.yaml:1: the file holds nothing"},
  };
  for (const auto& one : cases) {
    std::vector<std::string> problems;
    EXPECT_EQ(Policy::Parse(one.text, "p.yaml", &problems), nullptr) << one.text;
    ASSERT_FALSE(problems.empty()) << one.text;
    EXPECT_EQ(problems[0].substr(0, std::string(one.problem).size()), one.problem) << one.text;
  }
}

// Each rule says something that the others do not.
TEST(Policy, RulesMayOverlap) {
  for (const char* text :
       {"rules:\n- {id: a, max-age: 90d}\n- {id: b, match: {format: jwt}, max-age: 1h}\n",
        "rules:\n- {id: a, max-age: 90d}\n- {id: b, match: {format: jwt}, dormant-after: 99d}\n",
        "rules:\n- {id: a, match: {format: npm}, max-age: 1d}\n"
        "- {id: b, match: {format: jwt}, max-age: 1d}\n",
        "owners:\n- {owner: x, match: {pod: x}}\n- {owner: y}\n"
        "rules:\n- {id: a, match: {owner: x}, max-age: 1d}\n"
        "- {id: b, match: {owner: 'y*'}, max-age: 2d}\n",
        "rules:\n- {id: a, allow: {hours: {from: '08:00', time-zone: UTC}}}\n"
        "- {id: b, match: {format: jwt}, allow: {hours: {from: '09:00', time-zone: UTC}}}\n"}) {
    std::vector<std::string> problems;
    EXPECT_NE(Policy::Parse(text, "p.yaml", &problems), nullptr)
        << text << absl::StrJoin(problems, "\n");
  }
}

TEST(Policy, AllThatIsWrongWithHoursIsTold) {
  std::vector<std::string> problems;
  EXPECT_EQ(Policy::Parse("rules:\n- id: a\n  allow:\n    hours:\n      days: monday\n"
                          "      from: '8'\n      to: '25:00'\n      time-zone: Mars/Base\n",
                          "p.yaml", &problems),
            nullptr);
  ASSERT_EQ(problems.size(), 4u) << absl::StrJoin(problems, "\n");
  for (size_t i = 0; i < problems.size(); ++i) {
    EXPECT_EQ(problems[i].substr(0, 8), "p.yaml:" + std::to_string(i + 5)) << problems[i];
  }
}

TEST(Policy, ANamelessOwnerIsNotSpokenOf) {
  std::vector<std::string> problems;
  EXPECT_EQ(Policy::Parse("owners:\n- contact: a\n- owner: b\n", "p.yaml", &problems), nullptr);
  const std::string all = absl::StrJoin(problems, "\n");
  EXPECT_EQ(all.find("''"), std::string::npos) << all;
  EXPECT_NE(all.find("p.yaml:3: this row never counts: the one in line 2 takes"), std::string::npos)
      << all;
}

// Hosts have no case, methods have one.
TEST(Policy, WhatIsAllowedIsComparedAsUsesHaveIt) {
  std::vector<std::string> problems;
  const auto policy = Policy::Parse(
      "rules:\n- {id: a, allow: {hosts: API.GitHub.com, resources: 'get "
      "API.GitHub.com/Repos/*'}}\n",
      "p.yaml", &problems);
  ASSERT_NE(policy, nullptr);
  EXPECT_EQ(policy->rules()[0].hosts[0], "api.github.com");
  EXPECT_EQ(policy->rules()[0].resources[0], "GET api.github.com/Repos/*");
}

TEST(Policy, AnEndedSuppressionIsAWarning) {
  std::vector<std::string> problems;
  const auto policy = Policy::Parse(
      "rules:\n- {id: ci, max-age: 1d}\nsuppressions:\n"
      "- {rule: 'new_*', until: '2027-01-31T00:00:00Z', reason: x}\n"
      "- {rule: ci, until: '2028-01-31T00:00:00Z', reason: x}\n",
      "p.yaml", &problems);
  ASSERT_NE(policy, nullptr) << absl::StrJoin(problems, "\n");
  const absl::Time end = absl::FromCivil(absl::CivilDay(2027, 1, 31), absl::UTCTimeZone());
  EXPECT_TRUE(policy->Warnings(end - absl::Seconds(1)).empty());
  const std::vector<std::string> warnings = policy->Warnings(end);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0],
            "p.yaml:4: the suppression of 'new_*' ended at 2027-01-31 00:00 UTC and silences "
            "nothing; remove it, or give it a later end");
}

TEST(Policy, TellsAllProblemsInOrder) {
  std::vector<std::string> problems;
  EXPECT_EQ(Policy::Parse("rules:\n  - id: a\n    max-age: x\nowners:\n  - ownr: a\n", "p.yaml",
                          &problems),
            nullptr);
  ASSERT_EQ(problems.size(), 3u) << absl::StrJoin(problems, "\n");
  EXPECT_EQ(problems[0].substr(0, 8), "p.yaml:3");
  EXPECT_EQ(problems[1].substr(0, 8), "p.yaml:5");
}

}  // namespace
}  // namespace tokenwatch
