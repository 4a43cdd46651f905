#include "agent/common/config.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <type_traits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "agent/common/config_file.h"
#include "agent/common/exit_status.h"

namespace tokenwatch {
namespace {

constexpr char kCompletion[] = "completion";

std::string Shown(const std::string& text) { return absl::CHexEscape(text.substr(0, 60)); }

absl::Status MustBe(const std::string& what, const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat("must be ", what, ", not '", Shown(text), "'"));
}

}  // namespace

Environment ProcessEnvironment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    std::pair<std::string, std::string> pair = absl::StrSplit(*entry, absl::MaxSplits('=', 1));
    if (pair.first.starts_with("TOKENWATCH_")) environment.insert(std::move(pair));
  }
  return environment;
}

Option::Option(std::string name, std::string help, Kind kind, std::string placeholder,
               std::string default_text)
    : name_(std::move(name)),
      help_(std::move(help)),
      placeholder_(std::move(placeholder)),
      default_text_(std::move(default_text)),
      kind_(kind) {}

Option& Option::RefuseEmpty() {
  refuse_empty_ = true;
  return *this;
}

Option& Option::Placeholder(std::string text) {
  placeholder_ = std::move(text);
  return *this;
}

Option& Option::FlagOnly() {
  flag_only_ = true;
  return *this;
}

Option& Option::Range(uint64_t min, uint64_t max) {
  min_ = min;
  max_ = max;
  return *this;
}

Option& Option::OneOf(std::vector<std::string> words) {
  words_ = std::move(words);
  return *this;
}

std::string Option::EnvironmentName() const {
  return absl::StrCat("TOKENWATCH_",
                      absl::AsciiStrToUpper(absl::StrReplaceAll(name_, {{"-", "_"}})));
}

std::string Option::FullHelp() const {
  std::vector<std::string> notes;
  if (!words_.empty()) notes.push_back(absl::StrCat("one of ", absl::StrJoin(words_, ", ")));
  if (kind_ == Kind::kList) notes.emplace_back("may be repeated");
  if (!default_text_.empty()) notes.push_back(absl::StrCat("default ", default_text_));
  if (notes.empty()) return help_;
  return absl::StrCat(help_, " (", absl::StrJoin(notes, "; "), ")");
}

absl::Status Option::CheckText(const std::string& text) const {
  if (words_.empty() || std::find(words_.begin(), words_.end(), text) != words_.end()) {
    return absl::OkStatus();
  }
  return MustBe(absl::StrCat("one of ", absl::StrJoin(words_, ", ")), text);
}

template <typename T>
absl::Status Option::SetNumber(const std::string& text, T* value) const {
  T number{};
  bool read = false;
  if constexpr (std::is_floating_point_v<T>) {
    read = absl::SimpleAtod(text, &number) && std::isfinite(number);
  } else {
    read = absl::SimpleAtoi(text, &number);
  }
  const T lowest = static_cast<T>(min_);
  const T highest =
      max_ > std::numeric_limits<T>::max() ? std::numeric_limits<T>::max() : static_cast<T>(max_);
  if (!read || number < lowest || number > highest) {
    const std::string kind = std::is_floating_point_v<T> ? "a number" : "a whole number";
    return MustBe(max_ == std::numeric_limits<uint64_t>::max()
                      ? absl::StrCat(kind, " from ", lowest)
                      : absl::StrCat(kind, " from ", lowest, " to ", highest),
                  text);
  }
  *value = number;
  return absl::OkStatus();
}

Option& Command::Keep(std::unique_ptr<Option> option) {
  options_.push_back(std::move(option));
  return *options_.back();
}

Option& Command::Add(std::string name, std::string* value, std::string help) {
  auto option = std::unique_ptr<Option>(
      new Option(std::move(name), std::move(help), Option::Kind::kValue, "TEXT", *value));
  option->set_ = [value, self = option.get()](const std::vector<std::string>& texts) {
    const absl::Status status = self->CheckText(texts.back());
    if (status.ok()) *value = texts.back();
    return status;
  };
  return Keep(std::move(option));
}

Option& Command::Add(std::string name, bool* value, std::string help) {
  auto option = std::unique_ptr<Option>(
      new Option(std::move(name), std::move(help), Option::Kind::kSwitch, "", ""));
  option->set_ = [value](const std::vector<std::string>& texts) -> absl::Status {
    const std::string word = absl::AsciiStrToLower(texts.back());
    if (word == "true" || word == "yes" || word == "on" || word == "1") {
      *value = true;
    } else if (word == "false" || word == "no" || word == "off" || word == "0") {
      *value = false;
    } else {
      return MustBe("true or false", texts.back());
    }
    return absl::OkStatus();
  };
  return Keep(std::move(option));
}

template <typename T>
Option& Command::AddNumber(std::string name, T* value, std::string help) {
  auto option = std::unique_ptr<Option>(new Option(
      std::move(name), std::move(help), Option::Kind::kValue, "N", absl::StrCat(*value)));
  option->set_ = [value, self = option.get()](const std::vector<std::string>& texts) {
    return self->SetNumber(texts.back(), value);
  };
  return Keep(std::move(option));
}

Option& Command::Add(std::string name, uint32_t* value, std::string help) {
  return AddNumber(std::move(name), value, std::move(help));
}

Option& Command::Add(std::string name, uint64_t* value, std::string help) {
  return AddNumber(std::move(name), value, std::move(help));
}

Option& Command::Add(std::string name, double* value, std::string help) {
  return AddNumber(std::move(name), value, std::move(help));
}

Option& Command::Add(std::string name, std::vector<std::string>* value, std::string help) {
  auto option = std::unique_ptr<Option>(new Option(
      std::move(name), std::move(help), Option::Kind::kList, "TEXT", absl::StrJoin(*value, ",")));
  option->set_ = [value, self = option.get()](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      if (absl::Status status = self->CheckText(text); !status.ok()) return status;
    }
    *value = texts;
    return absl::OkStatus();
  };
  return Keep(std::move(option));
}

void Command::Positional(std::string name, std::string* value, std::string help) {
  positional_name_ = std::move(name);
  positional_help_ = std::move(help);
  positional_ = value;
}

void Command::Positional(std::string name, std::vector<std::string>* values, std::string help) {
  positional_name_ = std::move(name);
  positional_help_ = std::move(help);
  positionals_ = values;
}

Command& Command::AddCommand(std::string name, std::string help) {
  commands_.push_back(std::unique_ptr<Command>(new Command(std::move(name), std::move(help))));
  return *commands_.back();
}

Config::Config(Program program)
    : program_(std::move(program)), root_("", program_.summary), config_path_(program_.file) {
  if (!program_.file.empty()) {
    root_.Add("config", &config_path_, "read settings from this YAML file").Placeholder("FILE");
    root_.Add("check", &check_only_, "say whether the configuration is valid, and leave")
        .FlagOnly();
  }
  root_.Add("version", &version_only_, "print the version, and leave").FlagOnly();
}

absl::Status Config::ApplyFile(const std::string& path, bool must_exist,
                               const std::function<bool(const Option*)>& is_set) {
  const absl::StatusOr<std::string> text = ReadConfigFile(path);
  if (!text.ok()) {
    return absl::IsNotFound(text.status()) && !must_exist ? absl::OkStatus() : text.status();
  }
  absl::StatusOr<std::vector<FileSetting>> settings = ParseConfigFile(*text, path);
  if (!settings.ok()) return settings.status();

  std::map<std::string, const Option*> options;
  std::vector<std::string> names;
  for (const auto& option : root_.options_) {
    if (option->flag_only_ || option->name_ == "config") continue;
    options.emplace(option->name_, option.get());
    names.push_back(option->name_);
  }
  for (const FileSetting& setting : *settings) {
    const std::string place = absl::StrCat(path, ":", setting.line, ": ");
    const auto found = options.find(setting.key);
    if (found == options.end()) {
      const std::string nearest = NearestWord(setting.key, names);
      return absl::InvalidArgumentError(
          absl::StrCat(place, "unknown key '", Shown(setting.key), "'; ",
                       nearest.empty() ? absl::StrCat("'", program_.name, " --help' lists the keys")
                                       : absl::StrCat("did you mean '", nearest, "'?")));
    }
    const Option& option = *found->second;
    if (setting.list && option.kind_ != Option::Kind::kList) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, "'", setting.key, "' must be one value, not a list"));
    }
    if (is_set(&option)) continue;
    if (option.refuse_empty_ && setting.values.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          place, "'", setting.key, "' is an empty list: give it values, or leave the key out"));
    }
    if (const absl::Status status = option.set_(setting.values); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, "'", setting.key, "' ", status.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status Config::RefuseMisspelt(const Environment& environment) const {
  std::vector<std::string> names;
  for (const auto& option : root_.options_) {
    if (!option->flag_only_) names.push_back(option->EnvironmentName());
  }
  for (const auto& [name, value] : environment) {
    // Those of another program of the three are none of ours.
    constexpr size_t kMisspelt = 2;
    const std::string nearest = NearestWord(name, names, kMisspelt);
    if (nearest.empty() || nearest == name) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("unknown variable ", Shown(name), "; did you mean ", nearest, "?"));
  }
  return absl::OkStatus();
}

absl::Status Config::Apply(const Given& given, const Environment& environment) {
  if (!program_.file.empty()) {
    if (absl::Status status = RefuseMisspelt(environment); !status.ok()) return status;
  }
  std::map<const Option*, std::string> from_environment;
  for (const Command* command : chosen_) {
    for (const auto& option : command->options_) {
      // An empty variable is how a unit file or a shell line takes one back.
      const auto found = environment.find(option->EnvironmentName());
      if (option->flag_only_ || found == environment.end()) continue;
      if (found->second.empty()) {
        if (!option->refuse_empty_ || given.contains(option.get())) continue;
        return absl::InvalidArgumentError(
            absl::StrCat(found->first, " is empty: give it a value, or unset it"));
      }
      from_environment.emplace(option.get(), found->second);
    }
  }
  for (const auto& [option, values] : given) {
    if (const absl::Status status = option->set_(values); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--", option->name_, " ", status.message()));
    }
  }
  for (const auto& [option, text] : from_environment) {
    if (given.contains(option)) continue;
    std::vector<std::string> values = {text};
    if (option->kind_ == Option::Kind::kList) {
      values = absl::StrSplit(text, ',', absl::SkipWhitespace());
    }
    if (const absl::Status status = option->set_(values); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(option->EnvironmentName(), " ", status.message()));
    }
  }
  if (program_.file.empty()) return absl::OkStatus();
  const auto is_set = [&](const Option* option) {
    return given.contains(option) || from_environment.contains(option);
  };
  const bool explicit_path = is_set(root_.options_.front().get());
  return ApplyFile(config_path_, explicit_path, is_set);
}

void Config::AddCompletion() {
  Command& completion =
      root_.AddCommand(kCompletion, "print what completes commands and flags in a shell");
  for (const std::string& shell : CompletionShells()) {
    completion.AddCommand(shell, absl::StrCat("for ", shell));
  }
}

CompletionCommand Config::Describe(const Command& command) {
  CompletionCommand described{.name = command.name_, .help = command.help_};
  for (const auto& option : command.options_) {
    const bool is_switch = option->kind_ == Option::Kind::kSwitch;
    described.flags.push_back({absl::StrCat("--", option->name_), option->help_,
                               is_switch ? "" : option->placeholder_, option->words_});
  }
  described.flags.push_back({"--help", "print this help, and leave", "", {}});
  described.takes_files = command.positionals_ != nullptr;
  for (const auto& child : command.commands_) described.commands.push_back(Describe(*child));
  return described;
}

Config::Parsed Config::Parse(const std::vector<std::string>& arguments,
                             const Environment& environment) {
  Given given;
  Parsed parsed;
  absl::Status status = ReadArguments(arguments, &given, &parsed);
  if (status.ok() && parsed.exit_status.has_value()) return parsed;
  if (status.ok() && chosen_.size() == 3 && chosen_[1]->name_ == kCompletion) {
    CompletionCommand root = Describe(root_);
    root.name = program_.name;
    return {kExitOk, CompletionScript(chosen_[2]->name_, root)};
  }
  if (status.ok()) status = Apply(given, environment);
  for (const auto& check : checks_) {
    if (status.ok()) status = check();
  }
  if (!status.ok()) {
    return {kExitUsage, absl::StrCat(program_.name, ": ", status.message(), "\n")};
  }
  if (check_only_) return {kExitOk, "the configuration is valid\n"};
  return parsed;
}

std::optional<int> Config::ParseMain(int argc, char** argv) {
  const Parsed parsed = Parse({argv + std::min(argc, 1), argv + argc}, ProcessEnvironment());
  if (!parsed.exit_status.has_value()) return std::nullopt;
  std::FILE* const stream = *parsed.exit_status == kExitOk ? stdout : stderr;
  std::fwrite(parsed.text.data(), 1, parsed.text.size(), stream);
  std::fflush(stream);
  return parsed.exit_status;
}

std::string NearestWord(std::string_view word, const std::vector<std::string>& words) {
  return NearestWord(word, words, std::max<size_t>(2, word.size() / 3));
}

std::string NearestWord(std::string_view word, const std::vector<std::string>& words,
                        size_t at_most) {
  std::string nearest;
  size_t nearest_distance = at_most + 1;
  for (const std::string& candidate : words) {
    // Levenshtein's distance, one row at a time.
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t i = 0; i < row.size(); ++i) row[i] = i;
    for (size_t i = 0; i < word.size() && i < 64; ++i) {
      size_t diagonal = row[0];
      row[0] = i + 1;
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t change = diagonal + (word[i] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
      }
    }
    if (row.back() < nearest_distance) {
      nearest_distance = row.back();
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace tokenwatch
