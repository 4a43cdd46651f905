#include "agent/containers/pod_labels.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

std::string Join(const std::vector<std::string>& wanted,
                 const std::map<std::string, std::string>& labels, uint64_t dropped = 0) {
  const auto filter = PodLabels::Create(wanted);
  EXPECT_TRUE(filter.ok()) << filter.status();
  uint64_t counted = 0;
  std::string joined = filter->Join(labels, &counted);
  EXPECT_EQ(counted, dropped) << joined;
  return joined;
}

TEST(PodLabels, TellsTheWantedOnes) {
  const std::map<std::string, std::string> labels = {{"app", "web"},
                                                     {"app.kubernetes.io/name", "nginx"},
                                                     {"app.kubernetes.io/part-of", "shop"},
                                                     {"io.kubernetes.pod.uid", "11111111"},
                                                     {"pod-template-hash", "7d9f"},
                                                     {"tier", ""}};
  const struct {
    std::vector<std::string> wanted;
    std::string joined;
  } cases[] = {
      {DefaultPodLabels(), "app=web,app.kubernetes.io/name=nginx,app.kubernetes.io/part-of=shop"},
      {{"none"}, ""},
      {{}, ""},
      {{"app"}, "app=web"},
      {{"tier", "missing"}, "tier="},
      {{"app.kubernetes.io/*"}, "app.kubernetes.io/name=nginx,app.kubernetes.io/part-of=shop"},
      {{"all"},
       "app=web,app.kubernetes.io/name=nginx,app.kubernetes.io/part-of=shop,"
       "pod-template-hash=7d9f,tier="},
      {{"io.kubernetes.pod.uid"}, ""},
  };
  for (const auto& test : cases) EXPECT_EQ(Join(test.wanted, labels), test.joined);
}

TEST(PodLabels, DropsWhatIsNoLabelAndWhatIsTooMuch) {
  EXPECT_EQ(Join({"all"}, {{"a", "b,c=d"}, {"b", "\x1b[31m"}, {"c\n", "x"}, {"d", "ok"}}, 3),
            "d=ok");
  EXPECT_EQ(Join({"all"}, {{"a", std::string(63, 'x')}, {"b", std::string(64, 'x')}}, 1).size(),
            65u);
  std::map<std::string, std::string> many;
  for (int i = 0; i < 100; ++i) many["label" + std::to_string(i)] = "x";
  Join({"all"}, many, 100 - PodLabels::kMaxLabels);
  std::map<std::string, std::string> large;
  for (char c = 'a'; c < 'm'; ++c) large[std::string(200, c)] = "x";
  EXPECT_LE(Join({"all"}, large, 7).size(), PodLabels::kMaxBytes);
}

TEST(PodLabels, RefusesWhatNamesNoLabel) {
  for (const char* bad : {"", "a b", "a=b", "a,b", "*", "a**", "\n"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(PodLabels::Create({bad}).status())) << bad;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(PodLabels::Create({"all", "app"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(PodLabels::Create({"app", "none"}).status()));
}

}  // namespace
}  // namespace tokenwatch
