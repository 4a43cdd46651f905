#include "agent/common/yaml_reader.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/common/config.h"
#include "agent/common/duration_text.h"

namespace tokenwatch {
namespace {

constexpr size_t kTextMax = 512;
constexpr size_t kListMax = 256;
constexpr size_t kRowsMax = 10'000;

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

// Debian 12's absl takes no std::string_view.
absl::string_view Shown(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::vector<std::string> YamlReader::Problems() const {
  std::vector<std::string> problems;
  for (const auto& [line, what] : problems_) {
    problems.push_back(absl::StrCat(name_, ":", line, ": ", what));
  }
  return problems;
}

std::string YamlReader::Where(const YamlNode& node) const {
  return absl::StrCat(name_, ":", node.line);
}

bool YamlReader::RefuseEmpty(const YamlNode& root, std::string_view nothing) {
  if (root.kind != YamlNode::Kind::kNull) return false;
  Refuse(1,
         absl::StrCat("the file holds nothing, as one that is still being written; where that is "
                      "meant, write '",
                      Shown(nothing), "'"));
  return true;
}

YamlReader::Entries YamlReader::Take(const YamlNode& map, std::string_view what,
                                     const std::vector<std::string>& known) {
  Entries entries;
  if (map.kind != YamlNode::Kind::kMap) {
    Refuse(map.line,
           absl::StrCat("'", Shown(what), "' must be a map of ", absl::StrJoin(known, ", ")));
    return entries;
  }
  for (size_t i = 0; i + 1 < map.children.size(); i += 2) {
    const YamlNode& key = map.children[i];
    const YamlNode& value = map.children[i + 1];
    if (std::find(known.begin(), known.end(), key.text) == known.end()) {
      const std::string nearest = NearestWord(key.text, known);
      Refuse(key.line,
             absl::StrCat("'", Shown(what), "' has no key '", ShownYaml(key.text), "'; ",
                          nearest.empty() ? absl::StrCat("it may have ", absl::StrJoin(known, ", "))
                                          : absl::StrCat("did you mean '", nearest, "'?")));
    } else if (value.kind == YamlNode::Kind::kNull) {
      Refuse(key.line, absl::StrCat("'", key.text, "' has no value: give one or remove the line"));
    } else if (!entries.emplace(key.text, &value).second) {
      Refuse(key.line, absl::StrCat("'", key.text, "' was given already"));
    }
  }
  return entries;
}

const std::vector<YamlNode>& YamlReader::Rows(const YamlNode& list, std::string_view what) {
  static const std::vector<YamlNode> kNone;
  if (list.kind != YamlNode::Kind::kList) {
    Refuse(list.line, absl::StrCat("'", Shown(what), "' must be a list, '- ...'"));
    return kNone;
  }
  if (list.children.size() > kRowsMax) {
    Refuse(list.line, absl::StrCat("more than ", kRowsMax, " rows"));
    return kNone;
  }
  return list.children;
}

std::string YamlReader::Text(const YamlNode& node, std::string_view key, size_t most) {
  if (node.kind == YamlNode::Kind::kScalar && !node.text.empty() && node.text.size() <= most &&
      IsPrintable(node.text)) {
    return node.text;
  }
  Refuse(node.line,
         absl::StrCat("'", Shown(key), "' must be a printable text of at most ", most, " bytes"));
  return "";
}

std::vector<std::string> YamlReader::Texts(const YamlNode& node, std::string_view key) {
  if (node.kind == YamlNode::Kind::kScalar) return {Text(node, key, kTextMax)};
  std::vector<std::string> texts;
  if (node.kind != YamlNode::Kind::kList || node.children.empty() ||
      node.children.size() > kListMax) {
    Refuse(node.line, absl::StrCat("'", Shown(key), "' must be a text or a list of 1 to ", kListMax,
                                   " texts"));
    return texts;
  }
  for (const YamlNode& item : node.children) texts.push_back(Text(item, key, kTextMax));
  return texts;
}

std::optional<absl::Duration> YamlReader::Period(const Entries& row, const std::string& key,
                                                 absl::Duration shortest) {
  const auto found = row.find(key);
  if (found == row.end()) return std::nullopt;
  const YamlNode& node = *found->second;
  const std::optional<absl::Duration> period = ParseDurationText(node.text);
  if (node.kind == YamlNode::Kind::kScalar && period.has_value() && *period >= shortest) {
    return period;
  }
  if (shortest < absl::Minutes(1)) {
    Refuse(node.line, absl::StrCat("'", key, "' takes a time such as 10s or 2m, of ",
                                   DurationText(shortest), " at least"));
  } else {
    Refuse(node.line,
           absl::StrCat("'", key, "' takes a time such as 90d, 12h or 30m, of a minute at least"));
  }
  return std::nullopt;
}

std::optional<uint64_t> YamlReader::Number(const Entries& row, const std::string& key,
                                           uint64_t least, uint64_t most) {
  const auto found = row.find(key);
  if (found == row.end()) return std::nullopt;
  const YamlNode& node = *found->second;
  uint64_t number = 0;
  if (node.kind == YamlNode::Kind::kScalar && absl::SimpleAtoi(node.text, &number) &&
      number >= least && number <= most) {
    return number;
  }
  Refuse(node.line, absl::StrCat("'", key, "' takes a number from ", least, " to ", most));
  return std::nullopt;
}

}  // namespace tokenwatch
