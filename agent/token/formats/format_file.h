// Rows of token formats as text: agent/token/formats/formats.yaml, built in, and files of the user.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_FILE_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "agent/token/formats/format_pattern.h"
#include "agent/token/formats/formats.h"

namespace tokenwatch {

struct FormatRow {
  Format format;
  PatternFacts shape;
  std::vector<std::string> sent;         // carriers by which it usually travels
  std::vector<std::string> samples;      // templates (sample.h) that match
  std::vector<std::string> near_misses;  // templates that do not
  std::string where;                     // "FILE:LINE"
};

struct FormatFile {
  std::vector<FormatRow> rows;
  std::vector<std::string> refusals;  // "FILE:LINE: reason", one a row that was left out
};

// Reads rows. What is wrong with one row leaves out that row, text that is no list of maps in YAML
// all of them. Anchors, aliases and more than one document are refused, and what is shown of the
// text is bounded. Linear. `name` is the file's name.
FormatFile ParseFormats(const std::string& text, const std::string& name);

// The same of the file at `path`, at most 1 MiB.
FormatFile ReadFormats(const std::string& path);

// Text of agent/token/formats/formats.yaml.
std::string_view BuiltInFormatText();

// Whether the pattern does what the row says: it matches each sample, no near miss, and nothing
// that is ordinary in requests. InvalidArgument names the sample.
absl::Status CheckFormatRow(const FormatRow& row);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_FILE_H_
