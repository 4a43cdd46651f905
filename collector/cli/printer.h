// Objects as a person or a script asked for them.
#ifndef TOKENWATCH_COLLECTOR_CLI_PRINTER_H_
#define TOKENWATCH_COLLECTOR_CLI_PRINTER_H_

#include <ostream>
#include <string>
#include <vector>

#include "collector/cli/rows.h"

namespace tokenwatch {

struct OutputOptions {
  std::string form = "table";  // or json, one object a line; or csv; or of tail alone, ocsf
  size_t width = 0;            // of the terminal; 0 where there is none
  bool utf8 = true;            // what is drawn may be other than ASCII
};

// Prints in as many parts as the caller likes, under one heading. Not thread safe.
class Printer {
 public:
  // `out` must outlive this.
  Printer(const OutputOptions& options, const RowKind& kind, std::ostream* out)
      : options_(options), kind_(kind), out_(out) {}

  // Prints and flushes. False once writing has failed.
  bool Print(const std::vector<Json>& objects);

  // Ends the part: an empty CSV still has its heading.
  void Finish();

 private:
  const OutputOptions& options_;
  const RowKind& kind_;
  std::ostream* out_;
  bool heading_ = true;
};

// One line, in which all but ASCII is \u-escaped: a terminal can show it.
void PrintJson(const Json& object, std::ostream* out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_PRINTER_H_
