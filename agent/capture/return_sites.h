// Where the returns of a function can be seen without the kernel's return probes.
//
// A return probe overwrites the return address on the stack (kernel/events/uprobes.c,
// prepare_uretprobe). A program that leaves the stack inside the call and comes back out of order,
// as stackful coroutines do, is killed for it, and from 6.11 on the way back is a system call
// (commit ff474a78cef5) that a seccomp filter may refuse. A probe on an instruction that every
// return passes has neither fault.
#ifndef TOKENWATCH_AGENT_CAPTURE_RETURN_SITES_H_
#define TOKENWATCH_AGENT_CAPTURE_RETURN_SITES_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/capture/code_reader.h"
#include "agent/capture/elf_symbols.h"
#include "agent/capture/function_table.h"

namespace tokenwatch {

struct ReturnSite {
  uint64_t offset = 0;       // in the file
  bool at_return = false;    // on a `ret`, whose stack pointer still shows the return address
  bool is_emulated = false;  // by the kernel, which else single-steps it
};

struct ReturnSites {
  std::vector<ReturnSite> sites;  // empty where not all could be found
  const char* reason = "";        // how they were found, or why not: a sentence's part for people
};

class ReturnFinder {
 public:
  // All must outlive it.
  ReturnFinder(int fd, const ElfSymbols& symbols, CodeReader* code)
      : fd_(fd), symbols_(symbols), code_(code), functions_(fd, symbols) {}

  // In the callers of the function that begins at `function`, each behind its call, with the result
  // still in its register and the stack pointer where the call left it. For functions that are
  // called from within the file only.
  ReturnSites InCallers(uint64_t function);

  // The `ret` instructions that a call of the function can end with, those of functions it leaps to
  // included.
  ReturnSites AtReturns(uint64_t function);

 private:
  struct Mention;

  bool FindMentions(uint64_t function, std::vector<Mention>* mentions);
  bool ScanRange(const CodeRange& range, uint64_t function, std::vector<Mention>* mentions);
  // True where `offset` is an instruction of the function that `part` begins.
  bool IsInstruction(const FunctionPart& part, uint64_t offset);
  // The file's own function that a jump reaches through a slot, where another object may have put
  // its own instead: OpenSSL 3.5's SSL_write_ex leaps to SSL_write_ex2 so.
  std::optional<uint64_t> ThroughSlot(const Instruction& jump) const;
  ReturnSite BehindCall(const FunctionPart& part, uint64_t offset);

  int fd_;
  const ElfSymbols& symbols_;
  CodeReader* code_;
  FunctionTable functions_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_RETURN_SITES_H_
