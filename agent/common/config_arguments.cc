// The command-line half of Config: CLI11 splits the arguments, and nothing of it is seen elsewhere.
#include <CLI/CLI.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/common/config.h"
#include "agent/common/exit_status.h"
#include "agent/common/version.h"

namespace tokenwatch {
namespace {

std::string Shown(const std::string& text) { return absl::CHexEscape(text.substr(0, 60)); }

std::string SeeHelp(const std::string& program, const std::string& command) {
  return absl::StrCat("see '", program, command.empty() ? "" : " ", command, " --help'");
}

// CLI11 keeps what was given as text; every conversion is Option's, the same for all sources.
CLI::Option* TakeTexts(CLI::App* app, const std::string& name, const std::string& help) {
  return app->add_option(
                name, [](const CLI::results_t&) { return true; }, help)
      ->type_size(1)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

std::vector<std::string> Command::CommandNames() const {
  std::vector<std::string> names;
  names.reserve(commands_.size());
  for (const auto& child : commands_) names.push_back(child->name_);
  return names;
}

struct Config::Arguments {
  explicit Arguments(const Program& program) : app(program.summary, program.name) {}

  void Build(const Command& command, CLI::App* node) {
    apps.emplace(&command, node);
    node->set_help_flag("-h,--help", "print this help, and leave");
    node->allow_extras();
    node->fallthrough();
    for (const auto& option : command.options_) {
      const std::string flag = absl::StrCat("--", option->name_);
      const std::string help = option->FullHelp();
      flags.emplace(
          option.get(),
          option->kind_ == Option::Kind::kSwitch
              ? node->add_flag(flag, help)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
              : TakeTexts(node, flag, help)->option_text(option->placeholder_));
    }
    if (command.positional_ != nullptr || command.positionals_ != nullptr) {
      CLI::Option* const positional =
          TakeTexts(node, command.positional_name_, command.positional_help_)->option_text(" ");
      if (command.positionals_ != nullptr) positional->expected(-1);
      positionals.emplace(&command, positional);
    }
    for (const auto& child : command.commands_) {
      Build(*child, node->add_subcommand(child->name_, child->help_));
    }
  }

  CLI::App app;
  std::map<const Option*, CLI::Option*> flags;
  std::map<const Command*, CLI::App*> apps;
  std::map<const Command*, CLI::Option*> positionals;
};

absl::Status Config::Reject(const std::string& rest) const {
  const Command& command = *chosen_.back();
  if (rest.size() > 1 && rest.front() == '-' && rest != "--") {
    std::vector<std::string> flags = {"--help"};
    for (const Command* each : chosen_) {
      for (const auto& option : each->options_) flags.push_back(absl::StrCat("--", option->name_));
    }
    const std::string name = rest.substr(0, rest.find('='));
    const std::string nearest = NearestWord(name, flags);
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag '", Shown(name), "'; ",
                     nearest.empty() ? SeeHelp(program_.name, command_)
                                     : absl::StrCat("did you mean '", nearest, "'?")));
  }
  // A stray argument may be a secret that was meant for standard input: it is not repeated.
  if (command.commands_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", command_.empty() ? program_.name : command_, "' takes ",
                     command.positional_ == nullptr ? "no argument" : "one argument", "; ",
                     SeeHelp(program_.name, command_)));
  }
  const std::vector<std::string> names = command.CommandNames();
  const std::string nearest = NearestWord(rest, names);
  return absl::InvalidArgumentError(
      nearest.empty()
          ? absl::StrCat("unknown command; the commands are ", absl::StrJoin(names, ", "))
          : absl::StrCat("unknown command '", Shown(rest), "'; did you mean '", nearest, "'?"));
}

absl::Status Config::ReadArguments(const std::vector<std::string>& arguments, Given* given,
                                   Parsed* parsed) {
  Arguments tree(program_);
  try {
    tree.Build(root_, &tree.app);
    std::set<std::string> flags_only;
    for (const auto& [option, flag] : tree.flags) {
      if (option->flag_only_) flags_only.insert(option->name_);
    }
    tree.app.footer(absl::StrCat(
        "A flag --like-this is also the environment variable TOKENWATCH_LIKE_THIS",
        program_.file.empty() ? "" : absl::StrCat(" and the key like-this of ", program_.file),
        ", except --", absl::StrJoin(flags_only, ", --"),
        ".\nExit status: 0; 1 nothing found or verification failed; 2 wrong use; 3 server "
        "unreachable."));
    for (const auto& [command, app] : tree.apps) {
      if (command == &root_) continue;
      app->footer(absl::StrCat("Flags of every command: ", SeeHelp(program_.name, ""), "."));
    }
    // CLI11 takes the arguments in reverse.
    tree.app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    *parsed = {kExitOk, tree.app.help()};
    return absl::OkStatus();
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();
    return absl::InvalidArgumentError(absl::StrCat(Shown(what.substr(0, what.find(':'))),
                                                   " needs a value; ", SeeHelp(program_.name, "")));
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(absl::CHexEscape(error.what()));
  }

  chosen_ = {&root_};
  std::vector<std::string> words;
  for (size_t depth = 0; depth < chosen_.size(); ++depth) {
    for (const auto& child : chosen_[depth]->commands_) {
      if (chosen_.size() > depth + 1 || !tree.apps.at(child.get())->parsed()) continue;
      chosen_.push_back(child.get());
      words.push_back(child->name_);
    }
  }
  command_ = absl::StrJoin(words, " ");
  const Command& command = *chosen_.back();

  for (const auto& [option, flag] : tree.flags) {
    if (flag->results().empty()) continue;
    given->emplace(option, flag->results());
    if (option->name_ == "version") {
      *parsed = {kExitOk, absl::StrCat(program_.name, " ", Version(), "\n")};
      return absl::OkStatus();
    }
  }
  for (const std::string& rest : tree.app.remaining(true)) {
    if (rest != "--") return Reject(rest);
  }
  if (!command.commands_.empty() && (&command != &root_ || command_required_)) {
    return absl::InvalidArgumentError(
        absl::StrCat("give a command: ", absl::StrJoin(command.CommandNames(), ", "), "; ",
                     SeeHelp(program_.name, command_)));
  }
  if (command.positional_ != nullptr || command.positionals_ != nullptr) {
    const CLI::results_t& results = tree.positionals.at(&command)->results();
    if (results.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", command_, "' needs ", command.positional_name_, ": ", command.positional_help_));
    }
    if (command.positionals_ != nullptr) {
      *command.positionals_ = results;
    } else {
      *command.positional_ = results.back();
    }
  }
  return absl::OkStatus();
}

}  // namespace tokenwatch
