#include "agent/token/carriers/field_text.h"

namespace tokenwatch {
namespace {

bool Separates(char c, bool ampersand) {
  return c == ' ' || c == '\t' || c == ',' || c == ';' || (ampersand && c == '&');
}

// Of a scheme's name or a parameter's before a bare value; 0: there is none.
size_t SizeOfWhatComesBefore(std::string_view text) {
  constexpr std::string_view kWords[] = {"bearer", "token"};
  constexpr std::string_view kNames[] = {
      "token=", "access_token=", "api_key=", "api-key=", "apikey=", "key=", "bearer="};
  for (const std::string_view word : kWords) {
    if (text.size() <= word.size() || !BeginsIgnoringCase(text, word)) continue;
    const char next = text[word.size()];
    if (IsBlank(next) || next == ':' || next == '+') return word.size() + 1;
  }
  for (const std::string_view name : kNames) {
    // Base64 of something short ends in '=', too.
    if (BeginsIgnoringCase(text, name) &&
        text.find_first_not_of('=', name.size()) != std::string_view::npos) {
      return name.size();
    }
  }
  return 0;
}

}  // namespace

std::string_view Unquote(std::string_view text) {
  if (text.size() >= 2 && text.front() == text.back() &&
      (text.front() == '"' || text.front() == '\'')) {
    return TrimBlanks(text.substr(1, text.size() - 2));
  }
  return text;
}

std::string_view FirstWord(std::string_view text, size_t bound) {
  bound = std::min(bound, text.size());
  size_t end = 0;
  while (end < bound && !IsBlank(text[end])) ++end;
  return text.substr(0, end);
}

std::string_view BareValue(std::string_view text) {
  constexpr int kLayersMax = 4;
  text = Unquote(TrimBlanks(text));
  for (int layer = 0; layer < kLayersMax; ++layer) {
    const size_t before = SizeOfWhatComesBefore(text);
    if (before == 0) break;
    text = Unquote(TrimBlanks(text.substr(before)));
  }
  return text;
}

size_t QuotedEnd(std::string_view text, size_t begin) {
  size_t at = begin + 1;
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return std::min(at + 1, text.size());
}

std::optional<FieldParameter> FindFieldParameter(std::string_view text, std::string_view name,
                                                 bool ampersand) {
  size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && Separates(text[at], ampersand)) ++at;
    const size_t begin = at;
    while (at < text.size() && text[at] != '=' && !Separates(text[at], ampersand)) ++at;
    const bool matches = EqualsIgnoreCase(text.substr(begin, at - begin), name);
    if (at == text.size() || text[at] != '=') continue;
    ++at;
    const size_t value = at;
    if (at == text.size() || text[at] != '"') {
      while (at < text.size() && !Separates(text[at], ampersand)) ++at;
      if (matches) return FieldParameter{text.substr(value, at - value), at < text.size()};
      continue;
    }
    bool escaped = false;
    for (++at; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) {
        escaped = true;
        ++at;
      }
    }
    const size_t end = std::min(at, text.size());
    if (matches) {
      return FieldParameter{text.substr(value + 1, end - value - 1), end < text.size(), escaped};
    }
    at = std::min(at + 1, text.size());
  }
  return std::nullopt;
}

std::string_view QueryValue(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = NextPair(&query);
    const size_t equals = std::min(pair.find('='), pair.size());
    if (EqualsIgnoreCase(pair.substr(0, equals), name)) {
      return pair.substr(std::min(equals + 1, pair.size()));
    }
  }
  return {};
}

}  // namespace tokenwatch
