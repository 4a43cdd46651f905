#include "agent/common/config_file.h"

#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
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
    return ErrorAt(name, mark,
                   absl::StrCat("'", setting->key, "' has no value: give one or remove the line"));
  }
  if (value.IsMap()) {
    return ErrorAt(name, mark,
                   absl::StrCat("'", setting->key, "' must be a value or a list, not a map"));
  }
  setting->list = true;
  for (const YAML::Node& item : value) {
    if (!item.IsScalar()) {
      return ErrorAt(name, item.Mark(),
                     absl::StrCat("the list '", setting->key, "' may hold plain values only"));
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

}  // namespace

absl::StatusOr<std::vector<FileSetting>> ParseConfigFile(const std::string& text,
                                                         const std::string& name) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      return ErrorAt(name, documents[1].Mark(), "only one YAML document is allowed in the file");
    }
    if (documents.empty() || documents[0].IsNull()) return std::vector<FileSetting>();
    if (!documents[0].IsMap()) {
      return ErrorAt(name, documents[0].Mark(), "expected lines of the form 'key: value'");
    }
    return ReadMap(documents[0], name);
  } catch (const YAML::Exception& error) {
    return ErrorAt(name, error.mark, absl::StrCat("not valid YAML: ", error.msg));
  }
}

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  const auto fail = [&path](int error) -> absl::Status {
    const std::string text =
        absl::StrCat("cannot read the configuration file '", path, "': ", std::strerror(error));
    if (error == ENOENT) return absl::NotFoundError(text);
    return absl::FailedPreconditionError(text);
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             std::fclose);
  if (file == nullptr) return fail(errno);
  std::string text(kMaxFileBytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return fail(errno);
  if (text.size() > kMaxFileBytes) return fail(EFBIG);
  return text;
}

}  // namespace tokenwatch
