#include "agent/token/formats/format_pattern.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kDepthMax = 16;
constexpr size_t kTextsMax = 16;     // alternatives that are kept apart
constexpr size_t kRepeatMax = 1000;  // RE2's own bound

size_t Plus(size_t a, size_t b) {
  return a == PatternFacts::kUnbounded || b == PatternFacts::kUnbounded ? PatternFacts::kUnbounded
                                                                        : a + b;
}

size_t Times(size_t a, size_t n) {
  if (a == 0 || n == 0) return 0;
  if (a == PatternFacts::kUnbounded || n == PatternFacts::kUnbounded ||
      a > PatternFacts::kUnbounded / 2 / n) {
    return PatternFacts::kUnbounded;
  }
  return a * n;
}

// A piece of a pattern. Where `texts` are given, it matches those and nothing else, and they are
// equally long.
struct Piece {
  size_t min = 0;
  size_t max = 0;
  std::vector<std::string> texts;
  size_t hidden = 0;  // PatternFacts has it
};
using Sequence = std::vector<Piece>;

class Parser {
 public:
  explicit Parser(std::string_view pattern) : rest_(pattern) {}

  bool has_public() const { return has_public_; }
  absl::StatusOr<Sequence> Parse() {
    absl::StatusOr<Sequence> all = Alternatives(0);
    if (all.ok() && !rest_.empty()) return Refuse("a ')' without '('");
    return all;
  }

 private:
  static absl::Status Refuse(const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat("the pattern has ", what));
  }
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  absl::StatusOr<Sequence> Alternatives(size_t depth);
  absl::StatusOr<Sequence> OneAlternative(size_t depth);
  absl::StatusOr<Sequence> Atom(size_t depth);
  absl::StatusOr<Sequence> Group(size_t depth);
  absl::StatusOr<Piece> Escape();
  absl::Status SkipClass();
  absl::Status Repeat(Sequence* atom);
  std::optional<size_t> Number();

  std::string_view rest_;
  bool has_public_ = false;
};

// All of a sequence as one piece; its texts are dropped.
Piece Whole(const Sequence& sequence) {
  Piece whole;
  for (const Piece& piece : sequence) {
    whole.min = Plus(whole.min, piece.min);
    whole.max = Plus(whole.max, piece.max);
    whole.hidden = Plus(whole.hidden, piece.hidden);
  }
  return whole;
}

// The texts of a sequence of nothing but texts; empty where it is not, or they are too many.
std::vector<std::string> TextsOf(const Sequence& sequence) {
  std::vector<std::string> texts = {""};
  for (const Piece& piece : sequence) {
    if (piece.texts.empty() || texts.size() * piece.texts.size() > kTextsMax) return {};
    std::vector<std::string> longer;
    for (const std::string& text : texts) {
      for (const std::string& next : piece.texts) longer.push_back(text + next);
    }
    texts = std::move(longer);
  }
  return texts;
}

absl::StatusOr<Sequence> Parser::Alternatives(size_t depth) {
  if (depth > kDepthMax) return Refuse("groups in too many groups");
  absl::StatusOr<Sequence> first = OneAlternative(depth);
  if (!first.ok() || rest_.empty() || rest_.front() != '|') return first;
  Piece all = Whole(*first);
  all.texts = TextsOf(*first);
  bool exact = !all.texts.empty();
  while (Take('|')) {
    const absl::StatusOr<Sequence> next = OneAlternative(depth);
    if (!next.ok()) return next;
    const Piece whole = Whole(*next);
    const std::vector<std::string> texts = TextsOf(*next);
    exact = exact && !texts.empty() && whole.min == all.min && whole.max == all.max &&
            all.texts.size() + texts.size() <= kTextsMax;
    if (exact) all.texts.insert(all.texts.end(), texts.begin(), texts.end());
    all.min = std::min(all.min, whole.min);
    all.max = std::max(all.max, whole.max);
    all.hidden = std::min(all.hidden, whole.hidden);
  }
  if (!exact) all.texts.clear();
  return Sequence{std::move(all)};
}

absl::StatusOr<Sequence> Parser::OneAlternative(size_t depth) {
  Sequence sequence;
  while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') {
    absl::StatusOr<Sequence> atom = Atom(depth);
    if (!atom.ok()) return atom;
    if (absl::Status status = Repeat(&*atom); !status.ok()) return status;
    std::move(atom->begin(), atom->end(), std::back_inserter(sequence));
  }
  return sequence;
}

absl::StatusOr<Sequence> Parser::Atom(size_t depth) {
  const char c = rest_.front();
  rest_.remove_prefix(1);
  switch (c) {
    case '(':
      return Group(depth);
    case '[':
      if (absl::Status status = SkipClass(); !status.ok()) return status;
      return Sequence{{1, 1, {}, 1}};
    case '.':
      return Sequence{{1, 1, {}, 1}};
    case '\\': {
      absl::StatusOr<Piece> piece = Escape();
      if (!piece.ok()) return piece.status();
      return Sequence{*std::move(piece)};
    }
    case '^':
    case '$':
      return Refuse("a '^' or '$': it is matched against the whole secret anyway");
    case '*':
    case '+':
    case '?':
    case '{':
    case '}':
    case ']':
      return Refuse(absl::StrCat("a '", std::string(1, c), "' that repeats or ends nothing"));
    default:
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) {
        return Refuse("a character that is not printable ASCII");
      }
      return Sequence{{1, 1, {std::string(1, c)}}};
  }
}

absl::StatusOr<Sequence> Parser::Group(size_t depth) {
  bool is_public = false;
  if (Take('?')) {
    if (Take('P')) {
      const size_t end = rest_.find('>');
      if (!Take('<') || end == std::string_view::npos) return Refuse("a group of unknown kind");
      is_public = rest_.substr(0, end - 1) == "public";
      rest_.remove_prefix(end);
    } else if (!Take(':')) {
      return Refuse("a group of unknown kind; flags and looking around are not understood");
    }
  }
  absl::StatusOr<Sequence> inside = Alternatives(depth + 1);
  if (inside.ok() && !Take(')')) return Refuse("a '(' without ')'");
  if (inside.ok() && is_public) {
    has_public_ = true;
    for (Piece& piece : *inside) piece.hidden = 0;
  }
  return inside;
}

absl::StatusOr<Piece> Parser::Escape() {
  if (rest_.empty()) return Refuse("a '\\' at its end");
  const char c = rest_.front();
  rest_.remove_prefix(1);
  if (std::string_view("dDwWsS").find(c) != std::string_view::npos) return Piece{1, 1, {}, 1};
  if (!absl::ascii_ispunct(static_cast<unsigned char>(c))) {
    return Refuse(absl::StrCat("an escape that is not understood, '\\", std::string(1, c), "'"));
  }
  return Piece{1, 1, {std::string(1, c)}};
}

absl::Status Parser::SkipClass() {
  Take('^');
  bool first = true;
  while (!rest_.empty()) {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == ']' && !first) return absl::OkStatus();
    first = false;
    if (c == '\\') {
      if (absl::Status status = Escape().status(); !status.ok()) return status;
    } else if (c == '[' && rest_.starts_with(":")) {
      const size_t end = rest_.find(":]");
      if (end == std::string_view::npos) break;
      rest_.remove_prefix(end + 2);
    }
  }
  return Refuse("a '[' without ']'");
}

std::optional<size_t> Parser::Number() {
  size_t number = 0;
  size_t digits = 0;
  while (!rest_.empty() && absl::ascii_isdigit(static_cast<unsigned char>(rest_.front()))) {
    if (++digits > 4) return std::nullopt;
    number = number * 10 + static_cast<size_t>(rest_.front() - '0');
    rest_.remove_prefix(1);
  }
  if (digits == 0) return std::nullopt;
  return number;
}

absl::Status Parser::Repeat(Sequence* atom) {
  size_t min = 1;
  size_t max = 1;
  if (Take('*')) {
    min = 0;
    max = PatternFacts::kUnbounded;
  } else if (Take('+')) {
    max = PatternFacts::kUnbounded;
  } else if (Take('?')) {
    min = 0;
  } else if (Take('{')) {
    const std::optional<size_t> from = Number();
    std::optional<size_t> to = from;
    if (from.has_value() && Take(',')) {
      to = rest_.starts_with("}") ? PatternFacts::kUnbounded : Number();
    }
    if (!from.has_value() || !to.has_value() || !Take('}') || *to < *from || *from > kRepeatMax ||
        (*to > kRepeatMax && *to != PatternFacts::kUnbounded)) {
      return Refuse(
          absl::StrCat("a repetition that is not understood; {n}, {n,} and {n,m} are, up "
                       "to ",
                       kRepeatMax));
    }
    min = *from;
    max = *to;
  } else {
    return absl::OkStatus();
  }
  Take('?');  // which of several ways it matches says nothing here
  if (!rest_.empty() && std::string_view("*+?{").find(rest_.front()) != std::string_view::npos) {
    return Refuse("a repetition of a repetition");
  }
  Piece whole = Whole(*atom);
  const std::vector<std::string> texts = TextsOf(*atom);
  if (min == max && texts.size() == 1 && texts.front().size() * min <= kRepeatMax) {
    std::string text;
    for (size_t i = 0; i < min; ++i) text += texts.front();
    whole.texts = {std::move(text)};
  }
  whole.min = Times(whole.min, min);
  whole.max = Times(whole.max, max);
  whole.hidden = Times(whole.hidden, min);
  *atom = {std::move(whole)};
  return absl::OkStatus();
}

// A run of texts, one behind the other.
struct Run {
  std::optional<size_t> at;  // nothing where the place is not fixed
  std::vector<std::string> texts = {""};

  size_t size() const { return texts.front().size(); }
};

void Close(Run* run, PatternFacts* facts) {
  facts->literals += run->size();
  facts->longest_literal = std::max(facts->longest_literal, run->size());
  const size_t known = facts->anchors.empty() ? 0 : facts->anchors.front().size();
  // A beginning of four characters is looked up at once; a place further on is tried for each
  // secret.
  if (known >= 4 && facts->anchor_at == 0) return;
  if (run->at.has_value() && run->size() > known) {
    facts->anchor_at = *run->at;
    facts->anchors = run->texts;
  }
}

}  // namespace

absl::StatusOr<PatternFacts> AnalysePattern(std::string_view pattern) {
  Parser parser(pattern);
  const absl::StatusOr<Sequence> sequence = parser.Parse();
  if (!sequence.ok()) return sequence.status();
  PatternFacts facts;
  facts.has_public = parser.has_public();
  Run run{0, {""}};
  for (const Piece& piece : *sequence) {
    const bool fits = !piece.texts.empty() && run.texts.size() * piece.texts.size() <= kTextsMax;
    if (!fits) {
      Close(&run, &facts);
      run = Run{std::nullopt, {""}};
    }
    if (!piece.texts.empty()) {
      if (!fits && facts.min_length == facts.max_length) run.at = facts.min_length;
      std::vector<std::string> longer;
      for (const std::string& text : run.texts) {
        for (const std::string& next : piece.texts) longer.push_back(text + next);
      }
      run.texts = std::move(longer);
    }
    facts.min_length = Plus(facts.min_length, piece.min);
    facts.max_length = Plus(facts.max_length, piece.max);
    facts.hidden = Plus(facts.hidden, piece.hidden);
    if (piece.texts.empty() && facts.min_length == facts.max_length) run.at = facts.min_length;
  }
  Close(&run, &facts);
  return facts;
}

}  // namespace tokenwatch
