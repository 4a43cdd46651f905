// Chooses where in a library a probe sits, by disassembly.
//
// The kernel emulates a probed push, nop, call, jmp or conditional jump; anything else it
// single-steps, at 15 times the cost a hit (design, "Where a probe sits decides what it costs";
// arch/x86/kernel/uprobes.c, push_setup_xol_ops and branch_setup_xol_ops).
#ifndef TOKENWATCH_AGENT_CAPTURE_PROBE_SITES_H_
#define TOKENWATCH_AGENT_CAPTURE_PROBE_SITES_H_

#include <linux/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "agent/capture/elf_symbols.h"
#include "agent/capture/return_sites.h"
#include "agent/capture/tls_libraries.h"
#include "bpf/function.h"

namespace tokenwatch {

struct ProbeSite {
  std::vector<const TlsSymbol*> symbols;     // that it serves, of the library table
  tw_function function = TW_FUNCTION_WRITE;  // how its arguments and its result are to be read
  uint64_t offset = 0;                       // in the file
  bool internal = false;  // a function behind the symbols; its meaning is inferred from their code
  bool emulated = false;  // else the kernel single-steps it
  std::string place;      // "SSL_write+0", "behind SSL_write"
  const char* reason = "";  // a sentence's part for people
  // Where the returns of a read or write pass; without any the kernel's return probe is all there
  // is.
  ReturnSites returns;
};

// The sites for the functions of `library` that `symbols` found in `fd`, in the order of the table.
// The code is hostile: reading is bounded, and what cannot be made sense of keeps the public entry.
// With `public_only` every site is a public entry.
std::vector<ProbeSite> ChooseSites(int fd, const ElfSymbols& symbols, const TlsLibrary& library,
                                   bool public_only);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_PROBE_SITES_H_
