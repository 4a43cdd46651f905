// The policy in force: read from its files, read again when they change.
#ifndef TOKENWATCH_COLLECTOR_POLICY_POLICY_HOLDER_H_
#define TOKENWATCH_COLLECTOR_POLICY_POLICY_HOLDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/common/file_stamp.h"
#include "collector/policy/policy.h"

namespace tokenwatch {

struct PolicyState {
  std::shared_ptr<const Policy> policy;  // never null; empty without a file
  std::string file;                      // empty: none
  std::string digest;                    // SHA-256 of the text in force, hexadecimal
  absl::Time loaded = absl::InfinitePast();
  uint64_t loads = 0, refusals = 0;   // since the start
  std::vector<std::string> problems;  // of the file as it is now; empty: it is in force
  uint64_t generation = 0;            // another one: another policy
};

// Thread safe.
class PolicyHolder {
 public:
  // `clock` outlives it. Without a file (empty) the policy is empty.
  PolicyHolder(std::string file, const Clock* clock);

  // At start. InvalidArgument with all problems, one a line; NotFound where there is no such file.
  absl::Status Load();
  // Looks whether the file has changed (size, time, inode) or, where `always`, reads it anyway. A
  // file with a problem changes nothing but `problems`: the running policy stays. True where
  // another policy is in force, or other problems are told.
  bool Refresh(bool always);

  PolicyState Get() const;

 private:
  bool Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string file_;
  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  PolicyState state_ ABSL_GUARDED_BY(mutex_);
  FileStamp stamp_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_POLICY_POLICY_HOLDER_H_
