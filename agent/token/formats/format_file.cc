#include "agent/token/formats/format_file.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/common/config_file.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/formats/host_pattern.h"
#include "agent/token/formats/own_carriers.h"

namespace tokenwatch {
namespace {

constexpr size_t kDepthMax = 4;
constexpr size_t kNodesMax = 200'000;
constexpr size_t kTextMax = 1024;
constexpr size_t kNameMax = 64;
constexpr size_t kListMax = 64;

// What a shape must have to be recognised wherever it is.
constexpr size_t kLiteralMin = 3;
constexpr size_t kLengthMin = 12;
constexpr size_t kWeakLengthMin = 6;
constexpr size_t kNamedMin = 4;
// What it must have to prove a token where nothing says that there is one. Ids with a prefix, as
// "req_" and letters, are common: four literal characters are enough where the length is fixed or
// longer than such an id, else it takes five.
constexpr size_t kSelfIdentifyingLiterals = 4;
constexpr size_t kSelfIdentifyingLength = 16;
constexpr size_t kLongerThanIds = 60;

std::string Shown(std::string_view text) {
  return absl::CHexEscape(std::string(text.substr(0, 60)));
}

struct Node {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;
  std::string text;
  std::vector<Node> children;  // of a map: key, value, key, value
};

// Builds the nodes of one document, up to bounds. yaml-cpp's own nodes would follow aliases.
class Builder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) Fail(mark, "only one YAML document is allowed in the file");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, anchor, Node::Kind::kNull, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Fail(mark, "aliases are not understood: write the value again");
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                const std::string& value) override {
    Add(mark, anchor, Node::Kind::kScalar, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, anchor, Node::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, anchor, Node::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

  // yaml-cpp counts lines from 0.
  void Fail(const YAML::Mark& mark, std::string what) {
    if (error_.empty()) {
      error_ = std::move(what);
      error_line_ = mark.is_null() ? 1 : mark.line + 1;
    }
  }
  const std::string& error() const { return error_; }
  int error_line() const { return error_line_; }
  Node TakeRoot() { return std::move(root_); }

 private:
  Node* Add(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind,
            const std::string& text) {
    if (anchor != 0) Fail(mark, "anchors are not understood: write the value again");
    if (++nodes_ > kNodesMax) Fail(mark, "the file has too many values");
    if (!error_.empty()) return nullptr;
    Node node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.text = text;
    if (open_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    open_.back()->children.push_back(std::move(node));
    return &open_.back()->children.back();
  }
  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
    Node* const node = Add(mark, anchor, kind, "");
    if (open_.size() == kDepthMax) Fail(mark, "lists and maps are in each other too deeply");
    // A parent's children do not move while one of them is open.
    if (error_.empty()) open_.push_back(node);
  }
  void Close() {
    if (error_.empty()) open_.pop_back();
  }

  Node root_;
  std::vector<Node*> open_;
  std::string error_;
  int error_line_ = 0;
  size_t nodes_ = 0;
  int documents_ = 0;
};

class RowReader {
 public:
  RowReader(const Node& node, const std::string& file) : node_(node), file_(file) {}

  // Nothing where `refusal()` says why.
  std::optional<FormatRow> Read();
  const std::string& refusal() const { return refusal_; }

 private:
  void Refuse(int line, const std::string& what) {
    if (refusal_.empty()) refusal_ = absl::StrCat(file_, ":", line, ": ", what);
  }
  void Key(const std::string& key, const Node& value);
  void Text(const std::string& key, const Node& value, std::string* out);
  void List(const std::string& key, const Node& value, std::vector<std::string>* out);
  void Bool(const std::string& key, const Node& value, bool* out);
  void Length(const Node& value);
  void CheckNames();
  void CheckShape();

  const Node& node_;
  const std::string& file_;
  std::string refusal_;
  FormatRow row_;
  size_t length_min_ = 0;
  size_t length_max_ = kSecretMax;
  bool anywhere_ = true;
  std::set<std::string> seen_;
  int pattern_line_ = 0;
  int hosts_line_ = 0;
};

void RowReader::Text(const std::string& key, const Node& value, std::string* out) {
  if (value.kind != Node::Kind::kScalar || value.text.empty()) {
    return Refuse(value.line, absl::StrCat("'", key, "' must be a text"));
  }
  if (value.text.size() > kTextMax) {
    return Refuse(value.line, absl::StrCat("'", key, "' is longer than ", kTextMax, " bytes"));
  }
  *out = value.text;
}

void RowReader::List(const std::string& key, const Node& value, std::vector<std::string>* out) {
  if (value.kind != Node::Kind::kList || value.children.empty() ||
      value.children.size() > kListMax) {
    return Refuse(value.line,
                  absl::StrCat("'", key, "' must be a list of 1 to ", kListMax, " texts"));
  }
  for (const Node& item : value.children) {
    Text(key, item, &out->emplace_back());
    if (key != "carriers" && key != "sent") continue;
    if (const absl::Status status = CheckCarrier(item.text); !status.ok()) {
      return Refuse(item.line, std::string(status.message()));
    }
  }
}

void RowReader::Bool(const std::string& key, const Node& value, bool* out) {
  if (value.kind == Node::Kind::kScalar && (value.text == "true" || value.text == "false")) {
    *out = value.text == "true";
    return;
  }
  Refuse(value.line, absl::StrCat("'", key, "' must be true or false"));
}

void RowReader::Length(const Node& value) {
  if (value.kind != Node::Kind::kMap) {
    return Refuse(value.line, "'length' must be a map, {min: 20, max: 80}");
  }
  for (size_t i = 0; i + 1 < value.children.size(); i += 2) {
    const Node& key = value.children[i];
    const Node& number = value.children[i + 1];
    size_t* const out = key.text == "min"   ? &length_min_
                        : key.text == "max" ? &length_max_
                                            : nullptr;
    if (out == nullptr) {
      return Refuse(key.line, absl::StrCat("'length' has no key '", Shown(key.text), "'"));
    }
    if (number.kind != Node::Kind::kScalar || !absl::SimpleAtoi(number.text, out) ||
        *out > kSecretMax) {
      return Refuse(number.line, absl::StrCat("'length' takes numbers up to ", kSecretMax));
    }
  }
}

void RowReader::Key(const std::string& key, const Node& value) {
  Format& format = row_.format;
  const struct {
    const char* name;
    std::string* text;
  } texts[] = {{"id", &format.id},
               {"provider", &format.provider},
               {"kind", &format.kind},
               {"pattern", &format.pattern}};
  const struct {
    const char* name;
    std::vector<std::string>* list;
  } lists[] = {{"hosts", &format.hosts},           {"carriers", &format.carriers},
               {"named", &format.named},           {"sent", &row_.sent},
               {"header-has", &format.header_has}, {"claims-have", &format.claims_have},
               {"samples", &row_.samples},         {"near-misses", &row_.near_misses}};
  const struct {
    const char* name;
    bool* flag;
  } flags[] = {
      {"weak", &format.weak}, {"self-hosted", &format.self_hosted}, {"anywhere", &anywhere_}};
  for (const auto& [name, text] : texts) {
    if (key == name) return Text(key, value, text);
  }
  for (const auto& [name, list] : lists) {
    if (key == name) return List(key, value, list);
  }
  for (const auto& [name, flag] : flags) {
    if (key == name) return Bool(key, value, flag);
  }
  if (key == "length") return Length(value);
  if (key == "checksum") {
    const std::optional<ChecksumKind> kind = ChecksumByName(value.text);
    if (!kind.has_value()) return Refuse(value.line, "'checksum' can only be crc32_base62");
    format.checksum = *kind;
    return;
  }
  Refuse(value.line, absl::StrCat("a format has no key '", Shown(key), "'"));
}

bool IsPrintable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

void RowReader::CheckNames() {
  const Format& format = row_.format;
  const bool id_fits = !format.id.empty() && format.id.size() <= kNameMax &&
                       std::all_of(format.id.begin(), format.id.end(), [](unsigned char c) {
                         return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
                       });
  if (!id_fits || format.id == "opaque") {
    return Refuse(node_.line,
                  "'id' must be a name of a-z, 0-9 and '_', and not opaque, which is every token "
                  "that no format fits");
  }
  for (const std::string* name : {&format.provider, &format.kind}) {
    if (name->empty() || name->size() > kNameMax || !IsPrintable(*name)) {
      return Refuse(node_.line,
                    absl::StrCat("'provider' and 'kind' are needed, printable and at most ",
                                 kNameMax, " bytes long"));
    }
  }
  for (const std::string& host : format.hosts) {
    if (const absl::Status status = CheckHostPattern(host); !status.ok()) {
      return Refuse(hosts_line_, absl::StrCat("'hosts': ", status.message()));
    }
  }
  for (const std::string& word : format.named) {
    if (word.size() < kNamedMin || !std::all_of(word.begin(), word.end(), [](unsigned char c) {
          return absl::ascii_islower(c) || absl::ascii_isdigit(c);
        })) {
      return Refuse(node_.line, absl::StrCat("'named' takes words of a-z and 0-9, of at least ",
                                             kNamedMin, " characters"));
    }
  }
  if (!format.named.empty() && !(format.weak && format.self_hosted)) {
    return Refuse(node_.line, "'named' is for a format that is weak and self-hosted");
  }
  if (row_.samples.empty() || row_.near_misses.empty()) {
    Refuse(node_.line,
           "'samples' that match and 'near-misses' that do not are needed, one of each at least");
  }
}

void RowReader::CheckShape() {
  Format& format = row_.format;
  if (format.pattern.empty()) return Refuse(node_.line, "'pattern' is needed");
  absl::StatusOr<PatternFacts> shape = AnalysePattern(format.pattern);
  if (!shape.ok()) return Refuse(pattern_line_, std::string(shape.status().message()));
  row_.shape = *std::move(shape);
  format.min_length = std::max(row_.shape.min_length, length_min_);
  format.max_length = std::min(row_.shape.max_length, length_max_);
  if (format.min_length > format.max_length) {
    return Refuse(pattern_line_, "no secret has a length that both 'pattern' and 'length' allow");
  }
  const bool is_jwt = !format.header_has.empty() || !format.claims_have.empty();
  for (const std::vector<std::string>* texts : {&format.header_has, &format.claims_have}) {
    for (const std::string& text : *texts) row_.shape.literals += text.size();
  }
  if (format.weak) {
    // That of a self-hosted service may get its hosts from `provider-hosts`.
    if (format.hosts.empty() && format.carriers.empty() && !format.self_hosted) {
      return Refuse(node_.line, "a weak format needs 'hosts' or 'carriers' that tell it");
    }
    if (format.min_length < kWeakLengthMin) {
      Refuse(pattern_line_, absl::StrCat("the pattern matches fewer than ", kWeakLengthMin,
                                         " characters; say with 'length' how many it needs"));
    }
    return;
  }
  const size_t anchor = row_.shape.anchors.empty() ? 0 : row_.shape.anchors.front().size();
  if (anchor < kLiteralMin || format.min_length < kLengthMin) {
    return Refuse(
        pattern_line_,
        absl::StrCat("the pattern matches too much: without ", kLiteralMin,
                     " literal characters in a row, at a fixed place, and ", kLengthMin,
                     " characters in all, a format must be weak and have 'hosts' or 'carriers'"));
  }
  const bool exact = format.min_length == format.max_length || format.min_length >= kLongerThanIds;
  const size_t needed = kSelfIdentifyingLiterals + (exact ? 0 : 1);
  format.self_identifying =
      anywhere_ &&
      (is_jwt || (row_.shape.literals >= needed && format.min_length >= kSelfIdentifyingLength));
}

std::optional<FormatRow> RowReader::Read() {
  if (node_.kind != Node::Kind::kMap) {
    Refuse(node_.line, "expected a format, '- id: ...' and its other keys");
    return std::nullopt;
  }
  row_.where = absl::StrCat(file_, ":", node_.line);
  for (size_t i = 0; i + 1 < node_.children.size(); i += 2) {
    const Node& key = node_.children[i];
    const Node& value = node_.children[i + 1];
    const std::string name = absl::StrReplaceAll(key.text, {{"_", "-"}});
    if (!seen_.insert(name).second) {
      Refuse(key.line, absl::StrCat("'", Shown(name), "' was given already"));
    }
    if (name == "pattern") pattern_line_ = key.line;
    if (name == "hosts") hosts_line_ = key.line;
    if (value.kind == Node::Kind::kNull) {
      Refuse(key.line, absl::StrCat("'", Shown(name), "' has no value"));
    }
    Key(name, value);
  }
  if (refusal_.empty()) CheckNames();
  if (refusal_.empty()) CheckShape();
  if (!refusal_.empty()) return std::nullopt;
  if (row_.sent.empty()) row_.sent = row_.format.carriers;
  if (row_.sent.empty()) row_.sent = {"authorization/bearer"};
  return std::move(row_);
}

}  // namespace

FormatFile ParseFormats(const std::string& text, const std::string& name) {
  FormatFile file;
  Builder builder;
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    // No more than two: behind a ',' outside of brackets yaml-cpp 0.7 and 0.8 find documents
    // without end.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& error) {
    builder.Fail(error.mark, absl::StrCat("not valid YAML: ", Shown(error.msg)));
  }
  if (!builder.error().empty()) {
    file.refusals = {absl::StrCat(name, ":", builder.error_line(), ": ", builder.error())};
    return file;
  }
  const Node root = builder.TakeRoot();
  if (root.kind == Node::Kind::kNull) return file;
  if (root.kind != Node::Kind::kList) {
    file.refusals = {
        absl::StrCat(name, ":", root.line, ": expected a list of formats, '- id: ...'")};
    return file;
  }
  for (const Node& node : root.children) {
    RowReader reader(node, name);
    if (std::optional<FormatRow> row = reader.Read()) {
      file.rows.push_back(*std::move(row));
    } else {
      file.refusals.push_back(reader.refusal());
    }
  }
  return file;
}

FormatFile ReadFormats(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadConfigFile(path);
  if (text.ok()) return ParseFormats(*text, path);
  FormatFile file;
  file.refusals = {std::string(text.status().message())};
  return file;
}

}  // namespace tokenwatch
