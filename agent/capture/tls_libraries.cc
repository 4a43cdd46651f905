#include "agent/capture/tls_libraries.h"

#include <set>

namespace tokenwatch {
namespace {

// OpenSSL 1.1 and 3, and what keeps its interface. In both, SSL_write and SSL_write_ex are twins
// over one internal function and never call each other, so that no byte is seen twice. BIO_f_ssl's
// methods call that internal function directly: its users are counted as unseen.
constexpr TlsSymbol kOpenSslSymbols[] = {
    {"SSL_write", TlsFunction::kWrite}, {"SSL_write_ex", TlsFunction::kWriteEx},
    {"SSL_read", TlsFunction::kRead},   {"SSL_read_ex", TlsFunction::kReadEx},
    {"SSL_new", TlsFunction::kNew},     {"SSL_clear", TlsFunction::kClear},
    {"SSL_free", TlsFunction::kFree},   {"BIO_f_ssl", TlsFunction::kPastApi},
};
constexpr const char* kOpenSslMarkers[] = {"SSL_write", "SSL_read"};
constexpr const char* kOpenSslNames[] = {"libssl.so.3", "libssl.so.1.1", "node", "nodejs"};

constexpr TlsLibrary kLibraries[] = {
    {"openssl", kOpenSslSymbols, kOpenSslMarkers, kOpenSslNames},
};

}  // namespace

absl::Span<const TlsLibrary> TlsLibraries() { return kLibraries; }

std::vector<std::string> TlsSymbolNames() {
  std::set<std::string> names;
  for (const TlsLibrary& library : kLibraries) {
    for (const TlsSymbol& symbol : library.symbols) names.emplace(symbol.name);
    for (const char* marker : library.markers) names.emplace(marker);
  }
  return {names.begin(), names.end()};
}

}  // namespace tokenwatch
