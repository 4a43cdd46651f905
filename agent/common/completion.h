// Completion of a program's commands and flags in shells, made from the tree that parses them.
#ifndef TOKENWATCH_AGENT_COMMON_COMPLETION_H_
#define TOKENWATCH_AGENT_COMMON_COMPLETION_H_

#include <string>
#include <vector>

namespace tokenwatch {

struct CompletionFlag {
  std::string name;  // "--like-this"
  std::string help;
  std::string placeholder;         // of its value; empty: it takes none
  std::vector<std::string> words;  // all that its value may be; empty: anything
};

struct CompletionCommand {
  std::string name, help;  // the root's name is the program's
  std::vector<CompletionFlag> flags;
  std::vector<CompletionCommand> commands;
  bool takes_files = false;  // as arguments
};

// Shells that CompletionScript knows.
const std::vector<std::string>& CompletionShells();

// A script for "bash", "zsh" or "fish". The root's flags may follow every command.
std::string CompletionScript(const std::string& shell, const CompletionCommand& root);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_COMPLETION_H_
