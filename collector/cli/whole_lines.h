// Lines that a kill does not cut.
#ifndef TOKENWATCH_COLLECTOR_CLI_WHOLE_LINES_H_
#define TOKENWATCH_COLLECTOR_CLI_WHOLE_LINES_H_

#include <ostream>
#include <string_view>

namespace tokenwatch {

// Writes the lines of `text` in parts of whole lines, each flushed before the next and as long as a
// pipe takes whole or not at all (PIPE_BUF), so that who is killed in between has written whole
// lines. A line that is longer is a part of its own. False where the stream failed.
bool WriteWholeLines(std::string_view text, std::ostream* out);

// Gives standard output a buffer that a part, and any line within reason, goes out of in one
// write(2). To be called before anything is written.
void BufferWholeLines();

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_WHOLE_LINES_H_
