#include "agent/token/answers/www_authenticate.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"

namespace tokenwatch {
namespace {

constexpr size_t kChallengesMax = 16;
constexpr size_t kParametersMax = 16;

bool IsTokenByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

class Parser {
 public:
  explicit Parser(std::string_view field) : rest_(field) {}

  std::vector<Challenge> Parse() {
    while (true) {
      SkipBlanks();
      if (rest_.empty()) break;
      if (rest_.front() == ',') {
        rest_.remove_prefix(1);
      } else if (!TakeItem()) {
        SkipToComma();
      }
    }
    return std::move(challenges_);
  }

 private:
  void SkipBlanks() {
    while (!rest_.empty() && IsBlank(rest_.front())) rest_.remove_prefix(1);
  }

  bool Take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view TakeToken() {
    const auto end = static_cast<size_t>(std::find_if_not(rest_.begin(), rest_.end(), IsTokenByte) -
                                         rest_.begin());
    const std::string_view token = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return token;
  }

  // Also past quoted commas.
  void SkipToComma() {
    while (!rest_.empty() && rest_.front() != ',') {
      Challenge::Parameter ignored;
      if (!Take('"')) {
        rest_.remove_prefix(1);
      } else {
        TakeQuoted(&ignored);
      }
    }
  }

  // Behind the opening quote; what is not closed ends with the field.
  void TakeQuoted(Challenge::Parameter* parameter) {
    size_t end = 0;
    while (end < rest_.size() && rest_[end] != '"') {
      if (rest_[end] == '\\') {
        parameter->escaped = true;
        ++end;
      }
      ++end;
    }
    end = std::min(end, rest_.size());
    parameter->value = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
  }

  // A scheme, or a parameter of the last one: only what follows tells which.
  bool TakeItem() {
    const std::string_view token = TakeToken();
    if (token.empty()) return false;
    SkipBlanks();
    if (rest_.starts_with('=')) return TakeParameter(token);
    // A token68 ends in what no parameter's name holds; alone it looks like another scheme, so it
    // must stand right behind one.
    if (in_scheme_ && !challenges_.empty() && challenges_.back().parameters.empty() &&
        (rest_.empty() || rest_.front() == ',' || rest_.front() == '/')) {
      in_scheme_ = false;
      return !rest_.starts_with('/');
    }
    dropped_ = challenges_.size() == kChallengesMax;
    if (!dropped_) challenges_.push_back({token, {}});
    in_scheme_ = !rest_.empty() && rest_.front() != ',';
    return true;
  }

  bool TakeParameter(std::string_view name) {
    Take('=');
    SkipBlanks();
    in_scheme_ = false;
    Challenge::Parameter parameter;
    parameter.name = name;
    if (Take('"')) {
      TakeQuoted(&parameter);
    } else {
      // Some send URLs and lists of scopes without quotes.
      parameter.value = rest_.substr(0, std::min(rest_.find_first_of(", \t"), rest_.size()));
      rest_.remove_prefix(parameter.value.size());
      // Base64 behind a scheme ends in '=' and is no parameter.
      if (parameter.value.empty() || parameter.value.front() == '=') return false;
    }
    if (challenges_.empty() || dropped_) return true;
    std::vector<Challenge::Parameter>& parameters = challenges_.back().parameters;
    if (parameters.size() < kParametersMax) parameters.push_back(parameter);
    return true;
  }

  std::string_view rest_;
  std::vector<Challenge> challenges_;
  bool in_scheme_ = false;  // a scheme and a blank were the last
  bool dropped_ = false;    // the last scheme was one too many
};

}  // namespace

std::string Challenge::Value(std::string_view name, size_t bound) const {
  for (const Parameter& parameter : parameters) {
    if (!EqualsIgnoreCase(parameter.name, name)) continue;
    std::string text;
    bool quoted = false;
    for (const char c : parameter.value) {
      if (text.size() == bound) break;
      if (parameter.escaped && c == '\\' && !quoted) {
        quoted = true;
      } else {
        quoted = false;
        text += c;
      }
    }
    return text;
  }
  return {};
}

std::vector<Challenge> ParseChallenges(std::string_view field) { return Parser(field).Parse(); }

}  // namespace tokenwatch
