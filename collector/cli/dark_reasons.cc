#include "collector/cli/dark_reasons.h"

namespace tokenwatch {
namespace {

constexpr DarkReason kReasons[] = {
    {"no_known_library", "no TLS library that is known here is in the process"},
    {"stripped", "the TLS library has no symbols"},
    {"go", "Go's crypto/tls is not read"},
    {"java", "Java's TLS is not read"},
    {"gnutls", "GnuTLS is not read"},
    {"nss", "NSS is not read"},
    {"rustls", "rustls is not read"},
    {"quic", "QUIC is not read"},
    {"attached_late", "the connection began before its library was watched"},
    {"unmatched", "the library is watched, yet no plaintext was seen"},
    {"unknown", "the reason is not known"},
};

}  // namespace

absl::Span<const DarkReason> DarkReasons() { return kReasons; }

std::string DarkMeaning(const std::string& reason) {
  for (const DarkReason& row : kReasons) {
    if (row.reason == reason) return std::string(row.meaning);
  }
  return reason;
}

}  // namespace tokenwatch
