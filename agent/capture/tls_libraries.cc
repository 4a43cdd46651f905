#include "agent/capture/tls_libraries.h"

#include <set>

namespace tokenwatch {
namespace {

// OpenSSL 1.1 and 3, and what keeps its interface. Twins run over one internal function, which
// BIO_f_ssl's methods call directly: where that function is not probed, its users are counted as
// unseen. That a connection begins shows at what is called before a handshake, on every way to one:
// SSL_new itself is known at its return only, and in 3.2 and later leaps on to its method. In 3.3
// and later SSL_write_ex is a tail call of SSL_write_ex2. Probes are attached in this order, reads
// first: a request that is seen has to be followed by its answer.
constexpr TlsSymbol kOpenSslSymbols[] = {
    {"SSL_read", TW_FUNCTION_READ, 1},
    {"SSL_read_ex", TW_FUNCTION_READ_EX, 1},
    {"SSL_write", TW_FUNCTION_WRITE, 2},
    {"SSL_write_ex", TW_FUNCTION_WRITE_EX, 2},
    {"SSL_write_ex2", TW_FUNCTION_WRITE_EX2, 2},
    {"SSL_clear", TW_FUNCTION_BEGIN},
    {"SSL_set_connect_state", TW_FUNCTION_BEGIN},
    {"SSL_set_accept_state", TW_FUNCTION_BEGIN},
    {"SSL_free", TW_FUNCTION_FREE},
    {"BIO_f_ssl", TW_FUNCTION_PAST_API},
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
