#include "agent/capture/tls_libraries.h"

#include <set>

namespace tokenwatch {
namespace {

// OpenSSL 1.1 and 3, and what keeps its interface. In both, SSL_write and SSL_write_ex are twins
// over one internal function and never call each other, so that no byte is seen twice. BIO_f_ssl's
// methods call that internal function directly: its users are counted as unseen. Probes are
// attached in this order, reads first: a request that is seen has to be followed by its answer.
constexpr TlsSymbol kOpenSslSymbols[] = {
    {"SSL_read", TW_FUNCTION_READ},   {"SSL_read_ex", TW_FUNCTION_READ_EX},
    {"SSL_write", TW_FUNCTION_WRITE}, {"SSL_write_ex", TW_FUNCTION_WRITE_EX},
    {"SSL_new", TW_FUNCTION_NEW},     {"SSL_clear", TW_FUNCTION_CLEAR},
    {"SSL_free", TW_FUNCTION_FREE},   {"BIO_f_ssl", TW_FUNCTION_PAST_API},
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
