// Whether a text holds a part of a secret that is there no longer.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_WINDOWS_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_WINDOWS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"

namespace tokenwatch {

// The secrets of one exchange, from its request to its end: answers come long after the bytes of
// the request were wiped. What SecretFinder finds with a secret at hand, this finds with tags of
// its blocks (6 bytes in every 5), of 24 bits under a random seed of this process. Tags of a secret
// tell a part of it to who reads memory, so nothing else keeps them, and Clear wipes them.
//
// It errs on the side of the secret: it calls a block of 6 bytes a part, where SecretFinder wants
// 12. Of a secret longer than kLongest every text of 12 bytes may be a part.
class SecretWindows {
 public:
  static constexpr size_t kLongest = 4096;

  SecretWindows() = default;
  ~SecretWindows() { Clear(); }
  SecretWindows(SecretWindows&&) = default;
  SecretWindows& operator=(SecretWindows&&) = default;

  // The secret's number: 0, 1, ... since the last Clear.
  size_t Add(std::string_view secret);
  size_t size() const { return secrets_.size(); }

  // Of that secret: as it is, percent-encoded, or in base64 at any alignment. Linear in the text,
  // but for a logarithm of the secret's length.
  bool MayOccurIn(size_t number, std::string_view text);
  bool AnyMayOccurIn(std::string_view text);

  // Forgets all, and keeps the memory.
  void Clear();

 private:
  struct Secret {
    uint32_t begin = 0, end = 0;  // of its tags
    bool sorted = false;
    bool too_long = false;
  };

  std::vector<uint32_t> tags_;
  absl::InlinedVector<Secret, 2> secrets_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_WINDOWS_H_
