#include "agent/token/paths/path_shapes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/token/formats/host_pattern.h"

namespace tokenwatch {
namespace {

struct Place {
  std::string_view host, path;
};

Place PlaceOf(std::string_view url) {
  url.remove_prefix(url.find("//") + 2);
  const size_t slash = url.find('/');
  return {url.substr(0, slash), url.substr(slash)};
}

TEST(PathShapes, EveryRowMatchesItsSamplesOnly) {
  for (size_t i = 0; i < PathShapes().size(); ++i) {
    const PathShapeRow& row = PathShapes()[i];
    SCOPED_TRACE(absl::StrCat(std::string(row.host), std::string(row.shape)));
    ASSERT_FALSE(row.samples[0].empty());
    ASSERT_FALSE(row.near_misses[0].empty());
    for (const std::string_view sample : row.samples) {
      if (sample.empty()) continue;
      const size_t arrow = sample.find(" => ");
      ASSERT_NE(arrow, std::string_view::npos) << sample;
      const std::string_view wanted = sample.substr(arrow + 4);
      const Place place = PlaceOf(sample.substr(0, arrow));
      const uint16_t alone[] = {static_cast<uint16_t>(i)};
      // By itself, and no row before it takes the sample away.
      const auto rows = PathShapesOf(place.host);
      ASSERT_NE(std::find(rows.begin(), rows.end(), i), rows.end()) << sample;
      const auto by_row = ShapePath(alone, place.path);
      ASSERT_TRUE(by_row.has_value()) << sample;
      EXPECT_EQ(by_row->path, wanted);
      const auto by_all = ShapePath(rows, place.path);
      ASSERT_TRUE(by_all.has_value()) << sample;
      EXPECT_EQ(by_all->path, wanted);
      // A template is not changed by being shaped again.
      const auto again = ShapePath(rows, wanted);
      if (again.has_value()) {
        EXPECT_EQ(again->path, wanted);
      }
    }
    for (const std::string_view miss : row.near_misses) {
      if (miss.empty()) continue;
      const Place place = PlaceOf(miss);
      const auto rows = PathShapesOf(place.host);
      if (std::find(rows.begin(), rows.end(), i) == rows.end()) continue;
      const uint16_t alone[] = {static_cast<uint16_t>(i)};
      EXPECT_FALSE(ShapePath(alone, place.path).has_value()) << miss;
    }
  }
}

TEST(PathShapes, EveryRowIsWellFormed) {
  for (const PathShapeRow& row : PathShapes()) {
    SCOPED_TRACE(row.shape);
    EXPECT_TRUE(row.shape.starts_with('/'));
    if (!row.host.empty() && !row.host.ends_with('.')) {
      EXPECT_TRUE(CheckHostPattern(row.host).ok()) << row.host;
    }
    const size_t many = row.shape.find("...}");
    const size_t rest = row.shape.find("**");
    if (many != std::string_view::npos) {
      EXPECT_EQ(row.shape.find("...}", many + 1), std::string_view::npos);
      EXPECT_EQ(rest, std::string_view::npos);
    }
    if (rest != std::string_view::npos) {
      EXPECT_EQ(rest + 2, row.shape.size());
    }
  }
}

TEST(PathShapes, OrdinaryPathsHaveNoShape) {
  const auto rows = PathShapesOf("api.example");
  for (const std::string_view path :
       {"", "*", "/", "/v1/items/{id}", "/v1/users/{id}/repos", "/tokenwatch.v1.Query/ListUses",
        "/v1/items/{id}/x7", "/bodies/small", "/v2/", "/v2", "/api/v1/users/bob", "/apis",
        "/v1/blobs/{hex}", "//", "/api/v1//", "/oauth/token", "/users/bob/repos/{id}"}) {
    EXPECT_FALSE(ShapePath(rows, path).has_value()) << path;
  }
}

TEST(PathShapes, SaysWhereAVocabularyIs) {
  const auto slack = ShapePath(PathShapesOf("slack.com"), "/api/auth.test");
  ASSERT_TRUE(slack.has_value());
  EXPECT_EQ(slack->vocabulary, 1u);
  const auto github = ShapePath(PathShapesOf("api.github.com"), "/repos/a/b");
  ASSERT_TRUE(github.has_value());
  EXPECT_EQ(github->vocabulary, std::string_view::npos);
}

TEST(PathShapes, ASecretStays) {
  const auto shaped = ShapePath(PathShapesOf("r.example"), "/v2/a/{secret}/b/tags/list");
  ASSERT_TRUE(shaped.has_value());
  EXPECT_EQ(shaped->path, "/v2/{secret}/tags/list");
}

}  // namespace
}  // namespace tokenwatch
