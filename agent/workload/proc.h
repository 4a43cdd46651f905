// /proc, for what the kernel's record of a process cannot hold or has lost.
#ifndef TOKENWATCH_AGENT_WORKLOAD_PROC_H_
#define TOKENWATCH_AGENT_WORKLOAD_PROC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Reads the files of one process. Every answer is about whatever process has the number at that
// moment; Stat::start_ticks tells two apart. Empty or nothing where there is no such
// process or permission. Any thread.
class ProcReader {
 public:
  // `root` is "/proc", or a copy of it.
  explicit ProcReader(std::string root) : root_(std::move(root)) {}

  struct Stat {
    uint32_t parent_pid = 0;
    uint64_t start_ticks = 0;  // since boot, of 10 ms (USER_HZ is 100 on x86-64)
  };
  std::optional<Stat> ReadStat(uint32_t pid) const;

  std::string Comm(uint32_t pid) const;
  // "exe" or "cwd". Without the " (deleted)" that the kernel appends to a file's path.
  std::string Link(uint32_t pid, std::string_view name) const;
  // Real user id, in the reader's user namespace.
  std::optional<uint32_t> Uid(uint32_t pid) const;
  std::optional<uint32_t> LoginUid(uint32_t pid) const;
  // Path in the hierarchy of `controllers`: "" is the unified one, "name=systemd" systemd's own,
  // which older hosts have. Empty where there is none.
  std::string Cgroup(uint32_t pid, std::string_view controllers) const;
  // Start of the arguments, each ended by a NUL; secret.
  SecretBuffer Arguments(uint32_t pid) const;
  // Whether `path` exists as that process sees it; a link counts, wherever it leads.
  bool Exists(uint32_t pid, const std::string& path) const;

 private:
  std::string Path(uint32_t pid, std::string_view name) const;

  std::string root_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_PROC_H_
