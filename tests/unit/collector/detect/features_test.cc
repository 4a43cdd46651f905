#include "collector/detect/features.h"

#include <gtest/gtest.h>

#include "collector/detect/seen_set.h"
#include "collector/detect/week_model.h"

namespace tokenwatch {
namespace {

TEST(Features, DeploymentOf) {
  EXPECT_EQ(DeploymentOf("api-7c9d8f5b66-x2x4z"), "api");
  EXPECT_EQ(DeploymentOf("api-0"), "api");
  EXPECT_EQ(DeploymentOf("api-28391040-bcdfg"), "api");
  EXPECT_EQ(DeploymentOf("node-exporter-x2x4z"), "node-exporter");
  EXPECT_EQ(DeploymentOf("api"), "api");
  EXPECT_EQ(DeploymentOf(""), "");
  EXPECT_EQ(DeploymentOf("0"), "0");
  EXPECT_EQ(DeploymentOf("runner-t3kq59-project-99-concurrent-3-q5ykeqy5"),
            "runner-#-project-#-concurrent-#-#");
  EXPECT_EQ(DeploymentOf("runner-t3kq59-project-99-concurrent-0-fsehjmqc"),
            "runner-#-project-#-concurrent-#-#");
  EXPECT_EQ(DeploymentOf("search-api43"), "search-api43");
}

TEST(Features, ProductNames) {
  EXPECT_EQ(ProductNames("python-requests/2.31.0"), "python-requests");
  EXPECT_EQ(ProductNames("aws-cli/2.1 (Linux; x86) Python/3.9"), "aws-cli Python");
  EXPECT_EQ(ProductNames("a b c d e f"), "a b c d");
  EXPECT_EQ(ProductNames("((("), "");
  EXPECT_EQ(ProductNames(")/1 ok"), ") ok");
}

TEST(Features, WithoutVersions) {
  EXPECT_EQ(WithoutVersions("/opt/billing-1.2.3/run"), "/opt/billing-#/run");
  EXPECT_EQ(WithoutVersions("job-0123456789abcdef"), "job-#");
  EXPECT_EQ(WithoutVersions("deadbeef"), "deadbeef");
  EXPECT_EQ(WithoutVersions(""), "");
}

TEST(Features, NetworkOf) {
  EXPECT_EQ(NetworkOf("10.1.2.3", 16, 48), "10.1.0.0/16");
  EXPECT_EQ(NetworkOf("10.1.2.3", 24, 64), "10.1.2.0/24");
  EXPECT_EQ(NetworkOf("::ffff:10.1.2.3", 16, 48), "10.1.0.0/16");
  EXPECT_EQ(NetworkOf("2001:db8:1:2::3", 16, 48), "2001:db8:1::/48");
  EXPECT_EQ(NetworkOf("no address", 16, 48), "");
}

TEST(SeenSet, IsBoundedAndSaysSo) {
  SeenSet set(3);
  for (Word word = 1; word <= 4; ++word) set.Count(word, static_cast<Hour>(1000 + word), 1);
  EXPECT_EQ(set.size(), 3u);
  EXPECT_FALSE(set.Has(1));
  EXPECT_GT(set.NewPerDay(0, 1100), 1);
  EXPECT_EQ(set.Count(2, 1005, 4'000'000'000, 0).uses, 4'000'000'001);
  EXPECT_EQ(set.Count(2, 1005, 4'000'000'000, 0).uses, 0xffffffff);
}

TEST(WeekModel, ExpectsWhatWas) {
  WeekModel week;
  for (Hour hour = 0; hour < 28 * 24; ++hour) week.Close(hour, hour % 24 == 9 ? 50 : 0, false);
  EXPECT_NEAR(week.Expected(28 * 24 + 9), 50, 1);
  EXPECT_NEAR(week.Expected(28 * 24 + 3), 0, 0.01);
  EXPECT_NEAR(week.Peak(), 50, 5);
  EXPECT_EQ(week.Used(9), 28u);
  EXPECT_GT(week.Regularity(), 0.9);
}

}  // namespace
}  // namespace tokenwatch
