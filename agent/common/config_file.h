// The YAML half of configuration: one flat map of settings.
#ifndef TOKENWATCH_AGENT_COMMON_CONFIG_FILE_H_
#define TOKENWATCH_AGENT_COMMON_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tokenwatch {

struct FileSetting {
  std::string key;                  // as an option's name: '_' written as '-'
  std::vector<std::string> values;  // one where `list` is false
  bool list = false;
  int line = 0;  // from 1
};

// Reads the settings of `text`, in their order. An empty text has none. `name` is the file's name
// and begins every error, with the line: InvalidArgument for text that is no YAML, no flat map, has
// a nested or missing value, or has a key twice.
absl::StatusOr<std::vector<FileSetting>> ParseConfigFile(const std::string& text,
                                                         const std::string& name);

// Reads the file at `path`, at most 1 MiB. NotFound where there is none; other errors say why.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_CONFIG_FILE_H_
