// Runs a workload in a cgroup of its own, under a Capture that is scoped to it.
#ifndef TOKENWATCH_TESTS_BPF_CAPTURE_FIXTURE_H_
#define TOKENWATCH_TESTS_BPF_CAPTURE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/capture/capture.h"
#include "tests/bpf/tiny_server.h"

namespace tokenwatch {

// A header block, put together from its pieces.
struct Block {
  uint64_t connection = 0;
  uint32_t pid = 0, message = 0;
  uint8_t layer = 0, flags = 0;  // flags: of all pieces
  std::string text;
};

// What a run delivered, copied out of the ring.
struct Seen {
  std::vector<Block> requests, answers;
  std::vector<Block> bodies;      // that were wanted
  std::vector<Block> unfinished;  // whose end did not come
  std::vector<tw_peer> peers;
  std::vector<tw_close> closes;
  std::vector<tw_gap> gaps;
  std::vector<tw_process> processes;
  std::vector<tw_exit> exits;
  std::vector<tw_tls> tls;

  // The paths of the requests, joined by blanks.
  std::string Paths() const;
  // A line a body, without what is long.
  std::string Bodies() const;
};

// Who runs a workload, and where.
struct WorkloadOptions {
  std::string cgroup;   // directory; empty: the fixture's own
  std::string program;  // path of a copy of the workload; empty: the workload itself
  uint32_t uid = 0;
  // Programs that the workload becomes one after the other (scenario "chain").
  std::vector<std::string> next;
};

class CaptureTest : public testing::Test {
 protected:
  static constexpr const char* kAnyBackend = "auto";

  void SetUp() override;
  void TearDown() override;

  // Loads and attaches; false with a failure noted.
  bool Start(const CaptureOptions& options = {});
  // Runs a scenario in (or outside of) the cgroup to its end; its pid.
  pid_t RunWorkload(const std::string& scenario, bool in_scope = true);
  pid_t RunWorkload(const std::string& scenario, const WorkloadOptions& options);
  // A directory below the fixture's cgroup, removed at the end.
  std::string MakeCgroup(const std::string& path);
  // A copy of the workload that every user can run, in a directory of its own.
  std::string CopyWorkload(const std::string& name);
  // Reads the ring until the exit of `pid` was told, or for so long.
  Seen Collect(pid_t pid, int milliseconds = 2000);
  uint64_t CounterValue(const std::string& name) const;

  std::string cgroup_;
  std::vector<std::string> cgroups_;  // below it, outer ones first
  std::string copies_;                // directory; empty: none yet
  std::unique_ptr<TinyServer> server_;
  std::unique_ptr<Capture> capture_;
  std::unique_ptr<RingReader> ring_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BPF_CAPTURE_FIXTURE_H_
