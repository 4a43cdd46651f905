#include "agent/common/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;

std::string Shown(const std::string& text) { return absl::CHexEscape(text.substr(0, 60)); }

absl::Status ErrorAt(const std::string& name, const YAML::Mark& mark, const std::string& what) {
  // A null mark has line -1; yaml-cpp counts lines from 0.
  if (mark.is_null()) return absl::InvalidArgumentError(absl::StrCat(name, ": ", what));
  return absl::InvalidArgumentError(absl::StrCat(name, ":", mark.line + 1, ": ", what));
}

absl::Status ReadValues(const YAML::Node& value, const YAML::Mark& mark, const std::string& name,
                        FileSetting* setting) {
  if (value.IsScalar()) {
    setting->values.push_back(value.Scalar());
    return absl::OkStatus();
  }
  if (value.IsNull()) {
    return ErrorAt(
        name, mark,
        absl::StrCat("'", Shown(setting->key), "' has no value: give one or remove the line"));
  }
  if (value.IsMap()) {
    return ErrorAt(
        name, mark,
        absl::StrCat("'", Shown(setting->key), "' must be a value or a list, not a map"));
  }
  setting->list = true;
  for (const YAML::Node& item : value) {
    if (!item.IsScalar()) {
      return ErrorAt(
          name, item.Mark(),
          absl::StrCat("the list '", Shown(setting->key), "' may hold plain values only"));
    }
    setting->values.push_back(item.Scalar());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FileSetting>> ReadMap(const YAML::Node& root, const std::string& name) {
  std::vector<FileSetting> settings;
  std::map<std::string, int> lines;
  for (const auto& entry : root) {
    const YAML::Mark mark = entry.first.Mark();
    if (!entry.first.IsScalar()) return ErrorAt(name, mark, "a key must be a plain word");
    FileSetting setting;
    setting.key = absl::StrReplaceAll(entry.first.Scalar(), {{"_", "-"}});
    setting.line = mark.line + 1;
    const auto [earlier, is_new] = lines.emplace(setting.key, setting.line);
    if (!is_new) {
      return ErrorAt(name, mark,
                     absl::StrCat("key '", Shown(entry.first.Scalar()),
                                  "' was given already on line ", earlier->second));
    }
    if (absl::Status status = ReadValues(entry.second, mark, name, &setting); !status.ok()) {
      return status;
    }
    settings.push_back(std::move(setting));
  }
  return settings;
}

// Where documents begin; the rest is read by YAML::Load.
class DocumentStarts : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { mark_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  const YAML::Mark& last() const { return mark_; }

 private:
  YAML::Mark mark_;
};

// YAML::LoadAll finds documents without end in a file with a ',' outside of brackets: its parser
// stays where that is (yaml-cpp 0.7 and 0.8). So no more than two are asked for.
std::optional<YAML::Mark> SecondDocument(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStarts starts;
  if (!parser.HandleNextDocument(starts) || !parser.HandleNextDocument(starts)) return std::nullopt;
  return starts.last();
}

}  // namespace

absl::StatusOr<std::vector<FileSetting>> ParseConfigFile(const std::string& text,
                                                         const std::string& name) {
  try {
    if (const std::optional<YAML::Mark> second = SecondDocument(text)) {
      return ErrorAt(name, *second, "only one YAML document is allowed in the file");
    }
    const YAML::Node document = YAML::Load(text);
    if (document.IsNull()) return std::vector<FileSetting>();
    if (!document.IsMap()) {
      return ErrorAt(name, document.Mark(), "expected lines of the form 'key: value'");
    }
    return ReadMap(document, name);
  } catch (const YAML::Exception& error) {
    // It quotes the file.
    return ErrorAt(name, error.mark, absl::StrCat("not valid YAML: ", absl::CHexEscape(error.msg)));
  }
}

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  const auto fail = [&path](int error) -> absl::Status {
    const std::string text =
        absl::StrCat("cannot read the configuration file '", path, "': ", std::strerror(error));
    if (error == ENOENT) return absl::NotFoundError(text);
    return absl::FailedPreconditionError(text);
  };
  // A pipe would be waited for, before anybody sees why nothing starts.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(fd < 0 ? nullptr : fdopen(fd, "r"),
                                                             std::fclose);
  if (file == nullptr) return fail(errno);
  struct stat status;
  if (fstat(fd, &status) != 0) return fail(errno);
  if (S_ISFIFO(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("cannot read the configuration file '", path,
                                                      "': it is a pipe, name a regular file"));
  }
  std::string text(kMaxFileBytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return fail(errno);
  if (text.size() > kMaxFileBytes) return fail(EFBIG);
  return text;
}

}  // namespace tokenwatch
