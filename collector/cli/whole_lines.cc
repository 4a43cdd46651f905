#include "collector/cli/whole_lines.h"

#include <climits>
#include <cstdio>

namespace tokenwatch {

bool WriteWholeLines(std::string_view text, std::ostream* out) {
  if (text.empty()) out->flush();
  while (!text.empty() && out->good()) {
    size_t part = 0;
    while (part < text.size()) {
      const size_t end = text.find('\n', part);
      const size_t next = end == std::string_view::npos ? text.size() : end + 1;
      if (part != 0 && next > PIPE_BUF) break;
      part = next;
    }
    out->write(text.data(), static_cast<std::streamsize>(part));
    out->flush();
    text.remove_prefix(part);
  }
  return out->good();
}

void BufferWholeLines() {
  static char buffer[size_t{1} << 18];  // as long-lived as the stream
  std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

}  // namespace tokenwatch
