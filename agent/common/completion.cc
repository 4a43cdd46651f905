#include "agent/common/completion.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace tokenwatch {
namespace {

// Placeholders of what is on the disk.
constexpr std::string_view kPaths[] = {"FILE", "FILES", "DIR", "D", "PATH", "F"};

bool IsPath(const std::string& placeholder) {
  for (const absl::string_view part : absl::StrSplit(placeholder, absl::ByAnyChar(":|"))) {
    if (std::find(std::begin(kPaths), std::end(kPaths),
                  std::string_view(part.data(), part.size())) != std::end(kPaths)) {
      return true;
    }
  }
  return false;
}

using Visit = std::function<void(const CompletionCommand&, const std::string& path)>;

// Every command, outer first; the root's path is empty, another's "policy check".
void ForEach(const CompletionCommand& command, const std::string& path, const Visit& visit) {
  visit(command, path);
  for (const CompletionCommand& child : command.commands) {
    ForEach(child, path.empty() ? child.name : absl::StrCat(path, " ", child.name), visit);
  }
}

// A flag that takes a value, and behind which commands: a pattern of "PATH:--flag".
struct ValueCase {
  std::string pattern;
  CompletionFlag flag;
};

// One for a name that is completed alike wherever it stands, else one for each command.
std::vector<ValueCase> ValueCases(const CompletionCommand& root) {
  struct Place {
    std::string path;
    CompletionFlag flag;
  };
  std::vector<std::string> names;
  std::map<std::string, std::vector<Place>> places;
  ForEach(root, "", [&](const CompletionCommand& command, const std::string& path) {
    for (const CompletionFlag& flag : command.flags) {
      if (flag.placeholder.empty()) continue;
      std::vector<Place>& here = places[flag.name];
      if (here.empty()) names.push_back(flag.name);
      here.push_back({path, flag});
    }
  });
  std::vector<ValueCase> cases;
  for (const std::string& name : names) {
    const std::vector<Place>& here = places[name];
    const bool alike = std::all_of(here.begin(), here.end(), [&](const Place& place) {
      return place.flag.words == here[0].flag.words &&
             IsPath(place.flag.placeholder) == IsPath(here[0].flag.placeholder);
    });
    if (alike) {
      cases.push_back({absl::StrCat("*:", name), here[0].flag});
      continue;
    }
    for (const Place& place : here) {
      cases.push_back({absl::StrCat("'", place.path, "':", name), place.flag});
    }
  }
  return cases;
}

// The command's flags and the root's, each name once.
std::vector<CompletionFlag> FlagsOf(const CompletionCommand& command,
                                    const CompletionCommand& root) {
  std::vector<CompletionFlag> flags;
  std::set<std::string> seen;
  for (const CompletionCommand* of : {&command, &root}) {
    for (const CompletionFlag& flag : of->flags) {
      if (seen.insert(flag.name).second) flags.push_back(flag);
    }
  }
  return flags;
}

template <typename Rows>
std::string Names(const Rows& rows) {
  return absl::StrJoin(rows, " ", [](std::string* out, const auto& row) { out->append(row.name); });
}

// In single quotes, as these shells take them: `inside` is what stands for a quote inside.
std::string Quoted(const std::string& text, const char* inside = "'\\''") {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", inside}}), "'");
}

std::string FunctionName(const CompletionCommand& root) {
  return absl::StrCat("_", absl::StrReplaceAll(root.name, {{"-", "_"}}));
}

std::string Bash(const CompletionCommand& root) {
  const std::string function = FunctionName(root);
  std::string values, table;
  for (const auto& [pattern, flag] : ValueCases(root)) {
    absl::StrAppend(&values, "    ", pattern, ")\n");
    if (!flag.words.empty()) {
      absl::StrAppend(&values, "      mapfile -t COMPREPLY < <(compgen -W '",
                      absl::StrJoin(flag.words, " "), "' -- \"$word\")\n");
    } else if (IsPath(flag.placeholder)) {
      absl::StrAppend(&values, "      ", function, "_files \"$word\"\n");
    }
    absl::StrAppend(&values, "      return\n      ;;\n");
  }
  ForEach(root, "", [&](const CompletionCommand& command, const std::string& path) {
    absl::StrAppend(&table, "    '", path, "')\n      flags='", Names(FlagsOf(command, root)),
                    "'\n      commands='", Names(command.commands),
                    "'\n      files=", command.takes_files ? "yes" : "", "\n      ;;\n");
  });
  return absl::StrCat("# bash completion for ", root.name, R"(: what it says of itself.
)",
                      function, R"(() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command='' flags='' commands='' files='' index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    )",
                      function, R"(_table "$command"
    [[ " $commands " != *" ${COMP_WORDS[index]} "* ]] ||
      command="${command:+$command }${COMP_WORDS[index]}"
  done
  case "$command:$before" in
)",
                      values, R"(  esac
  )",
                      function, R"(_table "$command"
  if [[ "$word" == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
  elif [[ -n "$files" ]]; then
    )",
                      function, R"(_files "$word"
  else
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
  fi
}

)",
                      function, R"(_files() {
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
  compopt -o filenames 2>/dev/null
}

# The flags and commands of a command, for the function above.
)",
                      function, R"(_table() {
  case "$1" in
)",
                      table, R"(  esac
}

complete -F )",
                      function, " ", root.name, "\n");
}

// What _describe takes: "name:help", in which a colon of the name would be escaped.
template <typename Rows>
std::string Described(const Rows& rows) {
  return absl::StrJoin(rows, " ", [](std::string* out, const auto& row) {
    out->append(Quoted(absl::StrCat(row.name, ":", row.help)));
  });
}

std::string Zsh(const CompletionCommand& root) {
  const std::string function = FunctionName(root);
  std::string values, table;
  for (const auto& [pattern, flag] : ValueCases(root)) {
    absl::StrAppend(&values, "    ", pattern, ")\n");
    if (!flag.words.empty()) {
      absl::StrAppend(&values, "      compadd -- ", absl::StrJoin(flag.words, " "), "\n");
    } else if (IsPath(flag.placeholder)) {
      absl::StrAppend(&values, "      _files\n");
    } else {
      absl::StrAppend(&values, "      _message ", Quoted(flag.placeholder), "\n");
    }
    absl::StrAppend(&values, "      return\n      ;;\n");
  }
  ForEach(root, "", [&](const CompletionCommand& command, const std::string& path) {
    absl::StrAppend(&table, "    '", path, "')\n      flags=(", Described(FlagsOf(command, root)),
                    ")\n      commands=(", Described(command.commands), ")\n      names=(",
                    Names(command.commands), ")\n      files=", command.takes_files ? "yes" : "",
                    "\n      ;;\n");
  });
  return absl::StrCat("#compdef ", root.name, "\n# zsh completion for ", root.name,
                      ": what it says of itself.\n", function, R"(_table() {
  case "$1" in
)",
                      table, R"(  esac
}

)",
                      function, R"(() {
  local command='' files='' index
  local -a flags commands names
  for ((index = 2; index < CURRENT; index++)); do
    )",
                      function, R"(_table "$command"
    if (( ${names[(Ie)${words[index]}]} )); then
      command="${command:+$command }${words[index]}"
    fi
  done
  case "$command:${words[CURRENT-1]}" in
)",
                      values, R"(  esac
  )",
                      function, R"(_table "$command"
  if [[ "${words[CURRENT]}" == -* ]]; then
    _describe -o flag flags
  elif [[ -n "$files" ]]; then
    _files
  elif (( ${#commands} )); then
    _describe command commands
  fi
}

if [[ "${funcstack[1]}" == )",
                      function, R"( ]]; then
  )",
                      function, R"( "$@"
else
  compdef )",
                      function, " ", root.name, "\nfi\n");
}

std::string Fish(const CompletionCommand& root) {
  const std::string at = absl::StrCat("_", FunctionName(root), "_at");
  const auto quoted = [](const std::string& text) {
    return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
  };
  std::vector<std::string> paths;
  std::string lines;
  ForEach(root, "", [&](const CompletionCommand& command, const std::string& path) {
    if (!path.empty()) paths.push_back(quoted(path));
    const std::string when =
        absl::StrCat("complete -c ", root.name, " -n \"", at, " '", path, "'\"");
    for (const CompletionCommand& child : command.commands) {
      absl::StrAppend(&lines, when, " -a ", child.name, " -d ", quoted(child.help), "\n");
    }
    if (command.takes_files) absl::StrAppend(&lines, when, " -F\n");
    for (const CompletionFlag& flag : command.flags) {
      // The root's may follow every command.
      absl::StrAppend(&lines, path.empty() ? absl::StrCat("complete -c ", root.name) : when, " -l ",
                      flag.name.substr(2));
      if (!flag.words.empty()) {
        absl::StrAppend(&lines, " -x -a ", quoted(absl::StrJoin(flag.words, " ")));
      } else if (IsPath(flag.placeholder)) {
        absl::StrAppend(&lines, " -r -F");
      } else if (!flag.placeholder.empty()) {
        absl::StrAppend(&lines, " -x");
      }
      absl::StrAppend(&lines, " -d ", quoted(flag.help), "\n");
    }
  });
  return absl::StrCat("# fish completion for ", root.name, R"(: what it says of itself.
function )",
                      at, R"( --description 'Whether the command so far is this one'
  set -l path ''
  for word in (commandline -opc)[2..]
    set -l longer (string trim -- "$path $word")
    contains -- "$longer" )",
                      absl::StrJoin(paths, " "), R"(
    and set path $longer
  end
  test "$path" = "$argv[1]"
end

complete -c )",
                      root.name, " -f\n", lines);
}

}  // namespace

const std::vector<std::string>& CompletionShells() {
  static const auto* const shells = new std::vector<std::string>{"bash", "zsh", "fish"};
  return *shells;
}

std::string CompletionScript(const std::string& shell, const CompletionCommand& root) {
  if (shell == "bash") return Bash(root);
  return shell == "zsh" ? Zsh(root) : Fish(root);
}

}  // namespace tokenwatch
