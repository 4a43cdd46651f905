// Requests with a made-up secret in them, and whether a text gives a secret away.
//
// The input is text, so that seeds can be read and mutations stay meaningful. In it \x01 stands for
// the secret, \x02 for the base64 of "user:" and the secret, \x03 for the secret percent-encoded,
// \x04 for its first 13 bytes, \x05 for a line end, \x06 for the secret in the URL's base64.
#ifndef TOKENWATCH_TESTS_FUZZ_HIDDEN_SECRET_H_
#define TOKENWATCH_TESTS_FUZZ_HIDDEN_SECRET_H_

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "agent/http/exchange.h"

namespace tokenwatch {

inline constexpr size_t kWindow = 12;
inline constexpr std::string_view kSecret = "q7Rz-0b_9Xw+K/tLm3VhY5uJ8sDf";

inline void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

inline std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

inline std::string PercentDecode(std::string_view text) {
  const auto value = [](char c) {
    const size_t at = std::string_view("0123456789abcdef0123456789ABCDEF").find(c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at % 16);
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && value(text[i + 1]) >= 0 &&
        value(text[i + 2]) >= 0) {
      out += static_cast<char>(value(text[i + 1]) * 16 + value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// What base64 of anything that holds `window` behind `before` bytes holds, whatever is around it.
inline std::string Base64Core(std::string_view window, size_t before) {
  std::string padded(before, 'x');
  padded.append(window).append("xx");
  const std::string encoded = absl::Base64Escape(padded);
  const size_t begin = (before * 8 + 5) / 6;
  const size_t end = (before + window.size()) * 8 / 6;
  return encoded.substr(begin, end - begin);
}

inline std::string WebSafe(std::string text) {
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

// No 12 bytes in a row of `secret` are in `text` as they are, percent-encoded or in base64 at any
// of the three alignments.
inline void CheckHidden(std::string_view secret, const std::string& text) {
  // A long secret's ends stand for all of it.
  constexpr size_t kEnd = 24;
  const std::string decoded = PercentDecode(text);
  const std::string plain_base64 = WebSafe(text);
  const std::string decoded_base64 = WebSafe(decoded);
  for (size_t at = 0; at + kWindow <= secret.size(); ++at) {
    if (at == kEnd && secret.size() > 2 * kEnd + kWindow) at = secret.size() - kEnd - kWindow;
    const std::string window(secret.substr(at, kWindow));
    Check(text.find(window) == std::string::npos, "no part of a secret is shown");
    Check(decoded.find(window) == std::string::npos, "none percent-encoded");
    for (size_t before = 0; before < 3; ++before) {
      const std::string core = WebSafe(Base64Core(window, before));
      Check(plain_base64.find(core) == std::string::npos, "none in base64");
      Check(decoded_base64.find(core) == std::string::npos, "none in percent-encoded base64");
    }
  }
}

inline std::string Expand(std::string_view input) {
  std::string text;
  for (const char c : input) {
    switch (c) {
      case 1:
        text += kSecret;
        break;
      case 2:
        text += absl::Base64Escape("user:" + std::string(kSecret));
        break;
      case 3:
        text += PercentEncode(kSecret);
        break;
      case 4:
        text += kSecret.substr(0, 13);
        break;
      case 6:
        text += absl::WebSafeBase64Escape(std::string(kSecret));
        break;
      default:
        text += c;
    }
  }
  return text;
}

inline std::string_view TakeLine(std::string_view* text) {
  const std::string_view line = text->substr(0, text->find('\n'));
  text->remove_prefix(std::min(line.size() + 1, text->size()));
  return line;
}

// A request as text: a first line of flags (letters: t TLS, i inbound, c cut), then "METHOD
// target", then fields as "Name: value".
class RequestText {
 public:
  explicit RequestText(std::string_view input) : text_(Expand(input)) {
    std::string_view rest = text_;
    flags_ = TakeLine(&rest);
    head_.exchange = 1;
    head_.tls = Has('t');
    head_.inbound = Has('i');
    head_.cut = Has('c');
    const std::string_view start = TakeLine(&rest);
    head_.method = start.substr(0, start.find(' '));
    head_.target = start.substr(std::min(head_.method.size() + 1, start.size()));
    while (!rest.empty()) {
      const std::string_view line = TakeLine(&rest);
      const size_t colon = std::min(line.find(": "), line.size());
      fields_.push_back({line.substr(0, colon), line.substr(std::min(colon + 2, line.size()))});
    }
    std::replace(text_.begin(), text_.end(), '\x05', '\n');
    head_.fields = fields_;
  }
  RequestText(const RequestText&) = delete;
  RequestText& operator=(const RequestText&) = delete;

  bool Has(char flag) const { return flags_.find(flag) != std::string_view::npos; }
  const RequestHead& head() const { return head_; }
  std::string_view text() const { return text_; }

 private:
  std::string text_;
  std::string_view flags_;
  std::vector<HeaderField> fields_;
  RequestHead head_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_FUZZ_HIDDEN_SECRET_H_
