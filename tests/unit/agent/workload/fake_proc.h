// A /proc of made-up processes in a directory of its own.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_WORKLOAD_FAKE_PROC_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_WORKLOAD_FAKE_PROC_H_

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace tokenwatch {

class FakeProc {
 public:
  FakeProc() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fake_proc.XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  ~FakeProc() { std::filesystem::remove_all(root_); }
  FakeProc(const FakeProc&) = delete;
  FakeProc& operator=(const FakeProc&) = delete;

  const std::string& Root() const { return root_; }

  void Write(uint32_t pid, const std::string& name, const std::string& contents) {
    std::filesystem::create_directories(Path(pid));
    std::ofstream(Path(pid) / name, std::ios::binary) << contents;
  }
  void Link(uint32_t pid, const std::string& name, const std::string& target) {
    std::filesystem::create_directories(Path(pid));
    std::filesystem::remove(Path(pid) / name);
    std::filesystem::create_symlink(target, Path(pid) / name);
  }
  void Stat(uint32_t pid, const std::string& comm, uint32_t parent, uint64_t start_ticks) {
    Write(pid, "stat",
          std::to_string(pid) + " (" + comm + ") S " + std::to_string(parent) +
              " 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 " + std::to_string(start_ticks) +
              " 23 24\n");
  }
  void Remove(uint32_t pid) { std::filesystem::remove_all(Path(pid)); }

 private:
  std::filesystem::path Path(uint32_t pid) const {
    return std::filesystem::path(root_) / std::to_string(pid);
  }

  std::string root_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_WORKLOAD_FAKE_PROC_H_
