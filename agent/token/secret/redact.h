// Keeping known secrets, and bytes that cannot be shown, out of strings that are kept.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_REDACT_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_REDACT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "agent/token/secret/blocks.h"

namespace tokenwatch {

// What stands where a secret stood.
inline constexpr std::string_view kSecretMark = "{secret}";

// Half-open range of bytes.
struct Region {
  size_t begin = 0;
  size_t end = 0;
};

// What is known of the shapes of tokens.
class TokenShapes {
 public:
  virtual ~TokenShapes() = default;
  // Whether a value is, as a whole, a token of a format that cannot be mistaken.
  virtual bool IsSelfIdentifying(std::string_view value) const = 0;
};

// Finds what a text shares with a few secrets: any 12 bytes in a row (all of a secret of 8 to 11
// bytes; shorter ones are words like "admin" that prove nothing), as they are, percent-encoded in
// any part, or inside base64 of either alphabet at any alignment, percent-encoded in its turn too.
//
// Of a secret a block of 6 bytes in every 5 is indexed: 10 bytes in a row always hold one, so a
// look-up for each position of a text suffices whatever the secret's length. A secret that repeats
// a block more than 16 times counts as found where that block is, which bounds the work. The index
// is wiped at the end.
//
// Where shapes are given it finds tokens of theirs as well, whosever they are: words of a text,
// that is what stands between blanks, quotes, brackets and the like, or between those and '/', '=',
// ':'.
class SecretFinder {
 public:
  static constexpr size_t kWindow = 12;
  static constexpr size_t kShortest = kShortestSecret;

  // The views must outlive this object, and so must `shapes`. Where `asked` is given, the blocks of
  // every text that is searched are added to it.
  explicit SecretFinder(absl::Span<const std::string_view> secrets, TextBlocks* asked = nullptr,
                        const TokenShapes* shapes = nullptr);
  ~SecretFinder();
  SecretFinder(const SecretFinder&) = delete;
  SecretFinder& operator=(const SecretFinder&) = delete;

  // Sorted and disjoint. Past the end of a region the search goes on behind it, so what overlaps a
  // region may stay: whoever removes regions asks Occurs() about what is left.
  std::vector<Region> Find(std::string_view text) const { return Search(text, false); }
  bool Occurs(std::string_view text) const { return !Search(text, true).empty(); }

  // Whether anything of the secrets was found so far.
  bool has_found() const { return has_found_; }

 private:
  struct Block {
    uint64_t bytes;
    uint32_t secret;
    uint32_t offset;
    bool repeated;  // stands for many
  };
  class Origins;

  std::vector<Region> Search(std::string_view text, bool first_only) const;
  void SearchSecrets(std::string_view text, bool first_only, std::vector<Region>* found) const;
  void SearchTokens(std::string_view text, bool first_only, std::vector<Region>* found) const;
  // Makes blocks_, which most texts do not need.
  void Index() const;
  // Bytes that the text at `at` shares with a secret around one of its blocks; empty where they are
  // too few.
  Region MatchAt(std::string_view text, size_t at, size_t window) const;
  void Scan(std::string_view text, size_t window, const Origins& origins, bool first_only,
            std::vector<Region>* found) const;
  void ScanBase64(std::string_view text, const std::vector<uint32_t>* percent, bool first_only,
                  std::vector<Region>* found) const;

  absl::InlinedVector<std::string_view, 4> secrets_;
  TextBlocks* const asked_;
  const TokenShapes* const shapes_;
  BlockSet filter_;  // of the secrets' indexed blocks
  size_t blocks_in_filter_ = 0;
  mutable bool has_found_ = false;
  mutable std::vector<Block> blocks_;  // the first indexed_ are in use, by `bytes`
  mutable size_t indexed_ = 0;
};

// `text` with printable ASCII as it is and every other byte as %XX, at most `bound` bytes. Braces
// are encoded as well, so that a mark cannot be forged.
std::string Printable(std::string_view text, size_t bound);

// Whether Printable leaves a text as it is.
bool IsPrintable(std::string_view text);

// Printable text without the secrets: each of their occurrences becomes kSecretMark, and all of the
// result where one is left or comes about by the encoding.
std::string SafeText(std::string_view text, size_t bound, const SecretFinder& secrets);

// A single piece of a path, a host or a name that is probably a credential: at least 20 bytes, 11
// of them without '-' or '_' between, and less like words than like chance. Judged by how often the
// kind of character changes and how few vowels there are: of 25,000 file and identifier names of
// that length 0.3 % are taken for secrets, of random letters and digits of 32 bytes 99.7 % are.
bool LooksLikeSecret(std::string_view piece);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_REDACT_H_
