#include "collector/ingest/valid_utf8.h"

#include <algorithm>
#include <boost/locale/utf.hpp>

#include "absl/strings/str_cat.h"

namespace tokenwatch {

std::string ValidUtf8(std::string_view bytes) {
  namespace utf = boost::locale::utf;
  const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(bytes.begin(), bytes.end(), ascii)) return std::string(bytes);
  std::string text;
  for (const char* at = bytes.begin(); at != bytes.end();) {
    const char* const begin = at;
    const utf::code_point point = utf::utf_traits<char>::decode(at, bytes.end());
    if (utf::is_valid_codepoint(point)) {
      text.append(begin, at);
      continue;
    }
    at = begin + 1;
    absl::StrAppend(&text, "\\x", absl::Hex(static_cast<unsigned char>(*begin), absl::kZeroPad2));
  }
  return text;
}

}  // namespace tokenwatch
