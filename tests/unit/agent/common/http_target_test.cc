#include "agent/common/http_target.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

TEST(HttpTargetTest, ReadsPathAndParameters) {
  struct Row {
    std::string target, path;
    Parameters parameters;
  };
  const Row rows[] = {
      {"/", "/", {}},
      {"/v1/uses?since=24h&host=a%20b+c", "/v1/uses", {{"since", "24h"}, {"host", "a b c"}}},
      {"/a%2fb+c", "/a/b+c", {}},
      {"/?", "/", {}},
      {"/?&&a&b=&=c&a=1=2", "/", {{"a", ""}, {"b", ""}, {"", "c"}, {"a", "1=2"}}},
      {"/?a=%FF", "/", {{"a", "\xff"}}},
      {"/?%61=%3d%26", "/", {{"a", "=&"}}},
      {"/x#y", "/x", {}},
      {"http://127.0.0.1:1/v1/uses?a=b", "/v1/uses", {{"a", "b"}}},
      {"http://127.0.0.1", "/", {}},
      {"/redirect?to=http://x/y", "/redirect", {{"to", "http://x/y"}}},
  };
  for (const Row& row : rows) {
    const absl::StatusOr<HttpTarget> target = ParseHttpTarget(row.target);
    ASSERT_TRUE(target.ok()) << row.target;
    EXPECT_EQ(target->path, row.path) << row.target;
    EXPECT_EQ(target->parameters, row.parameters) << row.target;
  }
}

TEST(HttpTargetTest, RefusesWhatHasTwoReadings) {
  std::string many = "/?";
  for (int i = 0; i < 65; ++i) many += "a&";
  for (const std::string target :
       {"", "*", "v1", "/%", "/%1", "/%zz", "/%00", "/?a=%0", "/?%g0=1", "/?a=%00", many.c_str()}) {
    EXPECT_EQ(ParseHttpTarget(target).status().code(), absl::StatusCode::kInvalidArgument)
        << target;
  }
}

TEST(HttpTargetTest, EncodedTextReadsBackAsItWas) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  const absl::StatusOr<HttpTarget> target =
      ParseHttpTarget("/" + PercentEncode(all) + "?x=" + PercentEncode(all));
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path, "/" + all);
  EXPECT_EQ(target->parameters, (Parameters{{"x", all}}));
}

}  // namespace
}  // namespace tokenwatch
