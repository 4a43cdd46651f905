// The TLS libraries that the agent can read, one row each.
#ifndef TOKENWATCH_AGENT_CAPTURE_TLS_LIBRARIES_H_
#define TOKENWATCH_AGENT_CAPTURE_TLS_LIBRARIES_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

namespace tokenwatch {

// What a probed function does; each is one BPF program, or a pair of entry and return.
enum class TlsFunction {
  kWrite,    // int f(connection, buffer, int length): returns the accepted length
  kWriteEx,  // int f(connection, buffer, size_t length, size_t* accepted): returns 1
  kRead,
  kReadEx,
  kNew,      // connection* f(...)
  kClear,    // f(connection): the same object begins another connection
  kFree,     // f(connection): one reference less
  kPastApi,  // whoever calls it will read and write past the functions above
};

struct TlsSymbol {
  const char* name;
  TlsFunction function;
};

struct TlsLibrary {
  const char* name;                           // "openssl"
  absl::Span<const TlsSymbol> symbols;        // each optional by itself
  absl::Span<const char* const> markers;      // a file is this library where it defines all of them
  absl::Span<const char* const> usual_names;  // file names looked for at start-up
};

absl::Span<const TlsLibrary> TlsLibraries();

// Every symbol name that any row asks for.
std::vector<std::string> TlsSymbolNames();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_TLS_LIBRARIES_H_
