// Starts this program's successor: the file that now stands where this program's stood.
#ifndef TOKENWATCH_AGENT_HANDOVER_RENEWAL_H_
#define TOKENWATCH_AGENT_HANDOVER_RENEWAL_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace tokenwatch {

// Not thread safe. The child stays when this goes.
class Renewal {
 public:
  // From there to the end of the hand-over; then the child is ended, by force 5 s later.
  static constexpr uint64_t kPatienceNs = 90'000'000'000;

  // The child is told by this what its `spool_directory` has to be (CheckSpoolKept): with another
  // one it would find nobody to take over from, and two agents would report.
  static constexpr char kFrom[] = "TOKENWATCH_TAKE_OVER_FROM";

  // `argv` as main got it, which the child gets as well.
  Renewal(char* const* argv, std::string spool_directory);

  // The path that the child is started from: the first argument where that is absolute, else where
  // this program's file was when the object was made. A package has put another file there since.
  const std::string& path() const { return path_; }

  // Starts the child with this process's environment and TOKENWATCH_TAKE_OVER=1, with signals as a
  // new program expects them. FailedPrecondition while there is one.
  absl::Status Start(uint64_t now_ns);

  // To be called every second or so: says how the child ended, where it did, and ends one that
  // takes too long. A sentence is logged for either.
  void Step(uint64_t now_ns);

  pid_t child() const { return child_; }  // 0: none that runs

 private:
  std::string path_;
  const std::string spool_directory_;
  std::vector<std::string> arguments_;
  pid_t child_ = 0;
  uint64_t deadline_ns_ = 0;
  bool is_ending_ = false;
};

// Whether this process was started by Renewal: then there is an agent to take over from.
bool IsRenewal();

// Where this process was started by Renewal: FailedPrecondition unless `spool_directory` is that of
// the agent that it is to take over from.
absl::Status CheckSpoolKept(const std::string& spool_directory);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_RENEWAL_H_
