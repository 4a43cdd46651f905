#include "agent/token/carriers.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "agent/token/extract.h"
#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

TEST(Carriers, EveryRowTakesItsSamplesAndLeavesItsNearMisses) {
  std::set<std::string_view> names;
  for (const CarrierRow& row : Carriers()) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(names.insert(row.name).second) << "twice";
    ASSERT_FALSE(row.carries[0].empty());
    ASSERT_FALSE(row.near_misses[0].empty());
    for (const std::string_view sample : row.carries) {
      if (sample.empty()) continue;
      const std::string secret = MadeUp(32);
      Request request = Request::FromSample(Expand(sample, secret, MadeUp(8)));
      const Extraction found = FindCredentials(request.Head());
      ASSERT_EQ(found.credentials.size(), 1u) << sample;
      EXPECT_EQ(found.credentials[0].secret, secret) << sample;
      EXPECT_TRUE(found.credentials[0].carrier.starts_with(row.shown)) << sample;
      EXPECT_FALSE(found.credentials[0].unresolved) << sample;
    }
    for (const std::string_view sample : row.near_misses) {
      if (sample.empty()) continue;
      Request request = Request::FromSample(Expand(sample, MadeUp(32), MadeUp(8)));
      const Extraction found = FindCredentials(request.Head());
      EXPECT_TRUE(found.credentials.empty()) << sample;
    }
  }
}

TEST(Schemes, EveryRowTakesItsSamplesAndLeavesItsNearMisses) {
  std::set<std::string_view> names;
  for (const SchemeRow& row : Schemes()) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(names.insert(row.name).second) << "twice";
    EXPECT_EQ(FindScheme(row.name), &row);
    EXPECT_EQ(row.carries[0].empty(), row.form == SchemeForm::kPerRequest);
    ASSERT_FALSE(row.near_misses[0].empty());
    for (const std::string_view field : {"Authorization", "Proxy-Authorization"}) {
      for (const std::string_view sample : row.carries) {
        if (sample.empty()) continue;
        const std::string secret = MadeUp(32);
        Request request;
        request.fields = {{std::string(field), Expand(sample, secret, MadeUp(8))}};
        const Extraction found = FindCredentials(request.Head());
        ASSERT_EQ(found.credentials.size(), 1u) << sample;
        EXPECT_EQ(found.credentials[0].secret, secret) << sample;
        const bool proxy = field.starts_with("Proxy");
        EXPECT_EQ(found.credentials[0].carrier,
                  (proxy ? "proxy-authorization/" : "authorization/") + std::string(row.name));
        EXPECT_EQ(found.per_request, 0u);
      }
      for (const std::string_view sample : row.near_misses) {
        if (sample.empty()) continue;
        Request request;
        request.fields = {{std::string(field), Expand(sample, MadeUp(32), MadeUp(8))}};
        const Extraction found = FindCredentials(request.Head());
        EXPECT_TRUE(found.credentials.empty()) << sample;
        EXPECT_EQ(found.per_request + found.empty, 1u) << sample;
        if (row.form == SchemeForm::kPerRequest) {
          EXPECT_EQ(found.per_request, 1u) << sample;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tokenwatch
