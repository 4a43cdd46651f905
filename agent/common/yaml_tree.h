// YAML as nodes that know their lines: for files with lists of rows, whose errors name the line.
#ifndef TOKENWATCH_AGENT_COMMON_YAML_TREE_H_
#define TOKENWATCH_AGENT_COMMON_YAML_TREE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tokenwatch {

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;                    // from 1
  std::string text;                // of a scalar, as written
  std::vector<YamlNode> children;  // of a map: key, value, key, value
};

struct YamlLimits {
  size_t depth = 8;
  size_t nodes = 200'000;
};

// The one document of `text`; a null node where it is empty. Anchors and aliases are refused, for
// they make much of little. InvalidArgument "name:line: what" where the text is no YAML, holds two
// documents, or is beyond the limits.
absl::StatusOr<YamlNode> ParseYaml(const std::string& text, const std::string& name,
                                   const YamlLimits& limits = {});

// For messages: the beginning of a text, printable.
std::string ShownYaml(std::string_view text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_YAML_TREE_H_
