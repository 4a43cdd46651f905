// Whether a text holds a part of a secret that is there no longer.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_WINDOWS_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_WINDOWS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tokenwatch {

// What SecretFinder finds with a secret at hand, this finds without: of a secret's blocks (6 bytes
// in every 5) it keeps tags of some 16 bits, under a random seed of this process and without their
// order. That is less than half of what a random secret of base 62 holds, so the tags do not give
// it back; and a tag is enough to say that a text may hold a block.
//
// It errs on the side of the secret: it calls a block of 6 bytes a part, where SecretFinder wants
// 12, and says so of one block of a text in 8,000 by chance. Of a secret longer than kLongest every
// text of 12 bytes may be a part.
class SecretWindows {
 public:
  static constexpr size_t kLongest = 4096;

  SecretWindows() = default;
  explicit SecretWindows(std::string_view secret);

  // As it is, percent-encoded, or in base64 at any alignment. Linear, but for a logarithm of the
  // secret's length.
  bool MayOccurIn(std::string_view text) const;

 private:
  std::vector<uint32_t> tags_;  // sorted
  int bits_ = 0;                // of a tag
  bool too_long_ = false;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_WINDOWS_H_
