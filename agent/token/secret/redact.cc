#include "agent/token/secret/redact.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/ascii.h"
#include "agent/common/secret_buffer.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

// Of a window in base64 the digits at its ends may stand for other bytes too: what is left may hold
// no more than this many whole bytes.
constexpr size_t kBase64Window = SecretFinder::kWindow - 2;
static_assert(kStride + kBlock - 1 <= kBase64Window);
constexpr size_t kRepeats = 16;
// No format identifies itself in fewer bytes.
constexpr size_t kShortestToken = 16;

// What tokens, and what stands right before them, are made of.
bool IsOfWord(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("-_.~+/=:").find(c) != std::string_view::npos;
}

void Merge(std::vector<Region>* regions) {
  if (regions->size() < 2) return;
  std::sort(regions->begin(), regions->end(),
            [](const Region& a, const Region& b) { return a.begin < b.begin; });
  size_t last = 0;
  for (size_t i = 1; i < regions->size(); ++i) {
    if ((*regions)[i].begin <= (*regions)[last].end) {
      (*regions)[last].end = std::max((*regions)[last].end, (*regions)[i].end);
    } else {
      (*regions)[++last] = (*regions)[i];
    }
  }
  regions->resize(last + 1);
}

bool IsPlain(char c) { return c >= 0x20 && c <= 0x7e && c != '{' && c != '}'; }

// False where not all of it fitted.
bool AppendPrintable(std::string_view text, size_t bound, std::string* out) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  while (!text.empty()) {
    const auto plain =
        static_cast<size_t>(std::find_if_not(text.begin(), text.end(), IsPlain) - text.begin());
    const size_t fits = std::min(plain, bound - out->size());
    out->append(text.substr(0, fits));
    if (fits < plain) return false;
    text.remove_prefix(plain);
    if (text.empty()) break;
    if (out->size() + 3 > bound) return false;
    const auto byte = static_cast<unsigned char>(text.front());
    out->append({'%', kHex[byte >> 4], kHex[byte & 15]});
    text.remove_prefix(1);
  }
  return true;
}

enum class Kind { kLower, kUpper, kDigit, kOther };

Kind KindOf(char c) {
  if (absl::ascii_islower(static_cast<unsigned char>(c))) return Kind::kLower;
  if (absl::ascii_isupper(static_cast<unsigned char>(c))) return Kind::kUpper;
  if (absl::ascii_isdigit(static_cast<unsigned char>(c))) return Kind::kDigit;
  return Kind::kOther;
}

bool IsVowel(char c) {
  return std::string_view("aeiouy").find(absl::ascii_tolower(static_cast<unsigned char>(c))) !=
         std::string_view::npos;
}

}  // namespace

// Where the bytes of a decoded text came from in the text that was given.
class SecretFinder::Origins {
 public:
  // `percent` maps decoded offsets; null: the text itself.
  explicit Origins(const std::vector<uint32_t>* percent) : percent_(percent) {}
  // Base64 from `begin` on, decoded with `before` more digits in front.
  Origins(const std::vector<uint32_t>* percent, size_t begin, size_t before)
      : percent_(percent), base64_(true), begin_(begin), before_(before) {}

  Region Map(Region region) const {
    if (base64_) {
      const auto digit = [this](size_t at) { return begin_ + std::max(at, before_) - before_; };
      region = {digit(region.begin * 4 / 3), digit((region.end * 4 + 2) / 3)};
    }
    if (percent_ != nullptr) {
      region = {(*percent_)[region.begin], (*percent_)[std::min(region.end, percent_->size() - 1)]};
    }
    return region;
  }

 private:
  const std::vector<uint32_t>* percent_;
  bool base64_ = false;
  size_t begin_ = 0;
  size_t before_ = 0;
};

SecretFinder::SecretFinder(absl::Span<const std::string_view> secrets, TextBlocks* asked,
                           const TokenShapes* shapes)
    : secrets_(secrets.begin(), secrets.end()), asked_(asked), shapes_(shapes) {
  for (const std::string_view secret : secrets_) blocks_in_filter_ += secret.size() / kStride;
  // More room than it needs: a look at an empty place ends the search.
  filter_.Reset(2 * blocks_in_filter_);
  for (const std::string_view secret : secrets_) {
    AnyIndexedBlock(secret, [this](uint64_t block) {
      filter_.Add(block);
      return false;
    });
  }
}

SecretFinder::~SecretFinder() {
  filter_.Wipe();
  if (!blocks_.empty()) OPENSSL_cleanse(blocks_.data(), blocks_.size() * sizeof(Block));
}

void SecretFinder::Index() const {
  if (!blocks_.empty()) return;
  blocks_.reserve(blocks_in_filter_);
  for (uint32_t i = 0; i < secrets_.size(); ++i) {
    uint32_t at = 0;
    AnyIndexedBlock(secrets_[i], [&](uint64_t block) {
      blocks_.push_back({block, i, at, false});
      at += kStride;
      return false;
    });
  }
  std::sort(blocks_.begin(), blocks_.end(),
            [](const Block& a, const Block& b) { return a.bytes < b.bytes; });
  size_t kept = 0;
  for (size_t first = 0; first < blocks_.size();) {
    size_t next = first;
    while (next < blocks_.size() && blocks_[next].bytes == blocks_[first].bytes) ++next;
    const bool repeated = next - first > kRepeats;
    for (size_t i = first; i < (repeated ? first + 1 : next); ++i) {
      blocks_[kept] = blocks_[i];
      blocks_[kept++].repeated = repeated;
    }
    first = next;
  }
  indexed_ = kept;
}

std::vector<Region> SecretFinder::Search(std::string_view text, bool first_only) const {
  if (asked_ != nullptr) asked_->Add(text);
  std::vector<Region> found;
  if (blocks_in_filter_ != 0 && text.size() >= kShortest) SearchSecrets(text, first_only, &found);
  has_found_ = has_found_ || !found.empty();
  if (shapes_ != nullptr && !(first_only && !found.empty())) {
    SearchTokens(text, first_only, &found);
  }
  Merge(&found);
  return found;
}

void SecretFinder::SearchSecrets(std::string_view text, bool first_only,
                                 std::vector<Region>* found) const {
  // Nearly every text ends here.
  if (!AnyBlock(text, [this](uint64_t block) { return filter_.MayHold(block); })) return;
  Index();
  Scan(text, kWindow, Origins(nullptr), first_only, found);
  if (text.find('%') == std::string_view::npos) {
    ScanBase64(text, nullptr, first_only, found);
    return;
  }
  std::vector<uint32_t> percent;
  percent.reserve(text.size() + 1);
  const SecretBuffer decoded = DecodePercent(text, &percent);
  Scan(decoded.view(), kWindow, Origins(&percent), first_only, found);
  ScanBase64(decoded.view(), &percent, first_only, found);
}

void SecretFinder::SearchTokens(std::string_view text, bool first_only,
                                std::vector<Region>* found) const {
  const auto is_token = [this](std::string_view word) {
    return word.size() >= kShortestToken && shapes_->IsSelfIdentifying(word);
  };
  const auto take = [&](std::string_view word) {
    const auto begin = static_cast<size_t>(word.data() - text.data());
    found->push_back({begin, begin + word.size()});
  };
  for (size_t begin = 0; begin + kShortestToken <= text.size();) {
    size_t end = begin;
    while (end < text.size() && IsOfWord(text[end])) ++end;
    std::string_view word = text.substr(begin, end - begin);
    begin = end + 1;
    if (word.size() < kShortestToken) continue;
    if (is_token(word)) {
      take(word);
      if (first_only) return;
      continue;
    }
    // '=' at the end is padding.
    while (word.size() >= kShortestToken) {
      const size_t part = std::min(word.find_first_of("/=:"), word.size());
      const size_t padding = std::min(word.find_first_not_of('=', part), word.size());
      const bool padded = padding == word.size() || word[padding] == '/' || word[padding] == ':';
      const std::string_view piece = word.substr(0, padded ? padding : part);
      if (is_token(piece)) {
        take(piece);
        if (first_only) return;
      }
      word.remove_prefix(std::min(std::max(piece.size(), part + 1), word.size()));
    }
  }
}

Region SecretFinder::MatchAt(std::string_view text, size_t at, size_t window) const {
  const uint64_t bytes = LoadBlock(text.data() + at);
  const auto end = blocks_.begin() + static_cast<std::ptrdiff_t>(indexed_);
  auto block = std::lower_bound(blocks_.begin(), end, bytes,
                                [](const Block& b, uint64_t value) { return b.bytes < value; });
  for (; block != end && block->bytes == bytes; ++block) {
    const std::string_view secret = secrets_[block->secret];
    size_t before = 0;
    while (before < at && before < block->offset &&
           text[at - before - 1] == secret[block->offset - before - 1]) {
      ++before;
    }
    size_t length = kBlock;
    while (at + length < text.size() && block->offset + length < secret.size() &&
           text[at + length] == secret[block->offset + length]) {
      ++length;
    }
    if (block->repeated || before + length >= std::min(window, secret.size())) {
      return {at - before, at + length};
    }
  }
  return {};
}

void SecretFinder::Scan(std::string_view text, size_t window, const Origins& origins,
                        bool first_only, std::vector<Region>* found) const {
  if (first_only && !found->empty()) return;
  for (size_t at = 0; at + kBlock <= text.size();) {
    // Nearly every position ends here.
    if (!filter_.MayHold(LoadBlock(text.data() + at))) {
      ++at;
      continue;
    }
    const Region match = MatchAt(text, at, window);
    if (match.end == 0) {
      ++at;
    } else {
      found->push_back(origins.Map(match));
      if (first_only) return;
      at = match.end;
    }
  }
}

void SecretFinder::ScanBase64(std::string_view text, const std::vector<uint32_t>* percent,
                              bool first_only, std::vector<Region>* found) const {
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && Base64Value(text[end]) >= 0) ++end;
    // At each of the alignments that AnyBlockOfBase64 speaks of.
    for (size_t before = 0; before < 4 && end - begin >= kBase64Shortest; ++before) {
      SecretBuffer digits(std::string_view("AAA").substr(0, before));
      // A single digit of a group holds no whole byte.
      digits.Append(text.substr(begin, end - begin - ((before + end - begin) % 4 == 1 ? 1 : 0)));
      const std::optional<SecretBuffer> decoded = DecodeBase64(digits.view());
      if (decoded.has_value()) {
        Scan(decoded->view(), kBase64Window, Origins(percent, begin, before), first_only, found);
      }
    }
    begin = end + 1;
  }
}

std::string Printable(std::string_view text, size_t bound) {
  std::string out;
  AppendPrintable(text, bound, &out);
  return out;
}

bool IsPrintable(std::string_view text) { return std::all_of(text.begin(), text.end(), IsPlain); }

std::string SafeText(std::string_view text, size_t bound, const SecretFinder& secrets) {
  // A byte of the text gives at least one of the result; behind that only the rest of a secret
  // that began before matters, in base64 at the longest.
  text = text.substr(0, bound + 2 * SecretFinder::kWindow);
  std::string out;
  size_t at = 0;
  bool fits = true;
  for (const Region& region : secrets.Find(text)) {
    fits = AppendPrintable(text.substr(at, region.begin - at), bound, &out) &&
           out.size() + kSecretMark.size() <= bound;
    if (!fits) break;
    out.append(kSecretMark);
    at = region.end;
  }
  if (fits) AppendPrintable(text.substr(at), bound, &out);
  return secrets.Occurs(out) ? std::string(kSecretMark) : out;
}

bool LooksLikeSecret(std::string_view piece) {
  constexpr size_t kShortestPiece = 20;
  constexpr size_t kShortestRun = 11;
  constexpr double kWordsVowels = 0.40;
  constexpr double kThreshold = 0.65;
  if (piece.size() < kShortestPiece) return false;
  size_t changes = 0, letters = 0, vowels = 0, characters = 0, run = 0, longest_run = 0;
  Kind last = Kind::kOther;
  for (const char c : piece) {
    const Kind kind = KindOf(c);
    run = c == '-' || c == '_' ? 0 : run + 1;
    longest_run = std::max(longest_run, run);
    if (kind != Kind::kOther) {
      ++characters;
      // A capital before a small letter begins a word.
      const bool begins_word = last == Kind::kUpper && kind == Kind::kLower;
      if (last != Kind::kOther && kind != last && !begins_word) ++changes;
      if (kind != Kind::kDigit) {
        ++letters;
        if (IsVowel(c)) ++vowels;
      }
    }
    last = kind;
  }
  if (longest_run < kShortestRun || letters == 0) return false;
  const double change_share = static_cast<double>(changes) / static_cast<double>(characters);
  const double vowel_share = static_cast<double>(vowels) / static_cast<double>(letters);
  return 3 * change_share + 2 * std::max(0.0, kWordsVowels - vowel_share) >= kThreshold;
}

}  // namespace tokenwatch
