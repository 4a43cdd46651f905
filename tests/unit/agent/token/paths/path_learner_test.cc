#include "agent/token/paths/path_learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr char kHost[] = "api.example";

uint64_t Counter(const PathLearner& learner, const std::string& name) {
  Counters counters;
  learner.AddCounters(&counters);
  return counters.at(name);
}

// Ranks from 0, the n-th as frequent as 1 / (n + 1)^exponent.
class Zipf {
 public:
  Zipf(size_t ranks, double exponent) {
    double sum = 0;
    for (size_t i = 0; i < ranks; ++i) sums_.push_back(sum += std::pow(i + 1, -exponent));
  }
  template <typename Random>
  size_t operator()(Random& random) const {
    const double at = std::uniform_real_distribution<>(0, sums_.back())(random);
    return std::lower_bound(sums_.begin(), sums_.end(), at) - sums_.begin();
  }

 private:
  std::vector<double> sums_;
};

TEST(PathLearner, FewWordsStay) {
  PathLearner learner;
  for (const std::string path :
       {"/v1/items/{id}", "/v1/items/{id}/detail", "/tokenwatch.v1.Query/ListUses", "/", "", "*",
        "/a//b/", "/bodies/small", "/v1/users/{id}", "/bot{secret}/x", "/services/{secret}",
        "/x-{hex}.json"}) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(learner.Learn(kHost, path), path);
  }
  // What one client asks of one place, each once.
  for (int i = 0; i < 64; ++i) {
    const std::string path = absl::StrCat("/v1/items/{id}/x", i);
    EXPECT_EQ(learner.Learn(kHost, path), path);
  }
  for (int i = 0; i < 20000; ++i) learner.Learn(kHost, "/v1/items/{id}");
  EXPECT_EQ(Counter(learner, "path_positions_variable"), 0u);
  EXPECT_EQ(Counter(learner, "paths_folded"), 0u);
}

TEST(PathLearner, FixedEndpointsStayInAnyOrder) {
  for (const size_t endpoints : {60, 100}) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      PathLearner learner;
      std::mt19937_64 random(seed);
      for (int i = 0; i < 5000; ++i) {
        const std::string path = absl::StrCat("/v1/collection", random() % endpoints, "/{id}");
        ASSERT_EQ(learner.Learn(kHost, path), path) << endpoints << " seed " << seed << " at " << i;
      }
    }
  }
  // One after the other, twice.
  PathLearner learner;
  for (int i = 0; i < 120; ++i) {
    const std::string path = absl::StrCat("/v1/collection", i % 60);
    ASSERT_EQ(learner.Learn(kHost, path), path);
  }
}

TEST(PathLearner, OneOffNamesFold) {
  PathLearner learner;
  for (int i = 0; i < 200; ++i) learner.Learn(kHost, absl::StrCat("/users/name", i, "/repos"));
  EXPECT_EQ(learner.Learn(kHost, "/users/name200/repos"), "/users/{name}/repos");
  // For good, whatever comes; also the words that were known.
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(learner.Learn(kHost, absl::StrCat("/users/name", i % 7, "/repos")),
              "/users/{name}/repos");
  }
  EXPECT_EQ(learner.Learn(kHost, "/users/x/keys/{id}"), "/users/{name}/keys/{id}");
  EXPECT_EQ(learner.Learn(kHost, "/users/{id}/repos"), "/users/{id}/repos");
  EXPECT_EQ(learner.Learn(kHost, "/users"), "/users");
  EXPECT_EQ(learner.Learn("other.example", "/users/name1/repos"), "/users/name1/repos");
  EXPECT_EQ(Counter(learner, "path_positions_variable"), 1u);
}

TEST(PathLearner, UnequallyFrequentNamesFold) {
  const std::vector<std::string> verbs = {"issues", "pulls", "commits", "branches", "tags"};
  for (const double exponent : {0.0, 0.8, 1.0, 1.2}) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      SCOPED_TRACE(absl::StrCat("exponent ", exponent, " seed ", seed));
      PathLearner learner;
      std::mt19937_64 random(seed);
      const Zipf names(10000, exponent);
      std::set<std::string> all, late;
      for (int i = 0; i < 20000; ++i) {
        const size_t name = names(random);
        const std::string path =
            absl::StrCat("/projects/owner", name % 5000, "/repo", name, "/",
                         verbs[random() % verbs.size()], random() % 2 == 0 ? "" : "/{id}");
        const std::string shown = learner.Learn(kHost, path);
        all.insert(shown);
        if (i >= 10000) late.insert(shown);
      }
      // The verbs survive, the names do not.
      EXPECT_EQ(late.size(), 2 * verbs.size());
      for (const std::string& verb : verbs) {
        EXPECT_TRUE(late.contains(absl::StrCat("/projects/{name}/{name}/", verb)));
        EXPECT_TRUE(late.contains(absl::StrCat("/projects/{name}/{name}/", verb, "/{id}")));
      }
      EXPECT_LT(all.size(), 1500u);
    }
  }
}

TEST(PathLearner, AWordOfEveryFourthRequestOutlivesTheNames) {
  PathLearner learner;
  for (int i = 0; i < 1000; ++i) {
    learner.Learn(kHost, absl::StrCat("/users/name", i));
    EXPECT_EQ(learner.Learn(kHost, "/users/search"), "/users/search");
  }
  EXPECT_EQ(learner.Learn(kHost, "/users/name1"), "/users/{name}");
  EXPECT_EQ(learner.Learn(kHost, "/users/seek"), "/users/{name}");
}

TEST(PathLearner, WhatWasBelowNamesIsMerged) {
  PathLearner learner;
  // Two repositories each: too many once they stand at one position.
  for (int i = 0; i <= 200; ++i) {
    learner.Learn(kHost, absl::StrCat("/o/owner", i, "/a", i, "/issues"));
    learner.Learn(kHost, absl::StrCat("/o/owner", i, "/b", i, "/issues"));
  }
  EXPECT_EQ(learner.Learn(kHost, "/o/owner0/a0/issues"), "/o/{name}/{name}/issues");
  EXPECT_EQ(learner.Learn(kHost, "/o/x/y/pulls"), "/o/{name}/{name}/pulls");
  EXPECT_EQ(Counter(learner, "path_positions_variable"), 2u);
}

TEST(PathLearner, AVariablePositionStaysSoWhenItIsMerged) {
  PathLearner learner;
  for (int i = 0; i <= 200; ++i) learner.Learn(kHost, absl::StrCat("/p/hot/n", i));
  ASSERT_EQ(learner.Learn(kHost, "/p/hot/x"), "/p/hot/{name}");
  // Seldom enough a new one, with few words below.
  for (int i = 0; i <= 200; ++i) {
    for (int k = 0; k < 8; ++k) learner.Learn(kHost, absl::StrCat("/p/name", i, "/m", i % 10));
  }
  EXPECT_EQ(learner.Learn(kHost, "/p/hot/x"), "/p/{name}/{name}");
  EXPECT_EQ(learner.Learn(kHost, "/p/name1/m1"), "/p/{name}/{name}");
}

TEST(PathLearner, IsTheSameForTheSameRequests) {
  const auto run = [] {
    PathLearner learner({.hosts = 4, .nodes_per_host = 300, .nodes = 600});
    std::mt19937_64 random(7);
    std::vector<std::string> shown;
    for (int i = 0; i < 20000; ++i) {
      std::string path;
      for (size_t depth = random() % 6; depth > 0; --depth) {
        absl::StrAppend(&path, "/w", random() % (depth % 2 == 0 ? 5 : 400));
      }
      shown.push_back(learner.Learn(absl::StrCat("h", random() % 6), path));
    }
    return shown;
  };
  EXPECT_EQ(run(), run());
}

TEST(PathLearner, AKnownApiHasItsNamesAtOnce) {
  PathLearner learner;
  EXPECT_EQ(learner.Learn("api.github.com", "/repos/octo/hello/issues/{id}"),
            "/repos/{owner}/{repo}/issues/{id}");
  EXPECT_EQ(learner.Learn("api.github.com:8443", "/repos/octo/hello"), "/repos/{owner}/{repo}");
  EXPECT_EQ(learner.Learn("registry.npmjs.org", "/@a/b/latest"), "/@{scope}/{package}/latest");
  // The rest of a shape is learnt.
  for (int i = 0; i < 300; ++i) {
    learner.Learn("api.github.com", absl::StrCat("/repos/o", i, "/r/environments/e", i));
  }
  EXPECT_EQ(learner.Learn("api.github.com", "/repos/o/r/environments/prod"),
            "/repos/{owner}/{repo}/environments/{name}");
  EXPECT_EQ(Counter(learner, "path_positions_variable"), 1u);
}

TEST(PathLearner, AVocabularyIsLarge) {
  PathLearner learner;
  for (size_t i = 0; i < PathLearner::kVocabularyMax; ++i) {
    const std::string path = absl::StrCat("/api/method.", i);
    ASSERT_EQ(learner.Learn("slack.com", path), path);
  }
  EXPECT_EQ(learner.Learn("slack.com", "/api/another"), "/api/{name}");
}

TEST(PathLearner, OperationsFollowThePath) {
  PathLearner learner;
  EXPECT_EQ(learner.Learn(kHost, "/graphql", "GetUser"), "/graphql#GetUser");
  EXPECT_EQ(learner.Learn(kHost, "/graphql"), "/graphql");
  EXPECT_EQ(learner.Learn(kHost, "/", "GetUser"), "/#GetUser");
  for (size_t i = 0; i <= PathLearner::kVocabularyMax; ++i) {
    learner.Learn(kHost, "/graphql", absl::StrCat("Op", i));
  }
  EXPECT_EQ(learner.Learn(kHost, "/graphql", "GetUser"), "/graphql#{name}");
  EXPECT_EQ(learner.Learn(kHost, "/graphql"), "/graphql");
  EXPECT_EQ(learner.Learn(kHost, "/"), "/");
}

// However a client chooses its paths.
TEST(PathLearner, AHostsTemplatesAreBounded) {
  PathLearner learner;
  std::mt19937_64 random(1);
  const std::vector<std::function<std::string(int)>> attacks = {
      [&](int) { return absl::StrCat("/", random(), "x/", random(), "x"); },
      [&](int i) { return absl::StrCat("/a", i % 150, "/b", random() % 190, "/c", random(), "x"); },
      [&](int i) {
        std::string path;
        for (int depth = i % 60; depth >= 0; --depth)
          absl::StrAppend(&path, "/", random() % 9, "x");
        return path;
      },
      [&](int i) { return absl::StrCat("/z/", std::string(i % 500, '/'), random(), "x"); },
      [&](int i) { return absl::StrCat("/q", i % 20, "/", i / 200, "x/", random() % 30, "x"); }};
  for (const auto& attack : attacks) {
    std::set<std::string> early, late;
    for (int i = 0; i < 60000; ++i) {
      (i < 30000 ? early : late).insert(learner.Learn("hostile.example", attack(i)));
    }
    EXPECT_LT(early.size(), 8000u);
    EXPECT_LT(late.size(), 3 * 2048u);
  }
  EXPECT_GT(Counter(learner, "paths_folded"), 0u);
}

TEST(PathLearner, AFullTreeFoldsItsWidePositions) {
  PathLearner learner({.hosts = 4, .nodes_per_host = 40, .nodes = 1000});
  for (int i = 0; i < 39; ++i) learner.Learn(kHost, absl::StrCat("/a/x", i));
  EXPECT_EQ(learner.Learn(kHost, "/b/c"), "/{name}/...");
  EXPECT_EQ(Counter(learner, "paths_folded"), 1u);
  EXPECT_EQ(learner.Learn(kHost, "/a/y"), "/a/{name}");
  EXPECT_EQ(learner.Learn(kHost, "/b/c"), "/b/c");
}

TEST(PathLearner, EndsWhereItIsTooDeep) {
  PathLearner learner;
  std::string deepest;
  for (size_t i = 0; i < PathLearner::kDepthMax; ++i) deepest += "/a";
  EXPECT_EQ(learner.Learn(kHost, deepest), deepest);
  EXPECT_EQ(learner.Learn(kHost, deepest + "/a"), deepest + "/...");
  EXPECT_EQ(learner.Learn(kHost, deepest + "/{id}/b"), deepest + "/...");
  EXPECT_EQ(Counter(learner, "paths_folded"), 2u);
}

TEST(PathLearner, ForgetsTheHostsThatWereAskedForLongestAgo) {
  PathLearner learner(
      {.hosts = 3, .nodes_per_host = 2048, .nodes = 10000, .dormant_hosts = 0, .dormant_nodes = 0});
  const auto teach = [&](const std::string& host) {
    for (int i = 0; i < 300; ++i) learner.Learn(host, absl::StrCat("/u/n", i));
  };
  for (const std::string host : {"a", "b", "c"}) teach(host);
  EXPECT_EQ(learner.Learn("a", "/u/x"), "/u/{name}");
  learner.Learn("d", "/");
  EXPECT_EQ(Counter(learner, "path_hosts_forgotten"), 1u);
  EXPECT_EQ(learner.Learn("a", "/u/x"), "/u/{name}");
  EXPECT_EQ(learner.Learn("c", "/u/x"), "/u/{name}");
  EXPECT_EQ(learner.Learn("b", "/u/x"), "/u/x");
}

TEST(PathLearner, KnowsWhichPositionsOfAForgottenHostAreVariable) {
  PathLearner learner({.dormant_hosts = 3000});
  for (int i = 0; i < 300; ++i) learner.Learn(kHost, absl::StrCat("/u/n", i, "/repos/x"));
  for (int i = 0; i < 2000; ++i) learner.Learn(absl::StrCat("other", i), "/a/b");
  EXPECT_GT(Counter(learner, "path_hosts_forgotten"), 1000u);
  EXPECT_EQ(learner.Learn(kHost, "/u/bob/repos/y"), "/u/{name}/repos/y");
  EXPECT_EQ(learner.Learn(kHost, "/v/bob"), "/v/bob") << "of this position nothing was known";
  // Of those only so many.
  for (int host = 0; host < 4000; ++host) {
    for (int i = 0; i < 201; ++i) learner.Learn(absl::StrCat("h", host), absl::StrCat("/n", i));
  }
  EXPECT_EQ(learner.Learn("h3999", "/x"), "/{name}");
  EXPECT_EQ(learner.Learn("h1500", "/x"), "/{name}");
  EXPECT_EQ(learner.Learn(kHost, "/u/bob/repos/y"), "/u/bob/repos/y");
}

TEST(PathLearner, RandomPathsDoNotHideAKnownApi) {
  PathLearner learner;
  std::mt19937 random(3);
  for (int i = 0; i < 30000; ++i) {
    learner.Learn("api.github.com", absl::StrCat("/x", random(), "/y", random(), "/z", i));
  }
  EXPECT_EQ(learner.Learn("api.github.com", "/repos/acme/shop/issues/{id}"),
            "/repos/{owner}/{repo}/issues/{id}");
  EXPECT_EQ(learner.Learn("api.github.com", "/users/bob"), "/users/{user}");
  EXPECT_EQ(learner.Learn("api.github.com", "/repos"), "/repos");
  // Nor do marks that fill the tree.
  for (int i = 0; i < 30000; ++i) {
    std::string path;
    for (unsigned bits = random(), k = 0; k < 20; ++k) path += bits >> k & 1 ? "/{id}" : "/{hex}";
    learner.Learn("api.github.com", path);
  }
  EXPECT_EQ(learner.Learn("api.github.com", "/orgs/acme"), "/orgs/{org}");
}

TEST(PathLearner, AWordThatComesAgainAndAgainIsKept) {
  PathLearner learner;
  for (int i = 0; i < 300; ++i) learner.Learn(kHost, absl::StrCat("/r", i));
  const std::string path = "/v1/chat/completions";
  EXPECT_EQ(learner.Learn(kHost, path), "/{name}/chat/completions");
  // Every other request is for a word that is never asked for twice.
  for (int i = 0; i < 1200; ++i) {
    learner.Learn(kHost, path);
    EXPECT_EQ(learner.Learn(kHost, absl::StrCat("/s", i)), "/{name}");
  }
  EXPECT_EQ(learner.Learn(kHost, path), path);
  EXPECT_EQ(learner.Learn(kHost, "/v2/chat/completions"), "/{name}/chat/completions");
  // A name of a burst is none.
  for (int i = 0; i < 200; ++i) learner.Learn(kHost, "/bob");
  for (int i = 0; i < 600; ++i) learner.Learn(kHost, absl::StrCat("/t", i));
  EXPECT_EQ(learner.Learn(kHost, "/bob"), "/{name}");
}

TEST(PathLearner, ForgetsHostsForRoomInAll) {
  PathLearner learner({.hosts = 100, .nodes_per_host = 50, .nodes = 100});
  for (int host = 0; host < 10; ++host) {
    for (int i = 0; i < 20; ++i) {
      const std::string path = absl::StrCat("/w", i);
      EXPECT_EQ(learner.Learn(absl::StrCat("h", host), path), path);
    }
  }
  EXPECT_EQ(Counter(learner, "path_hosts_forgotten"), 5u);
  EXPECT_EQ(Counter(learner, "paths_folded"), 0u);
}

// Requests that come again are learnt from as if each were looked up.
TEST(PathLearner, AWayCountsAsTheWholePathDoes) {
  std::mt19937 random(7);
  for (const double exponent : {0.0, 0.8, 1.3}) {
    const Zipf users(400, exponent);
    PathLearner plain({.hosts = 3, .nodes_per_host = 300, .nodes = 500});
    PathLearner quick({.hosts = 3, .nodes_per_host = 300, .nodes = 500});
    struct Known {
      PathLearner::Way way;
      std::string shown;
    };
    std::map<std::pair<std::string, std::string>, Known> known;
    size_t again = 0;
    for (int i = 0; i < 20000; ++i) {
      const std::string host = absl::StrCat("h", random() % 50 == 0 ? random() % 5 : 0, ".example");
      const size_t user = users(random);
      const std::string path = random() % 3 == 0 ? absl::StrCat("/v1/fixed", user % 40, "/{id}")
                                                 : absl::StrCat("/v1/users/u", user, "/keys");
      const std::string expected = plain.Learn(host, path);
      Known& one = known[{host, path}];
      if (quick.LearnAgain(one.way)) {
        ++again;
      } else {
        one.shown = quick.Learn(host, path, {}, &one.way);
      }
      ASSERT_EQ(one.shown, expected) << i;
    }
    EXPECT_GT(again, 5000u);
    EXPECT_EQ(Counter(plain, "path_positions_variable"), Counter(quick, "path_positions_variable"));
    EXPECT_EQ(Counter(plain, "path_hosts_forgotten"), Counter(quick, "path_hosts_forgotten"));
  }
}

}  // namespace
}  // namespace tokenwatch
