#include "agent/http/http2_frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tokenwatch {
namespace {

struct Case {
  const char* name;
  uint8_t type;
  uint8_t flags;
  std::string payload;
  std::optional<std::string> fragment;
};

class FragmentTest : public testing::TestWithParam<Case> {};

TEST_P(FragmentTest, WholeAndCutAnywhere) {
  const Case& row = GetParam();
  std::string bytes = {0,
                       0,
                       static_cast<char>(row.payload.size()),
                       static_cast<char>(row.type),
                       static_cast<char>(row.flags),
                       '\x80',
                       0,
                       1,
                       3};
  bytes += row.payload;
  const std::optional<Http2Frame> whole = ParseHttp2Frame({bytes, {}});
  ASSERT_TRUE(whole.has_value());
  EXPECT_FALSE(whole->is_cut);
  EXPECT_EQ(whole->stream, 259) << "the reserved bit is no part of it";
  EXPECT_EQ(HeaderFragment(*whole), row.fragment);

  for (size_t hole = 0; hole < bytes.size(); ++hole) {
    const std::optional<Http2Frame> cut = ParseHttp2Frame({bytes, {&hole, 1}});
    ASSERT_EQ(cut.has_value(), hole >= 9);
    if (!cut.has_value()) continue;
    EXPECT_TRUE(cut->is_cut);
    const std::optional<std::string_view> part = HeaderFragment(*cut);
    if (part.has_value() && row.fragment.has_value()) {
      EXPECT_TRUE(row.fragment->starts_with(*part)) << hole;
    }
  }
  const std::string longer = bytes + "beyond";
  EXPECT_EQ(HeaderFragment(*ParseHttp2Frame({longer, {}})), row.fragment);
}

std::vector<Case> Cases() {
  using std::string;
  const string priority = "\x80gggw";
  return {
      {"Plain", 1, 0x5, "block", "block"},
      {"Empty", 1, 0x5, "", ""},
      {"Padded", 1, 0x8, string("\x3") + "block" + "ppp", "block"},
      {"PaddedByNothing", 1, 0x8, string("\0", 1) + "block", "block"},
      {"AllPadding", 1, 0x8, "\x3ppp", ""},
      {"PaddingPastTheFrame", 1, 0x8, "\x4ppp", std::nullopt},
      {"PaddingWithoutItsLength", 1, 0x8, "", std::nullopt},
      {"Priority", 1, 0x20, priority + "block", "block"},
      {"PriorityTooShort", 1, 0x20, "pri", std::nullopt},
      {"PaddedWithPriority", 1, 0x28, "\x2" + priority + "blockpp", "block"},
      {"PaddingOverPriority", 1, 0x28, "\x5" + priority, std::nullopt},
      {"Promise", 5, 0x4,
       "\x1\x1\x1\x2"
       "block",
       "block"},
      {"PromisePadded", 5, 0xc,
       "\x1\x1\x1\x1\x2"
       "blockp",
       "block"},
      {"PromiseTooShort", 5, 0x4, "abc", std::nullopt},
      {"ContinuationHasNoPadding", 9, 0x2c,
       "\x3"
       "block",
       "\x3"
       "block"},
  };
}
INSTANTIATE_TEST_SUITE_P(Table, FragmentTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tokenwatch
