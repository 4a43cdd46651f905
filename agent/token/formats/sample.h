// Made-up tokens from templates, for the samples of format rows: no real credential is ever needed,
// and none can be mistaken for one.
//
// In a template <...> stands for something made up anew each time; all else for itself.
//   <b62:30>, <hex:20-40>   so many characters of an alphabet: hex (0-9a-f), HEX (0-9A-F), b62
//                           (0-9A-Za-z), b64 (with +/), b64url (with -_), b32 (A-Z2-7), b32l
//                           (a-z2-7), an36 (0-9a-z), AN36 (0-9A-Z), alpha (A-Za-z), lower (a-z),
//                           upper (A-Z), dig (0-9), w (0-9A-Za-z_)
//   <uuid>                  a UUID
//   <64:...>, <64url:...>   what is inside, a template itself, in base64 with padding or in
//                           base64url without
//   <crc32_base62>          checksum of the 30 characters before it (checksums.h)
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_SAMPLE_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_SAMPLE_H_

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tokenwatch {

// The same from the same seed on every machine.
using SampleRandom = std::mt19937_64;

// InvalidArgument says what of the template is not understood. At most 64 KiB.
absl::StatusOr<std::string> MakeSample(std::string_view text, SampleRandom* random);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_SAMPLE_H_
