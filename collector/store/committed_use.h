// What was just committed, as those see it who judge it.
#ifndef TOKENWATCH_COLLECTOR_STORE_COMMITTED_USE_H_
#define TOKENWATCH_COLLECTOR_STORE_COMMITTED_USE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collector/store/store.h"

namespace tokenwatch {

// Where uses came from. Immutable once made.
struct UseSource {
  std::string agent, agent_address;
  std::string stream;  // 16 bytes
};

// A use that was committed for the first time: retries are none, nor are those of days that
// retention has dropped, which go into sums alone.
struct CommittedUse {
  uint64_t number = 0;  // of the commit order: one more than the use before
  uint64_t sequence = 0;
  std::shared_ptr<const UseSource> source;
  // "cred_...": what the token stands for; null where that is itself, or it is not resolved.
  std::shared_ptr<const std::string> credential;
  UseRow row;  // its time is the stored one, which may replace an absurd one
};

// Is told of commits in their order.
class CommitObserver {
 public:
  virtual ~CommitObserver() = default;
  // After the commit is durable, on the committing thread, which waits meanwhile. Ordered by
  // number. Facts as they were told, repeated ones included.
  virtual void OnCommitted(std::vector<CommittedUse> uses, std::vector<TokenFactRow> facts) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_COMMITTED_USE_H_
