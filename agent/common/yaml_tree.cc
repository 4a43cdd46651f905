#include "agent/common/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kShownMax = 60;

// Builds the nodes of one document, up to bounds. yaml-cpp's own nodes would follow aliases.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(const YamlLimits& limits) : limits_(limits) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) Fail(mark, "only one YAML document is allowed in the file");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, anchor, YamlNode::Kind::kNull, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Fail(mark, "aliases are not understood: write the value again");
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                const std::string& value) override {
    Add(mark, anchor, YamlNode::Kind::kScalar, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

  // yaml-cpp counts lines from 0.
  void Fail(const YAML::Mark& mark, std::string what) {
    if (!error_.empty()) return;
    error_ = std::move(what);
    error_line_ = mark.is_null() ? 1 : mark.line + 1;
  }
  const std::string& error() const { return error_; }
  int error_line() const { return error_line_; }
  YamlNode TakeRoot() { return std::move(root_); }

 private:
  YamlNode* Add(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind,
                const std::string& text) {
    if (anchor != 0) Fail(mark, "anchors are not understood: write the value again");
    if (++nodes_ > limits_.nodes) Fail(mark, "the file has too many values");
    if (!error_.empty()) return nullptr;
    YamlNode node;
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
  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    YamlNode* const node = Add(mark, anchor, kind, "");
    if (open_.size() == limits_.depth) Fail(mark, "lists and maps are in each other too deeply");
    // A parent's children do not move while one of them is open.
    if (error_.empty()) open_.push_back(node);
  }
  void Close() {
    if (error_.empty()) open_.pop_back();
  }

  const YamlLimits limits_;
  YamlNode root_;
  std::vector<YamlNode*> open_;
  std::string error_;
  int error_line_ = 0;
  size_t nodes_ = 0;
  int documents_ = 0;
};

}  // namespace

absl::StatusOr<YamlNode> ParseYaml(const std::string& text, const std::string& name,
                                   const YamlLimits& limits) {
  Builder builder(limits);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    // No more than two: behind a ',' outside of brackets yaml-cpp 0.7 and 0.8 find documents
    // without end.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& error) {
    builder.Fail(error.mark, absl::StrCat("not valid YAML: ", ShownYaml(error.msg)));
  }
  if (!builder.error().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", builder.error_line(), ": ", builder.error()));
  }
  return builder.TakeRoot();
}

std::string ShownYaml(std::string_view text) {
  return absl::CHexEscape(std::string(text.substr(0, kShownMax)));
}

}  // namespace tokenwatch
