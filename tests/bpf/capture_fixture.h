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
  std::vector<Block> unfinished;  // whose end did not come
  std::vector<tw_peer> peers;
  std::vector<tw_close> closes;
  std::vector<tw_gap> gaps;
  std::vector<tw_process> processes;
  std::vector<tw_exit> exits;

  // The paths of the requests, joined by blanks.
  std::string Paths() const;
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
  // Reads the ring until the exit of `pid` was told, or for two seconds.
  Seen Collect(pid_t pid);
  uint64_t CounterValue(const std::string& name) const;

  std::string cgroup_;
  std::unique_ptr<TinyServer> server_;
  std::unique_ptr<Capture> capture_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BPF_CAPTURE_FIXTURE_H_
