#include "agent/token/formats/format_pattern.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tokenwatch {
namespace {

constexpr size_t kUnbounded = PatternFacts::kUnbounded;

TEST(AnalysePatternTest, ReadsLengthsAndLiterals) {
  const struct {
    std::string_view pattern;
    size_t min, max, at;
    std::vector<std::string> anchors;
    size_t literals;
  } cases[] = {
      {"", 0, 0, 0, {}, 0},
      {"abc", 3, 3, 0, {"abc"}, 3},
      {"abc_[0-9]{4}", 8, 8, 0, {"abc_"}, 4},
      {"abc_[0-9]{4,9}", 8, 13, 0, {"abc_"}, 4},
      {"abc_[0-9]+", 5, kUnbounded, 0, {"abc_"}, 4},
      {"abc_[0-9]{4,}", 8, kUnbounded, 0, {"abc_"}, 4},
      {"[0-9]{14}\\.marker\\.[0-9]*", 22, kUnbounded, 14, {".marker."}, 8},
      {"ab[0-9]{20}MARKER[0-9]{20}", 48, 48, 22, {"MARKER"}, 8},
      // A beginning of four is enough; one behind a run of unknown length is at no place.
      {"abcd[0-9]{20}MARKER", 30, 30, 0, {"abcd"}, 10},
      {"[0-9]+MARKER", 7, kUnbounded, 0, {}, 6},
      {"(?:AKIA|ASIA)[A-Z]{16}", 20, 20, 0, {"AKIA", "ASIA"}, 4},
      {"x(?P<public>ab[0-9]{2})cd", 7, 7, 0, {"xab"}, 5},
      {"(?:a|bc)[0-9]", 2, 3, 0, {}, 0},
      {"(?:live|test)_(?:a|b)[0-9]", 7, 7, 0, {"live_a", "live_b", "test_a", "test_b"}, 6},
      {"abc?", 2, 3, 0, {"ab"}, 2},
      {"a{3}b", 4, 4, 0, {"aaab"}, 4},
      {"(?:ab){2}", 4, 4, 0, {"abab"}, 4},
      {"(?:ab)*", 0, kUnbounded, 0, {}, 0},
      {"[]a]b", 2, 2, 1, {"b"}, 1},
      {"[^]a]b", 2, 2, 1, {"b"}, 1},
      {"[[:alnum:]]{3}-", 4, 4, 3, {"-"}, 1},
      {"\\d\\w\\.", 3, 3, 2, {"."}, 1},
      {"a|b", 1, 1, 0, {"a", "b"}, 1},
  };
  for (const auto& [pattern, min, max, at, anchors, literals] : cases) {
    const absl::StatusOr<PatternFacts> facts = AnalysePattern(pattern);
    ASSERT_TRUE(facts.ok()) << pattern << ": " << facts.status();
    EXPECT_EQ(facts->min_length, min) << pattern;
    EXPECT_EQ(facts->max_length, max) << pattern;
    EXPECT_EQ(facts->anchors, anchors) << pattern;
    if (!anchors.empty()) {
      EXPECT_EQ(facts->anchor_at, at) << pattern;
    }
    EXPECT_EQ(facts->literals, literals) << pattern;
  }
}

TEST(AnalysePatternTest, CountsWhatStaysHidden) {
  const struct {
    std::string_view pattern;
    bool has_public;
    size_t hidden;
  } cases[] = {
      {"abc_[0-9]{4}", false, 4},
      {"abc_[0-9]{4,9}\\d.", false, 6},
      {"abc_[0-9]*", false, 0},
      {"(?P<public>abc_[0-9]{4})", true, 0},
      {"abc_(?P<public>[0-9]{4})_[0-9]{5}", true, 5},
      {"(?:live|test)_(?P<public>[0-9]{4}(?:[a-z]{3}))", true, 0},
      {"(?P<publication>[0-9]{4})", false, 4},
      {"(?:[0-9]{3}x){2}", false, 6},
      {"(?:[0-9]{8}|(?P<public>[0-9]{8}))", true, 0},
      {"(?:[0-9]{8}|[a-z]{5}y{3})", false, 5},
  };
  for (const auto& [pattern, has_public, hidden] : cases) {
    const absl::StatusOr<PatternFacts> facts = AnalysePattern(pattern);
    ASSERT_TRUE(facts.ok()) << pattern << ": " << facts.status();
    EXPECT_EQ(facts->has_public, has_public) << pattern;
    EXPECT_EQ(facts->hidden, hidden) << pattern;
  }
}

TEST(AnalysePatternTest, RefusesWhatItDoesNotUnderstand) {
  for (const char* pattern : {"^a",      "a$",
                              "(a",      "a)",
                              "[a",      "a{2",
                              "a{x}",    "a{3,2}",
                              "a{1001}", "a{99999}",
                              "*a",      "a**",
                              "a+*",     "(?i)a",
                              "(?=a)",   "(?<n>a)",
                              "(?Pn>a)", "\\1",
                              "\\b",     "\\pN",
                              "\\",      "a\n",
                              "\xff",    "{2}",
                              "]",       "((((((((((((((((((a))))))))))))))))))"}) {
    const absl::StatusOr<PatternFacts> facts = AnalysePattern(pattern);
    EXPECT_FALSE(facts.ok()) << pattern;
  }
}

}  // namespace
}  // namespace tokenwatch
