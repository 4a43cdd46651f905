#include "collector/cli/cells.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/cli/rows.h"

namespace tokenwatch {

// From 2026-11-22T10:11:12.123456Z.
std::string TimeCell(const Json& object, const char* name) {
  std::string time = Cell(object, name);
  if (time.size() < 23) return time;
  time[10] = ' ';
  return time.substr(0, 23) + "Z";
}

std::string SecondCell(const Json& object, const char* name) {
  const std::string time = TimeCell(object, name);
  return time.size() < 23 ? time : time.substr(0, 19) + "Z";
}

std::string Words(const Json& object, const char* name, const char* between) {
  std::vector<std::string> words;
  const auto at = object.find(name);
  if (at != object.end() && at->is_array()) {
    for (const Json& word : *at) {
      if (word.is_string()) words.push_back(word.get<std::string>());
    }
  }
  return absl::StrJoin(words, between);
}

std::string PlaceCell(const Json& program) {
  constexpr size_t kShortContainerId = 12;
  const std::string pod = Cell(program, "pod");
  const std::string name_space = Cell(program, "namespace");
  if (!pod.empty()) return name_space.empty() ? pod : absl::StrCat(name_space, "/", pod);
  const std::string container = Cell(program, "containerId");
  return container.empty() ? Cell(program, "unit") : container.substr(0, kShortContainerId);
}

std::string ProgramName(const Json& workload) {
  const std::string script = Cell(workload, "script");
  const std::string path = script.empty() ? Cell(workload, "exe") : script;
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.empty() ? Cell(workload, "comm") : name;
}

}  // namespace tokenwatch
