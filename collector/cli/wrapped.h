// Sentences in a terminal.
#ifndef TOKENWATCH_COLLECTOR_CLI_WRAPPED_H_
#define TOKENWATCH_COLLECTOR_CLI_WRAPPED_H_

#include <cstddef>
#include <string>

namespace tokenwatch {

// `text`, ShownSafely, in lines of at most `width` cells that are broken at blanks, all but the
// first behind `indent` blanks; the first begins at `indent`, too. 0: one line. Ends in a newline.
std::string Wrapped(const std::string& text, size_t width, size_t indent);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_WRAPPED_H_
