// /proc, for what the kernel's record of a process cannot hold or has lost.
#ifndef TOKENWATCH_AGENT_WORKLOAD_PROC_H_
#define TOKENWATCH_AGENT_WORKLOAD_PROC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Reads the files of processes. Every answer is about whatever process has the number at that
// moment; Stat::start_ticks tells two apart. Empty or nothing where there is no such process or
// permission. A seam, because who asks may have no right to look. Any thread.
class ProcReader {
 public:
  virtual ~ProcReader() = default;

  struct Stat {
    uint32_t parent_pid = 0;
    uint64_t start_ticks = 0;  // since boot, of 10 ms (USER_HZ is 100 on x86-64)
  };
  static constexpr size_t kStatsMax = 256;  // processes asked for at once
  // As many answers as `pids`, in their order.
  virtual std::vector<std::optional<Stat>> ReadStats(absl::Span<const uint32_t> pids) const = 0;
  std::optional<Stat> ReadStat(uint32_t pid) const { return ReadStats({&pid, 1}).front(); }

  virtual std::string Comm(uint32_t pid) const = 0;
  // "exe" or "cwd". Without the " (deleted)" that the kernel appends to a file's path.
  virtual std::string Link(uint32_t pid, std::string_view name) const = 0;
  // Real user id, in the reader's user namespace.
  virtual std::optional<uint32_t> Uid(uint32_t pid) const = 0;
  virtual std::optional<uint32_t> LoginUid(uint32_t pid) const = 0;
  // Path in the hierarchy of `controllers`: "" is the unified one, "name=systemd" systemd's own,
  // which older hosts have. Empty where there is none.
  virtual std::string Cgroup(uint32_t pid, std::string_view controllers) const = 0;
  // Start of the arguments, each ended by a NUL; secret.
  static constexpr size_t kArgumentsMax = 16384;
  virtual SecretBuffer Arguments(uint32_t pid) const = 0;
  // Whether `path` exists as that process sees it; a link counts, wherever it leads.
  virtual bool Exists(uint32_t pid, const std::string& path) const = 0;
};

// /proc itself.
class LocalProcReader : public ProcReader {
 public:
  // `root` is "/proc", or a copy of it.
  explicit LocalProcReader(std::string root) : root_(std::move(root)) {}

  std::vector<std::optional<Stat>> ReadStats(absl::Span<const uint32_t> pids) const override;
  std::string Comm(uint32_t pid) const override;
  std::string Link(uint32_t pid, std::string_view name) const override;
  std::optional<uint32_t> Uid(uint32_t pid) const override;
  std::optional<uint32_t> LoginUid(uint32_t pid) const override;
  std::string Cgroup(uint32_t pid, std::string_view controllers) const override;
  SecretBuffer Arguments(uint32_t pid) const override;
  bool Exists(uint32_t pid, const std::string& path) const override;

 private:
  std::string Path(uint32_t pid, std::string_view name) const;
  std::optional<Stat> OneStat(uint32_t pid) const;

  std::string root_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_PROC_H_
