// Text of unknown origin in messages that people read.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_SHOWN_TEXT_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_SHOWN_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace tokenwatch {

// Valid UTF-8 on one line, of at most `most` bytes: what moves a cursor, ends a line, hides or
// turns the direction of text becomes a blank, or U+FFFD where it is no UTF-8; what is cut ends in
// "...".
std::string ShownText(std::string_view text, size_t most);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_SHOWN_TEXT_H_
