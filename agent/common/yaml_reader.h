// The values of a YAML file whose rows are maps, with every problem told.
#ifndef TOKENWATCH_AGENT_COMMON_YAML_READER_H_
#define TOKENWATCH_AGENT_COMMON_YAML_READER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/common/yaml_tree.h"

namespace tokenwatch {

// Base of the reader of one file. What cannot be taken is refused, which is noted as a problem, and
// reading goes on, so that a file is put right in one go.
class YamlReader {
 public:
  // `name` is the file's and begins each problem.
  explicit YamlReader(std::string name) : name_(std::move(name)) {}

  // "name:line: what", in the order of their lines.
  std::vector<std::string> Problems() const;
  bool has_problems() const { return !problems_.empty(); }

 protected:
  using Entries = std::map<std::string, const YamlNode*>;

  ~YamlReader() = default;

  void Refuse(int line, std::string what) { problems_.emplace(line, std::move(what)); }
  std::string Where(const YamlNode& node) const;

  // Refuses a document without content: a file that is being written is empty for a moment, and is
  // then no order to forget everything. `nothing` is how to write that there is nothing.
  bool RefuseEmpty(const YamlNode& root, std::string_view nothing);
  // The values of a map by key: those that `known` has, with a value, once. `what` names the map.
  Entries Take(const YamlNode& map, std::string_view what, const std::vector<std::string>& known);
  // The rows of a list, at most 10,000.
  const std::vector<YamlNode>& Rows(const YamlNode& list, std::string_view what);
  // Printable ASCII of 1 to `most` bytes; else empty.
  std::string Text(const YamlNode& node, std::string_view key, size_t most);
  // One such text, or a list of 1 to 256, each of at most 512 bytes.
  std::vector<std::string> Texts(const YamlNode& node, std::string_view key);
  // A duration of at least `shortest`, where the row has the key.
  std::optional<absl::Duration> Period(const Entries& row, const std::string& key,
                                       absl::Duration shortest = absl::Minutes(1));
  // A whole number in these bounds, where the row has the key.
  std::optional<uint64_t> Number(const Entries& row, const std::string& key, uint64_t least,
                                 uint64_t most);

 private:
  const std::string name_;
  std::multimap<int, std::string> problems_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_YAML_READER_H_
