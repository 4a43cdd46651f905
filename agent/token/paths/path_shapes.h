// Paths of well-known APIs, with names for what identifies something in them.
#ifndef TOKENWATCH_AGENT_TOKEN_PATHS_PATH_SHAPES_H_
#define TOKENWATCH_AGENT_TOKEN_PATHS_PATH_SHAPES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace tokenwatch {

// A shape is a path whose segments are
//
//   word       this word
//   {name}     any segment, shown as {name}; with text before or behind it, as in "@{scope}", only
//              what begins or ends so
//   {name:}    likewise, and a ":verb" at its end stays
//   {name...}  one or more segments, shown as {name}; at most one in a shape, none with "**"
//   *          any segment, shown as it is
//   v#         a version such as v1 or v2beta1
//   @group     an API group of Kubernetes: with a dot, or one of the few without
//   <name>     a word of the API's own vocabulary: the learner lets many of them stand
//   **         at the end: whatever follows, also nothing
//
// {secret} stays where a named segment has it.
struct PathShapeRow {
  // As host_pattern.h has it. Empty: any host. With a dot at its end: the first label of the host.
  std::string_view host;
  std::string_view shape;
  std::array<std::string_view, 3> samples;  // "URL => template"; of any host "https://h.example"
  std::array<std::string_view, 3> near_misses;  // URLs that this row does not match
};

absl::Span<const PathShapeRow> PathShapes();

// The rows for a host, which is in lower case and without a port, in the order of the table.
std::vector<uint16_t> PathShapesOf(std::string_view host);

struct ShapedPath {
  std::string path;
  // Ordinal of the segment that is a <name>, the first being 0.
  size_t vocabulary = std::string_view::npos;
  // A bit for each of the first 64 segments of `path` that is a word of the table, or a version of
  // two digits at most.
  uint64_t words = 0;
};

// `path` is a template as PathTemplate makes it. The first of `rows` that matches decides. Linear
// in the path for each row.
std::optional<ShapedPath> ShapePath(absl::Span<const uint16_t> rows, std::string_view path);

// The segments of a path that begins with '/', without that.
std::vector<std::string_view> PathSegments(std::string_view path);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_PATHS_PATH_SHAPES_H_
