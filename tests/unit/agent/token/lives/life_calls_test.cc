#include "agent/token/lives/life_calls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "agent/token/lives/body_text.h"

namespace tokenwatch {
namespace {

TEST(LifeCalls, EveryRowKnowsItsSample) {
  std::set<std::string_view> ids;
  for (const LifeCallRow& row : LifeCalls()) {
    SCOPED_TRACE(row.id);
    EXPECT_TRUE(ids.insert(row.id).second);
    const std::string_view method = row.method.empty() ? "POST" : row.method;
    const auto find = [](std::string_view method, std::string_view host, std::string_view target) {
      const size_t question = std::min(target.find('?'), target.size());
      return FindLifeCall(method, host, target.substr(0, question),
                          target.substr(std::min(question + 1, target.size())));
    };
    const std::string_view target = row.sample_target;
    const std::string_view path = target.substr(0, target.find('?'));
    const std::string_view query = target.substr(path.size());
    EXPECT_TRUE(MayBeLifeCall(path));
    EXPECT_EQ(find(method, row.sample_host, target), &row);
    EXPECT_NE(find(method, row.sample_host, row.near_miss), &row);
    EXPECT_NE(find(method, row.sample_host, std::string(path) + "/x" + std::string(query)), &row);
    EXPECT_EQ(find("OPTIONS", row.sample_host, target) == &row, row.method.empty());
    EXPECT_EQ(find(method, "other.example", target) == &row, row.host.empty());
    EXPECT_EQ(find(method, row.sample_host, path) == &row, row.needs_query.empty());

    // Every secret of its sample is where the row says.
    const auto count = [](std::string_view text, std::string_view mark) {
      size_t marks = 0;
      for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + 1)) ++marks;
      return marks;
    };
    const auto found = [](std::string_view body, std::string_view mark, auto&& fields) {
      std::vector<BodyMember> members;
      fields(&members);
      SecretBuffer copy(body);
      ReadBody(&copy, true, absl::MakeSpan(members));
      size_t marks = 0;
      for (const BodyMember& member : members) marks += member.text.view() == mark ? 1 : 0;
      return marks;
    };
    // Marks that are no markup of their own.
    std::string asked(row.sample_asked), given(row.sample_given);
    for (std::string* body : {&asked, &given}) {
      for (const std::string mark : {"<S>", "<T>"}) {
        for (size_t at; (at = body->find(mark)) != body->npos;) {
          body->replace(at, mark.size(), mark == "<S>" ? "S-secret" : "T-secret");
        }
      }
    }
    EXPECT_EQ(found(asked, "S-secret",
                    [&](std::vector<BodyMember>* members) {
                      for (const AskedField& field : row.asked) {
                        if (field.name.empty()) continue;
                        EXPECT_TRUE(field.carrier.starts_with("body/"));
                        members->push_back({.outer = "", .name = field.name});
                      }
                    }),
              count(asked, "S-secret"));
    if (row.gives_text) {
      EXPECT_EQ(given, "T-secret");
    } else {
      EXPECT_EQ(found(given, "T-secret",
                      [&](std::vector<BodyMember>* members) {
                        for (const GivenField& field : row.given) {
                          if (field.name.empty()) continue;
                          members->push_back({.outer = field.outer, .name = field.name});
                        }
                      }),
                count(given, "T-secret"));
    }
  }
}

TEST(LifeCalls, SpellingsOfAPath) {
  for (const char* path : {"/oauth/token/", "/oauth/%74oken", "/oauth/token//", "/as/token.oauth2",
                           "/oauth/v2/accessToken", "/oauth/access_token", "/login/oauth2/token"}) {
    EXPECT_TRUE(MayBeLifeCall(path)) << path;
    EXPECT_NE(FindLifeCall("POST", "login.example", path), nullptr) << path;
  }
  EXPECT_EQ(FindLifeCall("GET", "api.example", "/pages/token"), nullptr);
  EXPECT_EQ(FindLifeCall("GET", "api.example", "/pages/token", "service_x=1"), nullptr);
}

TEST(LifeCalls, OrdinaryPathsAreNone) {
  for (const char* path : {"/", "", "/v1/models", "/api/token/refresh-later", "/tokens/7", "//",
                           "/repos/a/b/issues/7", "/oauth2/authorize"}) {
    EXPECT_EQ(FindLifeCall("POST", "api.example", path), nullptr) << path;
  }
}

}  // namespace
}  // namespace tokenwatch
