// Text of unknown origin as valid UTF-8.
#ifndef TOKENWATCH_AGENT_COMMON_UTF8_H_
#define TOKENWATCH_AGENT_COMMON_UTF8_H_

#include <string>
#include <string_view>

namespace tokenwatch {

inline constexpr char32_t kReplacementCharacter = 0xfffd;

// Takes the first code point off `*text`, which is not empty. What is no UTF-8 (also: overlong
// forms, surrogates, beyond U+10FFFF) becomes U+FFFD, one for each maximal part that could have
// begun a character, as the Unicode standard recommends (section 3.9).
char32_t TakeCodePoint(std::string_view* text);

void AppendUtf8(char32_t code_point, std::string* text);

// What a terminal or a page acts on instead of showing it: controls, spaces without width, line and
// paragraph separators, what turns the direction of text, and tags.
bool IsUnsafeToShow(char32_t code_point);

bool IsValidUtf8(std::string_view text);

// `text` with U+FFFD where it is no UTF-8.
std::string ReplaceInvalidUtf8(std::string_view text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_UTF8_H_
