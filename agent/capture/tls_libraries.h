// The TLS libraries that the agent can read, one row each.
#ifndef TOKENWATCH_AGENT_CAPTURE_TLS_LIBRARIES_H_
#define TOKENWATCH_AGENT_CAPTURE_TLS_LIBRARIES_H_

#include <linux/types.h>

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "bpf/function.h"

namespace tokenwatch {

struct TlsSymbol {
  const char* name;
  tw_function function;
  // Twins, functions of a row with the same number that is not 0, do one thing through different
  // arguments and may share a site. The first of them returns the byte count.
  int twins = 0;
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
