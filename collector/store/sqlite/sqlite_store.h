// The store on an embedded SQLite database: one file in write-ahead mode.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_SQLITE_STORE_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_SQLITE_STORE_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "collector/store/store.h"

namespace tokenwatch {

struct SqliteOptions {
  // Made with mode 0700 where it does not exist (its parent must). Everything in it is readable by
  // its owner alone.
  std::string data_dir;
  // Whole UTC days after which single uses, gaps and the hours and names of TLS coverage are
  // dropped; the sums stay. 0: never.
  int retention_days = 0;
  // Queries that run at once; more wait. None of them waits for a commit, nor a commit for them.
  int readers = 4;
  std::function<absl::Time()> now = absl::Now;
  // Since any moment, by a clock that nobody sets: a step of `now` is told by it.
  std::function<absl::Duration()> monotonic = [] {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  };
};

// Opens the store in `options.data_dir`, or makes it. The directory is locked as long as the store
// lives.
// Errors, each one sentence that says what to do: InvalidArgument (no directory given),
// FailedPrecondition (used by another collector; written by a newer version; another program's),
// PermissionDenied (cannot be written), DataLoss (no database, or damaged), Unavailable and
// ResourceExhausted as SQLite finds them.
//
// Beyond the contract of Store:
// - A Commit that finds no space is ResourceExhausted, one that cannot write Unavailable; both may
// be
//   retried, and work again when the cause is gone. InvalidArgument: a batch without agent, 16-byte
//   stream or first sequence, or a use without context; then no batch of the call was kept.
// - Inbound uses are listed, and no total counts them.
// - Times of uses more than 100 days ago or a day ahead are replaced by the time of the commit; the
//   agent's counter `store_times_replaced` says how many.
// - Where `now` steps by more than two days (TrustedClock), the step is logged, what is old is
// dropped
//   by the time before until it has stayed so for a day, and uses may have either time.
// - A token keeps the 64 values of a fact that were told last and 512 facts in all; the counter
//   `store_token_facts_dropped` of the agent that told too many says how many gave way. When a fact
//   was told last is right to a minute.
// - RecordAgent is durable with the next Commit.
// - A token's ids under several fleet keys are one token, shown under the id that was used last;
// each
//   of them finds it. A use shows the id that it came with.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteOptions& options);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_SQLITE_STORE_H_
