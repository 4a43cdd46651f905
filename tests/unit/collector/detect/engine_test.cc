// Every rule: what it must find, and what looks like it and must stay silent.
#include "collector/detect/engine.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "collector/detect/rules.h"
#include "tests/unit/collector/detect/detect_testing.h"
#include "tests/unit/collector/detect/world.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::testing {
namespace {

std::string Rfc3339(int64_t time_us) {
  return absl::FormatTime(absl::RFC3339_full, absl::FromUnixMicros(time_us), absl::UTCTimeZone());
}

Call Traits(uint32_t traits) {
  return With([traits](Call& call) { call.traits = traits; });
}

// A program of a person in a session.
Call ByHand() {
  return With([](Call& call) {
    call.unit = "";
    call.user = "ann";
    call.exe = "/usr/bin/curl";
    call.user_agent = "curl/8.5.0";
  });
}

// Two weeks of the usual, over the day.
void Usual(World& world, int days = 14) { world.history.Days(days, Call()); }

// After three weeks, every other day something new, for so many days, and a few uses in a night.
void Probe(World& world, int days, int at_night) {
  const Hours24 office = {.from = 9, .to = 17, .uses = 1};
  world.history.Days(21, Call(), office);
  for (int day = 0; day < days; ++day) {
    world.history.Days(1, Call(), office);
    if (day % 2 != 0) continue;
    world.history.Uses(1, With([day](Call& c) { c.path = absl::StrCat("/orgs/", day); }));
  }
  world.history.Days(1, Call(), office).Uses(at_night, Call()).Days(1, Call(), office);
}

constexpr char kRules[] = R"(owners:
  - owner: shop
    contact: shop@acme.example
    match: {host: api.github.com}
rules:
  - id: github
    match: {format: github_*}
    max-age: 20d
    dormant-after: 5d
    allow: {methods: [GET, POST]}
)";

struct Row {
  const char* rule;
  const char* severity;
  std::function<void(World&)> finds;
  std::function<void(World&)> stays_silent;
  const char* policy = "";
};

const std::vector<Row>& Table() {
  static const auto* const table = new std::vector<Row>{
      {"policy_violation", "high",
       [](World& w) { w.history.Uses(1, With([](Call& c) { c.method = "DELETE"; })); },
       [](World& w) { w.history.Uses(1, With([](Call& c) { c.method = "POST"; })); }, kRules},
      {"revoked_used", "critical",
       [](World& w) {
         w.history.Uses(3, Call());
         w.Tell(Call(), "revoked", Rfc3339(w.history.now_us()));
         w.history.Wait(kHour).Uses(1, Call());
       },
       // On its way when it was revoked.
       [](World& w) {
         w.history.Uses(3, Call());
         w.Tell(Call(), "revoked", Rfc3339(w.history.now_us()));
         w.history.Wait(30 * kSecond).Uses(1, Call());
       }},
      {"expired_used", "high", [](World& w) { w.history.Uses(1, Traits(v1::USE_TRAIT_EXPIRED)); },
       [](World& w) {
         w.history.Uses(3, Call());
         w.Tell(Call(), "expires", Rfc3339(w.history.now_us()));
         w.history.Wait(2 * kMinute).Uses(1, Call());
       }},
      {"foreign_host", "high",
       [](World& w) { w.history.Uses(1, Traits(v1::USE_TRAIT_FOREIGN_HOST)); },
       [](World& w) {
         w.history.Uses(1, Traits(v1::USE_TRAIT_REDIRECTED | v1::USE_TRAIT_BY_CONTEXT));
       }},
      {"cleartext", "high", [](World& w) { w.history.Uses(1, Traits(v1::USE_TRAIT_CLEARTEXT)); },
       [](World& w) {
         w.history.Uses(1, With([](Call& c) {
                          c.traits = v1::USE_TRAIT_CLEARTEXT;
                          c.direction = "inbound";
                        }));
       }},
      {"in_query", "medium", [](World& w) { w.history.Uses(1, Traits(v1::USE_TRAIT_IN_QUERY)); },
       // Google documents it so.
       [](World& w) {
         w.history.Uses(1, With([](Call& c) {
                          c.format = "google_api_key";
                          c.traits = v1::USE_TRAIT_IN_QUERY;
                        }));
       }},
      {"new_source_country", "high",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.agent_address = "203.0.113.9"; }));
       },
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.agent_address = "10.77.1.1"; }));
       }},
      {"new_source", "high",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.agent_address = "10.77.1.1"; }));
       },
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.agent_address = "10.1.2.77"; }));
       }},
      {"new_machine", "medium",
       [](World& w) {
         w.history.Days(14, {Call(), With([](Call& c) {
                               c.token = "two";
                               c.machine = "m2";
                               c.unit = "mail.service";
                             })});
         w.history.Uses(1, With([](Call& c) { c.machine = "m2"; }));
       },
       // A larger fleet.
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.machine = "m2"; }));
       }},
      {"new_workload", "high",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, ByHand());
       },
       // Another release in another folder's number.
       [](World& w) {
         w.history.Days(14, With([](Call& c) { c.exe = "/opt/billing-1.2/run"; }));
         w.history.Uses(1, With([](Call& c) { c.exe = "/opt/billing-1.3/run"; }));
       }},
      {"shared_token", "medium",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.unit = "mail.service"; }));
       },
       [](World& w) {
         Usual(w, 1);
         w.history.Uses(1, With([](Call& c) { c.unit = "mail.service"; }));
       }},
      {"new_user_agent", "medium",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.user_agent = "curl/8.5.0"; }));
       },
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.user_agent = "python-requests/2.32.1"; }));
       }},
      {"new_host", "medium",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.host = "uploads.github.com"; }));
       },
       // Another token of the workload goes there.
       [](World& w) {
         w.history.Days(14, {Call(), With([](Call& c) {
                               c.token = "two";
                               c.host = "uploads.github.com";
                             })});
         w.history.Uses(1, With([](Call& c) { c.host = "uploads.github.com"; }));
       }},
      {"new_destination_country", "medium",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.peer = "203.0.113.9"; }));
       },
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.peer = "140.9.9.9"; }));
       }},
      {"new_destination", "medium",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.peer = "140.9.9.9"; }));
       },
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.peer = "140.82.9.9"; }));
       }},
      {"new_resource", "low",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.path = "/orgs/acme/secrets"; }));
       },
       // With a release.
       [](World& w) {
         Usual(w);
         const Call release = With([](Call& c) {
           c.user_agent = "python-requests/2.32.0";
           c.pid = 200;
         });
         w.history.Uses(1, release);
         w.history.Uses(1, With([](Call& c) { c.path = "/orgs/acme/secrets"; }, release));
       }},
      {"first_write", "medium",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.method = "PUT"; }));
       },
       [](World& w) {
         w.history.Uses(1, With([](Call& c) { c.method = "PUT"; }));
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.method = "PUT"; }));
       }},
      {"resource_burst", "high",
       [](World& w) {
         Usual(w);
         for (int i = 0; i < 30; ++i) {
           w.history.Uses(1, With([i](Call& c) { c.path = absl::StrCat("/repos/acme/r", i); }));
         }
       },
       [](World& w) {
         Usual(w);
         for (int i = 0; i < 5; ++i) {
           w.history.Uses(30, With([i](Call& c) { c.path = absl::StrCat("/repos/acme/r", i); }));
         }
       }},
      {"denial_burst", "high",
       [](World& w) {
         Usual(w);
         w.history.Uses(20, With([](Call& c) { c.status = 403; }));
       },
       // The provider refuses everybody.
       [](World& w) {
         Usual(w);
         for (int i = 0; i < 20; ++i) {
           for (const char* unit : {"a.service", "b.service", "c.service", "billing.service"}) {
             w.history.Uses(1, With([unit](Call& c) {
                              c.token = c.unit = unit;
                              if (c.unit == "billing.service") c.token = "one";
                              c.status = 403;
                            }));
           }
         }
       }},
      {"volume_spike", "medium",
       [](World& w) {
         Usual(w);
         w.history.Uses(300, Call());
       },
       [](World& w) {
         Usual(w);
         w.history.Uses(14, Call());
       }},
      {"off_hours", "medium",
       [](World& w) {
         std::vector<Call> people;
         for (int i = 0; i < 12; ++i) {
           people.push_back(With([i](Call& c) { c.token = absl::StrCat("p", i); }, ByHand()));
         }
         w.history.Days(21, people, {.from = 9, .to = 12, .uses = 1});
         w.history.Wait(22 * kHour).Uses(1, people[0]);
       },
       [](World& w) {
         std::vector<Call> people;
         for (int i = 0; i < 12; ++i) {
           people.push_back(With([i](Call& c) { c.token = absl::StrCat("p", i); }, ByHand()));
         }
         w.history.Days(21, people, {.from = 9, .to = 12, .uses = 1});
         w.history.Wait(13 * kHour).Uses(1, people[0]);
       }},
      {"dormant_revived", "medium",
       [](World& w) {
         Usual(w);
         w.history.Wait(40 * kDay).Uses(1, Call());
       },
       [](World& w) {
         Usual(w);
         w.history.Wait(7 * kDay).Uses(1, Call());
       }},
      // The night is the fourth odd day, or no odd one.
      {"slow_probing", "medium", [](World& w) { Probe(w, 5, 12); },
       [](World& w) { Probe(w, 5, 1); }},
      {"first_of_format", "low",
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) {
                          c.token = "two";
                          c.format = "stripe_secret";
                        }));
       },
       [](World& w) {
         Usual(w);
         w.history.Uses(1, With([](Call& c) { c.token = "two"; }));
       }},
      {"token_invention", "high",
       [](World& w) {
         Usual(w);
         for (int i = 0; i < 30; ++i) {
           w.history.Uses(1, With([i](Call& c) { c.token = absl::StrCat("made", i); }));
         }
       },
       // A broker's: each of them stands for the same.
       [](World& w) {
         Usual(w);
         for (int i = 0; i < 30; ++i) {
           w.history.Uses(1, With([i](Call& c) {
                            c.token = absl::StrCat("made", i);
                            c.credential = "cred_shop";
                          }));
         }
       }},
      {"over_age", "medium",
       [](World& w) { w.history.Uses(1, Call()).Wait(21 * kDay).Uses(1, Call()); },
       [](World& w) { w.history.Uses(1, Call()).Wait(19 * kDay).Uses(1, Call()); }, kRules},
      {"unmapped", "info",
       [](World& w) { w.history.Uses(1, With([](Call& c) { c.host = "gitlab.com"; })); },
       [](World& w) { w.history.Uses(1, Call()); }, kRules},
      {"volume_drop", "medium",
       [](World& w) {
         w.history.Days(21, Call(), {.uses = 20});
         w.Silence(10);
       },
       // Another token took its place.
       [](World& w) {
         w.history.Days(21, Call(), {.uses = 20});
         w.history.Days(2, With([](Call& c) { c.token = "two"; }), {.uses = 20});
       }},
      {"dormant", "low",
       [](World& w) {
         w.history.Uses(3, Call());
         w.Silence(6 * 24);
       },
       [](World& w) {
         w.history.Uses(3, Call());
         w.Silence(4 * 24);
       },
       kRules},
      {"scope_change", "high",
       [](World& w) {
         w.history.Uses(1, Call());
         for (int day = 0; day < 2; ++day) {
           w.Tell(Call(), "scope", "repo");
           w.Tell(Call(), "scope", "user");
           w.history.Wait(kDay);
         }
         w.Tell(Call(), "scope", "admin:org");
       },
       // All are told at one time.
       [](World& w) {
         w.history.Uses(1, Call());
         for (int day = 0; day < 2; ++day) {
           w.Tell(Call(), "scope", "repo");
           w.Tell(Call(), "scope", "user");
           w.Tell(Call(), "scope", "admin:org");
           w.history.Wait(kDay);
         }
       }},
  };
  return *table;
}

TEST(Engine, EveryRuleHasARow) {
  std::set<std::string> rows;
  for (const Row& row : Table()) EXPECT_TRUE(rows.insert(row.rule).second) << row.rule;
  for (const Rule& rule : Rules()) EXPECT_TRUE(rows.erase(std::string(rule.id)) == 1) << rule.id;
  EXPECT_TRUE(rows.empty()) << *rows.begin();
}

TEST(Engine, FindsWhatItMust) {
  for (const Row& row : Table()) {
    SCOPED_TRACE(row.rule);
    if (row.finds == nullptr) continue;
    World world(row.policy);
    row.finds(world);
    const std::vector<v1::Finding> found = world.Of(row.rule);
    EXPECT_EQ(found.size(), 1u);
    for (const v1::Finding& finding : found) {
      EXPECT_EQ(finding.severity(), row.severity);
      EXPECT_EQ(finding.state(), "open");
      EXPECT_TRUE(finding.finding_id().starts_with("fnd_"));
      EXPECT_FALSE(finding.title().empty());
      EXPECT_FALSE(finding.observed().empty());
      EXPECT_FALSE(finding.normal().empty());
      EXPECT_FALSE(finding.advice().empty());
      EXPECT_GT(finding.confidence(), 0.4);
      EXPECT_LE(finding.confidence(), 1);
      // Told again where there is ten times as much an hour later.
      EXPECT_LE(finding.revision(), finding.uses() < 10 ? 1u : 3u);
      EXPECT_FALSE(finding.token_id().empty());
      EXPECT_LE(finding.evidence_size(), 20);
      EXPECT_GE(finding.last_seen().seconds(), finding.first_seen().seconds());
      const bool of_use = finding.uses() > 0;
      EXPECT_EQ(of_use, finding.evidence_size() > 0);
      EXPECT_EQ(of_use, finding.rule() != "volume_drop" && finding.rule() != "dormant" &&
                            finding.rule() != "scope_change");
    }
  }
}

TEST(Engine, StaysSilentWhereItMust) {
  for (const Row& row : Table()) {
    SCOPED_TRACE(row.rule);
    World world(row.policy);
    row.stays_silent(world);
    for (const v1::Finding& finding : world.Of(row.rule)) ADD_FAILURE() << finding.observed();
  }
}

TEST(Engine, TheUsualIsNoFinding) {
  World world;
  Usual(world, 40);
  EXPECT_EQ(world.AllRules(), std::set<std::string>());
}

TEST(Engine, SaysOwnerAndHistory) {
  World world(kRules);
  Usual(world, 10);
  world.history.Uses(1, With([](Call& c) { c.user_agent = "curl/8.5.0"; }));
  const std::vector<v1::Finding> found = world.Of("new_user_agent");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].owner(), "shop");
  EXPECT_EQ(found[0].contact(), "shop@acme.example");
  EXPECT_NEAR(found[0].history_days(), 10, 0.01);
  EXPECT_EQ(found[0].history_uses(), 960u);
  EXPECT_EQ(found[0].value(), "curl");
  EXPECT_EQ(found[0].workload(), "billing.service");
  EXPECT_EQ(found[0].token_id(), IdOf("one"));
  ASSERT_EQ(found[0].evidence_size(), 1);
  EXPECT_EQ(found[0].evidence(0).user_agent(), "curl/8.5.0");
}

TEST(Engine, JoinsUntilADayIsQuiet) {
  World world;
  const Call foreign = Traits(v1::USE_TRAIT_FOREIGN_HOST);
  world.history.Uses(50, With([](Call& c) { c.count = 2; }, foreign), kMinute);
  std::vector<v1::Finding> found = world.Of("foreign_host");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].uses(), 100u);
  ASSERT_EQ(found[0].evidence_size(), 20);
  EXPECT_EQ(found[0].evidence(0).sequence(), 1u);
  EXPECT_EQ(found[0].evidence(9).sequence(), 10u);
  EXPECT_EQ(found[0].evidence(19).sequence(), 50u);
  world.history.Wait(23 * kHour).Uses(1, foreign);
  EXPECT_EQ(world.Of("foreign_host").size(), 1u);
  world.history.Wait(25 * kHour).Uses(1, foreign);
  EXPECT_EQ(world.Of("foreign_host").size(), 2u);
}

// The first violation hides none of those after it.
TEST(Engine, ANewValueIsToldAgain) {
  for (const bool policy : {true, false}) {
    World world(policy ? "rules:\n  - id: api\n    match: {}\n    allow: {hosts: [api.*]}\n" : "");
    const char* const rule = policy ? "policy_violation" : "foreign_host";
    const auto send = [&](const std::string& host, int uses = 1) {
      world.history.Uses(uses, With([&](Call& c) {
                           c.host = host;
                           c.traits = v1::USE_TRAIT_FOREIGN_HOST;
                         }));
      const std::vector<v1::Finding> found = world.Of(rule);
      EXPECT_EQ(found.size(), 1u);
      return found.empty() ? v1::Finding() : found[0];
    };
    EXPECT_EQ(send("one.example.net", 3).revision(), 1u);
    EXPECT_EQ(send("two.example.net").revision(), 2u);
    const v1::Finding third = send("three.example.net");
    EXPECT_EQ(third.revision(), 3u);
    EXPECT_EQ(third.value(), "three.example.net");
    EXPECT_EQ(
        std::vector<std::string>(third.values().begin(), third.values().end()),
        (std::vector<std::string>{"one.example.net", "two.example.net", "three.example.net"}));
    EXPECT_TRUE(third.title().starts_with("three.example.net and 2 more: ")) << third.title();
    EXPECT_NE(third.observed().find("before it two.example.net, one.example.net"),
              std::string::npos)
        << third.observed();
    // What is known is told once.
    EXPECT_EQ(send("one.example.net").revision(), 3u);
    // An hour's bound; what it kept back is told when the hour is over.
    for (int i = 0; i < 50; ++i) send(absl::StrCat(i, ".example.net"));
    v1::Finding many = send("last.example.net");
    EXPECT_EQ(many.revision(), 7u);
    EXPECT_EQ(many.values_size(), 20);
    EXPECT_EQ(many.value(), "last.example.net");
    world.history.Wait(2 * kHour);
    EXPECT_EQ(world.Of(rule)[0].revision(), 8u);
    EXPECT_EQ(send("next.example.net").revision(), 9u);
  }
}

// Whoever has something to hide cannot push it out of what is told, at once or by and by.
TEST(Engine, EveryValueIsTold) {
  for (const bool at_once : {true, false}) {
    World world;
    std::set<std::string> sent, told;
    for (int i = 0; i < 90; ++i) {
      const std::string host = absl::StrCat("h", i, ".example.net");
      sent.insert(host);
      world.history.Uses(1, With([&](Call& c) {
                           c.host = host;
                           c.traits = v1::USE_TRAIT_FOREIGN_HOST;
                         }));
      if (!at_once) world.Run();
    }
    world.history.Wait(2 * kHour);
    std::set<uint64_t> revisions;
    for (const v1::Finding& finding : world.told()) {
      if (finding.rule() != "foreign_host") continue;
      EXPECT_TRUE(revisions.insert(finding.revision()).second) << finding.revision();
      told.insert(finding.values().begin(), finding.values().end());
    }
    EXPECT_EQ(told, sent);
    EXPECT_LE(revisions.size(), 12u);
  }
}

// A backlog's hours and the present one come side by side.
TEST(Engine, FoldsInEachHourThatComes) {
  World world;
  for (int i = 0; i < 200; ++i) {
    world.history.Uses(1, With([i](Call& c) {
                         c.token = absl::StrCat("t", i);
                         c.host = "evil.example";
                         c.traits = v1::USE_TRAIT_FOREIGN_HOST;
                       }));
    world.history.Wait(i % 2 == 0 ? kHour : -kHour);
  }
  EXPECT_EQ(world.Of("foreign_host").size(), 41u);
}

TEST(Engine, EveryScopeThatIsAddedIsTold) {
  World world;
  world.history.Uses(3, Call());
  world.Tell(Call(), "scope", "repo");
  world.history.Wait(kHour).Uses(1, Call());
  world.Tell(Call(), "scope", "repo");
  for (const char* scope : {"admin:org", "delete_repo"}) world.Tell(Call(), "scope", scope);
  const std::vector<v1::Finding> found = world.Of("scope_change");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].revision(), 2u);
  EXPECT_EQ(found[0].values_size(), 2);
}

TEST(Engine, WhatLastsIsOneFinding) {
  World world;
  const Call clear = Traits(v1::USE_TRAIT_CLEARTEXT);
  for (int week = 0; week < 4; ++week) world.history.Uses(1, clear).Wait(7 * kDay);
  const std::vector<v1::Finding> found = world.Of("cleartext");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].uses(), 4u);
}

TEST(Engine, FoldsWhatManyTokensOfOneServiceDo) {
  World world;
  for (int i = 0; i < 100; ++i) {
    world.history.Uses(1, With([i](Call& c) { c.token = absl::StrCat("t", i); },
                               Traits(v1::USE_TRAIT_FOREIGN_HOST)));
  }
  const std::vector<v1::Finding> found = world.Of("foreign_host");
  EXPECT_EQ(found.size(), 21u);
  uint64_t uses = 0, most = 0;
  for (const v1::Finding& finding : found) {
    uses += finding.uses();
    most = std::max(most, finding.uses());
  }
  EXPECT_EQ(uses, 100u);
  EXPECT_EQ(most, 80u);
}

TEST(Engine, ASuppressionHoldsUntilItsEnd) {
  World world(
      "suppressions:\n  - rule: foreign_*\n    match: {host: api.github.com}\n"
      "    until: 2026-03-03\n    reason: OPS-42\n");
  const Call foreign = Traits(v1::USE_TRAIT_FOREIGN_HOST);
  world.history.Uses(2, foreign);
  std::vector<v1::Finding> found = world.Of("foreign_host");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].state(), "suppressed");
  EXPECT_EQ(found[0].suppressed_by(), "OPS-42 (policy.yaml:2)");
  world.history.Wait(3 * kDay).Uses(1, foreign);
  found = world.Of("foreign_host");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_NE(found[0].state(), found[1].state());
}

TEST(Engine, ASuppressionSilencesNobodyElse) {
  const Call covered =
      With([](Call& c) { c.host = "proxy.corp.example"; }, Traits(v1::USE_TRAIT_FOREIGN_HOST));
  const Call other = Traits(v1::USE_TRAIT_FOREIGN_HOST);
  for (const bool covered_first : {true, false}) {
    World world(
        "suppressions:\n  - rule: foreign_*\n    match: {host: proxy.corp.example}\n"
        "    until: 2027-03-03\n    reason: OPS-43\n");
    world.history.Uses(1, covered_first ? covered : other);
    world.history.Uses(5, covered_first ? other : covered);
    std::map<std::string, uint64_t> uses;
    for (const v1::Finding& finding : world.Of("foreign_host")) {
      uses[finding.state()] += finding.uses();
    }
    const uint64_t suppressed = covered_first ? 1 : 5;
    EXPECT_EQ(uses, (std::map<std::string, uint64_t>{{"open", 6 - suppressed},
                                                     {"suppressed", suppressed}}));
  }
}

TEST(Engine, AHolidayIsNotMissedOnTheDayAfter) {
  World world;
  std::vector<Call> calls;
  for (int i = 0; i < 30; ++i) {
    calls.push_back(With([i](Call& c) {
      c.token = absl::StrCat("t", i);
      c.unit = absl::StrCat(std::string(1, static_cast<char>('a' + i % 26)), i < 26 ? "x" : "y",
                            ".service");
    }));
  }
  const Hours24 office = {.from = 9, .to = 17, .uses = 10};
  world.history.Days(10, calls, office).Wait(kDay + 9 * kHour);
  // Three come later than the others.
  for (int hour = 9; hour < 12; ++hour) {
    for (int i = 0; i < 27; ++i) world.history.Uses(10, calls[static_cast<size_t>(i)]);
    world.history.Wait(kHour - 270 * kSecond);
  }
  EXPECT_TRUE(world.Of("volume_drop").empty());
}

TEST(Engine, ATokenUnderTwoFleetKeysIsOne) {
  World world;
  Usual(world, 10);
  world.history.Days(2, With([](Call& c) {
                       c.token = "new";
                       c.older_token = "one";
                     }));
  const Call rotated = With([](Call& c) { c.token = "new"; });
  world.history.Days(2, rotated);
  world.history.Uses(1, With([](Call& c) { c.user_agent = "curl/8.5.0"; }, rotated));
  EXPECT_EQ(world.AllRules(), (std::set<std::string>{"new_user_agent"}));
  EXPECT_NEAR(world.Of("new_user_agent")[0].history_days(), 14, 0.01);
}

TEST(Engine, ATokenThatItsServerTakesNoMore) {
  World world;
  Usual(world, 10);
  world.history.Uses(30, With([](Call& c) { c.status = 401; }), kMinute);
  EXPECT_EQ(world.Of("revoked_used").size(), 1u);
  // Now and then accepted: it is none.
  World other;
  Usual(other, 10);
  for (int i = 0; i < 10; ++i) {
    other.history.Uses(3, With([](Call& c) { c.status = 401; }), kMinute).Uses(1, Call());
  }
  EXPECT_TRUE(other.Of("revoked_used").empty());
}

}  // namespace
}  // namespace tokenwatch::testing
