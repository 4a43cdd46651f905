#include "agent/http/head_parser.h"

#include <algorithm>
#include <array>

#include "agent/common/text.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxMethod = 64;
// Fields whose memory is kept between blocks; a block of 64 KiB can have some 20,000.
constexpr size_t kKeptFields = 256;

constexpr std::array<bool, 256> TokenCharacters() {
  std::array<bool, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (const unsigned char c : std::string_view("!#$%&'*+-.^_`|~")) table[c] = true;
  return table;
}
constexpr std::array<bool, 256> kTokenCharacters = TokenCharacters();

bool IsTokenCharacter(unsigned char c) { return kTokenCharacters[c]; }
bool IsDigit(unsigned char c) { return c >= '0' && c <= '9'; }

bool BeginsBlank(std::string_view text) {
  return !text.empty() && (text.front() == ' ' || text.front() == '\t');
}

// One line. `text` is without its end and stops at its first hole.
struct Line {
  std::string_view text;
  size_t size = 0;  // with the LF
  bool is_cut = false;
  bool is_ended = true;  // has its LF
};

Line LineAt(const HeaderBlock& block, size_t at) {
  const size_t end = std::min(block.bytes.find('\n', at), block.bytes.size());
  Line line;
  line.is_ended = end < block.bytes.size();
  line.size = end - at + (line.is_ended ? 1 : 0);
  const auto* const hole = std::lower_bound(block.holes.begin(), block.holes.end(), at);
  line.is_cut = hole != block.holes.end() && *hole <= end;
  line.text = block.bytes.substr(at, (line.is_cut ? *hole : end) - at);
  if (line.text.ends_with('\r')) line.text.remove_suffix(1);
  return line;
}

bool HasFold(std::string_view lines) {
  if (BeginsBlank(lines)) return true;
  for (size_t at = lines.find('\n'); at != std::string_view::npos; at = lines.find('\n', at + 1)) {
    if (BeginsBlank(lines.substr(at + 1))) return true;
  }
  return false;
}

// The digit behind "HTTP/1." at the start of `text`.
std::optional<int> VersionMinor(std::string_view text) {
  if (text.size() < 8 || !text.starts_with("HTTP/1.") || !IsDigit(text[7])) return std::nullopt;
  return text[7] - '0';
}

std::optional<HeaderField> FieldIn(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || BeginsBlank(line)) return std::nullopt;
  const HeaderField field = {TrimBlanks(line.substr(0, colon)), TrimBlanks(line.substr(colon + 1))};
  if (!AllOf(field.name, IsTokenCharacter)) return std::nullopt;
  return field;
}

}  // namespace

std::optional<RequestLine> HeadParser::ParseRequest(const HeaderBlock& block) {
  const StartLine start = Split(block);
  const std::string_view line = start.is_cut ? start.text : TrimBlanks(start.text);
  const size_t method_end = line.find_first_of(" \t");
  if (method_end == std::string_view::npos) return std::nullopt;
  RequestLine request;
  request.method = line.substr(0, method_end);
  if (start.is_cut) {
    const std::string_view rest = TrimBlanks(line.substr(method_end));
    request.target = rest.substr(0, rest.find_first_of(" \t"));
  } else {
    const size_t version_at = line.find_last_of(" \t");
    const std::string_view version = line.substr(version_at + 1);
    const std::optional<int> minor = VersionMinor(version);
    if (!minor.has_value() || version.size() != 8) return std::nullopt;
    request.version_minor = *minor;
    request.target = TrimBlanks(line.substr(method_end, version_at - method_end));
    if (!block.holes.empty()) fields_.push_back(cut_field_);
  }
  if (request.method.size() > kMaxMethod || !AllOf(request.method, IsTokenCharacter) ||
      request.target.empty()) {
    return std::nullopt;
  }
  return request;
}

std::optional<int> HeadParser::ParseResponse(const HeaderBlock& block) {
  const StartLine start = Split(block);
  const std::string_view line = start.text;
  if (!VersionMinor(line).has_value() || !BeginsBlank(line.substr(8))) return std::nullopt;
  const std::string_view rest =
      line.substr(std::min(line.find_first_not_of(" \t", 8), line.size()));
  const std::string_view status = rest.substr(0, 3);
  const bool is_whole = rest.size() == 3 ? !start.is_cut : BeginsBlank(rest.substr(status.size()));
  if (status.size() != 3 || !is_whole || !AllOf(status, IsDigit) || status[0] == '0') {
    return std::nullopt;
  }
  return (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
}

void HeadParser::Clear() {
  rewritten_ = SecretBuffer();
  fields_.clear();
  cut_field_ = {};
  if (fields_.capacity() > kKeptFields) fields_.shrink_to_fit();
}

HeadParser::StartLine HeadParser::Split(const HeaderBlock& block) {
  Clear();
  dropped_lines_ = 0;
  size_t at = 0;
  Line line;
  // RFC 9112, 2.2: blank lines may come before the start line.
  while (line.text.empty() && !line.is_cut && at < block.bytes.size()) {
    line = LineAt(block, at);
    at += line.size;
  }
  if (line.is_cut) return {line.text, true};
  if (!line.is_ended) return {};
  const std::string_view lines = block.bytes.substr(at);
  if (block.holes.empty() && !HasFold(lines)) {
    SplitFields(lines);
    return {line.text, false};
  }
  const size_t whole = Rewrite(block, at);
  SplitFields(rewritten_.view().substr(0, whole));
  cut_field_ = FieldIn(rewritten_.view().substr(whole)).value_or(HeaderField());
  return {line.text, false};
}

size_t HeadParser::Rewrite(const HeaderBlock& block, size_t at) {
  rewritten_.Reserve(block.bytes.size() - at + 1);
  std::vector<std::string_view> parts;  // of one field: its line and those that continue it
  std::vector<std::string_view> cut;    // likewise, of the first that a hole cuts
  bool is_cut = false;
  while (at < block.bytes.size()) {
    const Line line = LineAt(block, at);
    at += line.size;
    if (line.text.empty() && !line.is_cut) break;
    const bool continues = BeginsBlank(line.text) && !parts.empty();
    if (!continues) {
      WriteLine(parts);
      parts.clear();
    }
    if (BeginsBlank(line.text) && !continues) {
      ++dropped_lines_;  // RFC 9112, 2.2; or it continues what is behind a hole
      continue;
    }
    parts.push_back(continues ? TrimBlanks(line.text) : line.text);
    if (line.is_cut || !line.is_ended) {
      if (!is_cut && line.is_cut) {
        cut.swap(parts);
        is_cut = true;
      } else {
        ++dropped_lines_;
      }
      parts.clear();
    }
  }
  WriteLine(parts);
  const size_t whole = rewritten_.size();
  WriteLine(cut);
  return whole;
}

void HeadParser::WriteLine(absl::Span<const std::string_view> parts) {
  if (parts.empty()) return;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) rewritten_.Append(' ');
    rewritten_.Append(parts[i]);
  }
  rewritten_.Append('\n');
}

void HeadParser::SplitFields(std::string_view lines) {
  for (size_t at = 0; at < lines.size();) {
    const Line line = LineAt({lines, {}}, at);
    at += line.size;
    if (line.text.empty() && line.is_ended) break;
    const std::optional<HeaderField> field = line.is_ended ? FieldIn(line.text) : std::nullopt;
    if (field.has_value()) {
      fields_.push_back(*field);
    } else {
      ++dropped_lines_;
    }
  }
}

}  // namespace tokenwatch
