// Machine code in a file, put together function by function, with what an ELF reader would say of
// it.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_CAPTURE_CODE_PROGRAM_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_CAPTURE_CODE_PROGRAM_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "agent/capture/elf_symbols.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

inline std::string Bytes(std::initializer_list<int> bytes) { return {bytes.begin(), bytes.end()}; }

class CodeProgram {
 public:
  static constexpr uint64_t kStart = 4096;    // of the code, in the file
  static constexpr uint64_t kBias = 0x10000;  // address - offset

  CodeProgram() : fd_(mkstemp(path_)) {
    unlink(path_);
    code_.assign(kStart, '\0');
  }

  // Where the next function will be.
  uint64_t Here() const { return code_.size(); }

  // Adds code; it is the symbol's where that has a name. Returns its place.
  uint64_t Add(const std::string& name, const std::string& code) {
    const uint64_t at = Here();
    code_ += code;
    if (!name.empty()) symbols_.functions[name] = {at, code.size()};
    if (unwind_) begins_.push_back(at);
    code_.resize((code_.size() + 15) / 16 * 16, '\xcc');
    return at;
  }

  // A call or jump with a 32-bit distance, to stand `before` bytes behind the next function's
  // start.
  std::string To(char opcode, uint64_t before, uint64_t target) const {
    const uint64_t distance = target - (Here() + before + 5);
    return std::string(1, opcode) + Word(distance);
  }

  static std::string Word(uint64_t value) {
    std::string bytes;
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8 * i));
    return bytes;
  }

  void AddSlot(uint64_t address, const std::string& name) { symbols_.slots[address] = name; }

  // Whether functions added from now on have an entry in the unwind table.
  void set_unwind(bool unwind) { unwind_ = unwind; }

  // Writes the file; the descriptor stays the program's.
  int Write() {
    symbols_.code = {{kStart, code_.size(), kBias}};
    std::string table = Bytes({1, 0x1b, 0x03, 0x3b}) + Word(0) + Word(begins_.size());
    symbols_.unwind = {code_.size(), table.size() + 8 * begins_.size(), code_.size() + kBias};
    for (const uint64_t begin : begins_) table += Word(begin - code_.size()) + Word(0);
    const std::string file = code_ + table;
    EXPECT_EQ(pwrite(fd_.get(), file.data(), file.size(), 0), static_cast<ssize_t>(file.size()));
    return fd_.get();
  }

  ElfSymbols& symbols() { return symbols_; }

 private:
  char path_[32] = "/tmp/code_program.XXXXXX";
  UniqueFd fd_;
  std::string code_;
  std::vector<uint64_t> begins_;
  ElfSymbols symbols_;
  bool unwind_ = true;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_CAPTURE_CODE_PROGRAM_H_
