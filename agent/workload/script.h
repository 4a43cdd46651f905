// What an interpreter runs.
#ifndef TOKENWATCH_AGENT_WORKLOAD_SCRIPT_H_
#define TOKENWATCH_AGENT_WORKLOAD_SCRIPT_H_

#include <array>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

// How to tell an interpreter's script from its options. Lists are words with blanks between.
struct InterpreterRow {
  std::string_view names;  // file names of the executable; digits and dots may follow
  // Single-letter options as they may be joined behind one '-'.
  std::string_view code_letters;      // code follows, or comes from elsewhere: there is no script
  std::string_view value_letters;     // a value follows, joined or as the next argument
  std::string_view attached_letters;  // the rest of the argument is their value
  // Their value is joined and may end before the argument does: a letter of code_letters in the
  // rest is taken for an option.
  std::string_view partial_letters;
  std::string_view file_letters;    // the script follows, joined or as the next argument
  std::string_view module_letters;  // the name of a module follows, likewise
  // Whole options.
  std::string_view code_options;   // there is no script
  std::string_view value_options;  // the next argument is their value
  std::string_view file_options;   // the next argument, or what follows '=', is the script
  std::string_view skipped;        // first arguments that only say what to do with the script
  std::string_view no_script;      // first arguments that have none
  // The options are so many that one unknown here could have a value, which then stands where the
  // script is expected: only what looks like a script's path is taken for one.
  bool open_options = false;
  struct Sample {
    std::string_view command;  // arguments with single blanks between
    std::string_view script;
  };
  std::array<Sample, 12> samples = {};  // unused ones are empty; a test walks them
};

absl::Span<const InterpreterRow> Interpreters();

struct Script {
  enum class Kind {
    kNone,    // the executable is no interpreter, or runs no script
    kPath,    // `text` is a path as it was given, and no URL
    kModule,  // `text` is the name of a Python module
    kCut,     // the arguments end before the script
  };
  Kind kind = Kind::kNone;
  std::string_view text;  // a part of `arguments`
};

// `arguments` is a process's argument area: arguments, each ended by a NUL, of which the last one
// is incomplete where its NUL is missing and `cut` is set. Nothing of it is copied.
Script FindScript(std::string_view exe, std::string_view arguments, bool cut);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_SCRIPT_H_
