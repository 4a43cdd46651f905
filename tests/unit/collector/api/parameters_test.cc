#include "collector/api/parameters.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

using Given = std::vector<std::pair<std::string, std::string>>;

TEST(ParametersTest, EveryFieldOfTheRequestIsAParameter) {
  const auto& descriptor = *v1::ListRequest::descriptor();
  ASSERT_EQ(static_cast<int>(ListParameters().size()), descriptor.field_count());
  for (int i = 0; i < descriptor.field_count(); ++i) {
    EXPECT_EQ(ListParameters()[i].field, descriptor.field(i)->name());
    EXPECT_NE(std::string(ListParameters()[i].help), "");
  }
}

TEST(ParametersTest, ReadsThemAll) {
  const absl::StatusOr<v1::ListRequest> request =
      ReadParameters(ListParameters(), {{"since", "24h"},
                                        {"until", "1h"},
                                        {"token", "tok_x"},
                                        {"host", "h"},
                                        {"provider", "p"},
                                        {"workload", "w"},
                                        {"endpoint", "GET h/*"},
                                        {"status", "4xx"},
                                        {"limit", "7"},
                                        {"pageToken", "t"},
                                        {"direction", "inbound"},
                                        {"coverage", "true"}});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->ShortDebugString(),
            "since: \"24h\" until: \"1h\" token: \"tok_x\" host: \"h\" provider: \"p\" workload: "
            "\"w\" endpoint: \"GET h/*\" status: \"4xx\" limit: 7 page_token: \"t\" "
            "direction: \"inbound\" coverage: true");
  EXPECT_FALSE(ReadParameters(ListParameters(), {{"coverage", "false"}})->coverage());
  EXPECT_FALSE(ReadParameters(ListParameters(), {{"coverage", ""}})->coverage());
}

TEST(ParametersTest, PageSizeIsTheLimit) {
  const absl::StatusOr<v1::ListRequest> request =
      ReadParameters(ListParameters(), {{"pageSize", "9"}, {"since", ""}});
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->limit(), 9U);
}

TEST(ParametersTest, RefusesTheRest) {
  const std::vector<Parameter> few = ParametersOf({"host", "limit"});
  const std::pair<Given, std::string> rows[] = {
      {{{"colour", "red"}}, "unknown parameter 'colour'; there are host, limit"},
      {{{"since", "1h"}}, "unknown parameter 'since'; there are host, limit"},
      {{{"page_token", "x"}}, "unknown parameter 'page_token'; there are host, limit"},
      {{{"\x1b[2J", ""}}, "unknown parameter '\\x1b[2J'; there are host, limit"},
      {{{"host", "a"}, {"host", "a"}}, "parameter 'host' is given twice"},
      {{{"limit", "1"}, {"pageSize", "1"}}, "parameter 'limit' is given twice"},
      {{{"limit", "many"}}, "parameter 'limit' must be a number"},
      {{{"coverage", "yes"}}, "unknown parameter 'coverage'; there are host, limit"},
      {{{"limit", "-1"}}, "parameter 'limit' must be a number"},
      {{{"limit", "4294967296"}}, "parameter 'limit' must be a number"},
  };
  for (const auto& [given, message] : rows) {
    const absl::StatusOr<v1::ListRequest> request = ReadParameters(few, given);
    EXPECT_EQ(request.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(request.status().message(), message);
  }
  for (const char* value : {"yes", "1", "TRUE", "\x1b[2J"}) {
    EXPECT_EQ(ReadParameters(ListParameters(), {{"coverage", value}}).status().message(),
              "parameter 'coverage' must be true or false");
  }
  EXPECT_EQ(ReadParameters({}, {{"a", ""}}).status().message(),
            "unknown parameter 'a'; there are none here");
}

}  // namespace
}  // namespace tokenwatch
