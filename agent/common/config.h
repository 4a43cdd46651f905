// One table of options for a program; each is a flag `--like-this`, an environment variable
// TOKENWATCH_LIKE_THIS and a key `like-this` (or `like_this`) of a YAML file. A flag wins over the
// environment, that over the file, that over the default; a list is replaced, never merged.
//
//   std::string listen = "127.0.0.1:7480";
//   Config config({.name = "tokenwatch-collector", .summary = "...", .file = "/etc/..."});
//   config.Root().Add("http-listen", &listen, "where queries are answered").Placeholder("ADDR");
//   if (std::optional<int> status = config.ParseMain(argc, argv)) return *status;
//
// Not thread safe; used once, at start-up. Variables must outlive the parse.
#ifndef TOKENWATCH_AGENT_COMMON_CONFIG_H_
#define TOKENWATCH_AGENT_COMMON_CONFIG_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "agent/common/completion.h"

namespace tokenwatch {

// Variables by name. Only names that begin with TOKENWATCH_ matter.
using Environment = std::map<std::string, std::string>;
Environment ProcessEnvironment();

class Option {
 public:
  // What help shows for the value, e.g. "ADDR".
  Option& Placeholder(std::string text);
  // The option is no environment variable and no key: for filters, as one that was left behind in
  // the environment would hide what is there.
  Option& FlagOnly();
  // An empty variable or list is refused instead of being taken for none: for what narrows, as it
  // would then widen.
  Option& RefuseEmpty();
  // Bounds of a number, both allowed.
  Option& Range(uint64_t min, uint64_t max);
  // The words that a text may be.
  Option& OneOf(std::vector<std::string> words);

 private:
  friend class Command;
  friend class Config;
  enum class Kind { kSwitch, kValue, kList };

  Option(std::string name, std::string help, Kind kind, std::string placeholder,
         std::string default_text);
  std::string EnvironmentName() const;
  std::string FullHelp() const;
  absl::Status CheckText(const std::string& text) const;
  template <typename T>
  absl::Status SetNumber(const std::string& text, T* value) const;

  std::string name_, help_, placeholder_, default_text_;
  Kind kind_;
  bool refuse_empty_ = false;
  bool flag_only_ = false;
  uint64_t min_ = 0, max_ = std::numeric_limits<uint64_t>::max();
  std::vector<std::string> words_;
  // Converts and stores; the error says what a value must be, without naming the option.
  std::function<absl::Status(const std::vector<std::string>&)> set_;
};

// A program's root, or one of its commands (`tokenwatch uses`).
class Command {
 public:
  // Adds an option. `name` is lower case words joined by '-'; `*value` holds the default and is
  // written when the option is given. A list may be given as several flags, as a comma-separated
  // variable, and as a YAML list. The reference lasts as long as the Config.
  Option& Add(std::string name, std::string* value, std::string help);
  Option& Add(std::string name, bool* value, std::string help);
  Option& Add(std::string name, uint32_t* value, std::string help);
  Option& Add(std::string name, uint64_t* value, std::string help);
  Option& Add(std::string name, double* value, std::string help);
  Option& Add(std::string name, std::vector<std::string>* value, std::string help);

  // The command's only argument, which must be given. `name` is what help calls it, e.g. "ID".
  void Positional(std::string name, std::string* value, std::string help);
  // One argument or more.
  void Positional(std::string name, std::vector<std::string>* values, std::string help);

  // Adds a command below this one. The root's options may follow it.
  Command& AddCommand(std::string name, std::string help);

 private:
  friend class Config;
  Command(std::string name, std::string help) : name_(std::move(name)), help_(std::move(help)) {}
  std::vector<std::string> CommandNames() const;
  Option& Keep(std::unique_ptr<Option> option);
  template <typename T>
  Option& AddNumber(std::string name, T* value, std::string help);

  std::string name_, help_;
  std::vector<std::unique_ptr<Option>> options_;
  std::vector<std::unique_ptr<Command>> commands_;
  std::string positional_name_, positional_help_;
  std::string* positional_ = nullptr;
  std::vector<std::string>* positionals_ = nullptr;
};

class Config {
 public:
  struct Program {
    std::string name;     // of the binary
    std::string summary;  // one sentence for help
    std::string file;     // default configuration file; empty: the program reads none
  };
  // What to do after Parse. With `exit_status`, print `text` (to standard output where the status
  // is 0, else to standard error) and leave.
  struct Parsed {
    std::optional<int> exit_status;
    std::string text;
  };

  explicit Config(Program program);

  Command& Root() { return root_; }
  // Adds `completion bash`, `zsh` and `fish`, which print what completes this program in that
  // shell. They read no environment and no file, and run no check.
  void AddCompletion();
  // A command must be given.
  void RequireCommand() { command_required_ = true; }
  // Adds a check over the finished values; its error is wrong use. `--check` ends after all of
  // them.
  void AddCheck(std::function<absl::Status()> check) { checks_.push_back(std::move(check)); }

  // Reads arguments (without the program's name), environment and file.
  Parsed Parse(const std::vector<std::string>& arguments, const Environment& environment);
  // The same for main: prints, and returns the status to leave with, if any.
  std::optional<int> ParseMain(int argc, char** argv);

  // Whether `--check` was given: nothing will be started. Valid in checks.
  bool IsCheckOnly() const { return check_only_; }

  // The command given, outer words first ("audit verify"); empty where none. Valid in checks.
  const std::string& CommandName() const { return command_; }

 private:
  // Values by option, as text, from the command line.
  using Given = std::map<const Option*, std::vector<std::string>>;

  struct Arguments;  // CLI11's view of the tree

  static CompletionCommand Describe(const Command& command);
  absl::Status ReadArguments(const std::vector<std::string>& arguments, Given* given,
                             Parsed* parsed);
  absl::Status Reject(const std::string& rest) const;
  absl::Status RefuseMisspelt(const Environment& environment) const;
  absl::Status Apply(const Given& given, const Environment& environment);
  absl::Status ApplyFile(const std::string& path, bool must_exist,
                         const std::function<bool(const Option*)>& is_set);

  Program program_;
  Command root_;
  bool command_required_ = false;
  std::vector<std::function<absl::Status()>> checks_;
  std::string command_;
  std::vector<const Command*> chosen_;  // root first
  std::string config_path_;
  bool check_only_ = false;
  bool version_only_ = false;
};

// The word of `words` that was probably meant by `word`, or an empty one. For error messages.
std::string NearestWord(std::string_view word, const std::vector<std::string>& words);
// The same within `at_most` changed letters.
std::string NearestWord(std::string_view word, const std::vector<std::string>& words,
                        size_t at_most);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_CONFIG_H_
