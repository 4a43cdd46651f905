// Made-up secrets and the samples that hold them.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_MADE_UP_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_MADE_UP_H_

#include <random>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"

namespace tokenwatch {

inline constexpr std::string_view kBase62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// The same in every run; never twice the same in one.
inline std::string MadeUp(size_t length, std::string_view alphabet = kBase62) {
  static std::mt19937 random(20260101);
  std::string text;
  for (size_t i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
  return text;
}

inline std::string Base64(const std::string& text) { return absl::Base64Escape(text); }

inline std::string UrlBase64(const std::string& text) {
  std::string encoded = absl::WebSafeBase64Escape(text);
  encoded.resize(encoded.find_last_not_of('=') + 1);
  return encoded;
}

// Fills in a sample of agent/token/carriers/carriers.h.
inline std::string Expand(std::string_view sample, const std::string& secret,
                          const std::string& user) {
  std::string text;
  while (!sample.empty()) {
    if (sample.starts_with("<S>")) {
      text += secret;
      sample.remove_prefix(3);
    } else if (sample.starts_with("<U>")) {
      text += user;
      sample.remove_prefix(3);
    } else if (sample.starts_with("<64:") || sample.starts_with("<64u:")) {
      const bool of_urls = sample[3] == 'u';
      const size_t begin = of_urls ? 5 : 4;
      size_t end = begin;
      for (int depth = 1; depth > 0; ++end) {
        depth += sample[end] == '<' ? 1 : sample[end] == '>' ? -1 : 0;
      }
      const std::string inside = Expand(sample.substr(begin, end - begin - 1), secret, user);
      text += of_urls ? UrlBase64(inside) : Base64(inside);
      sample.remove_prefix(end);
    } else {
      text += sample.front();
      sample.remove_prefix(1);
    }
  }
  return text;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_MADE_UP_H_
