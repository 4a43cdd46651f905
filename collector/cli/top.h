// The tokens that are used most right now.
#ifndef TOKENWATCH_COLLECTOR_CLI_TOP_H_
#define TOKENWATCH_COLLECTOR_CLI_TOP_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "collector/cli/commands.h"

namespace tokenwatch {

// Sums uses by token over the last five minutes, by the uses' own times. Not thread safe.
class Meter {
 public:
  static constexpr absl::Duration kLong = absl::Minutes(5);
  static constexpr absl::Duration kShort = absl::Minutes(1);
  // More tokens at a time are one row.
  static constexpr size_t kMostTokens = 10'000;

  void Add(const Json& use);
  // Forgets what is older than kLong at `now`.
  void Forget(absl::Time now);

  struct Row {
    std::string token;  // "unresolved", or "others" beyond the bound
    uint64_t last_minute = 0, last_minutes = 0, denied = 0;
    std::string program, machine, host, owner;  // of the latest use
  };
  // The most uses in the last minute first, then in the last five.
  std::vector<Row> Rows(absl::Time now) const;

 private:
  struct Second {
    int64_t at = 0;  // since the epoch
    uint64_t uses = 0, denied = 0;
  };
  struct Token {
    std::deque<Second> seconds;  // rising
    int64_t latest = 0;
    std::string program, machine, host, owner;
  };

  absl::flat_hash_map<std::string, Token> tokens_;
};

// One screen as text: a line of totals, and rows as far as `rows` lines and `limit` (0: all) allow.
std::string TopScreen(const CliOptions& options, const Meter& meter, absl::Time now, size_t rows,
                      const std::string& note);

struct TopOptions {
  bool once = false;  // one screen, as text
  int input = 0, output = 1;
  absl::Duration every = absl::Seconds(2);
};

// Shows screens until somebody leaves, on a terminal; one screen to `*out` where it is none, or
// `once`. A server that goes away is asked again and again. Unavailable where it was never reached.
absl::Status Top(const CliOptions& options, const TopOptions& top, std::ostream* out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_TOP_H_
