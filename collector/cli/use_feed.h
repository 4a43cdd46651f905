// Uses as they are committed, each once and none missed.
#ifndef TOKENWATCH_COLLECTOR_CLI_USE_FEED_H_
#define TOKENWATCH_COLLECTOR_CLI_USE_FEED_H_

#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "collector/cli/client.h"
#include "collector/cli/commands.h"

namespace tokenwatch {

// Not thread safe.
class UseFeed {
 public:
  // Of the uses that `filters` leave; times and limit are of no matter. `place` is where to go on,
  // from an earlier feed; empty: from the first Look on.
  UseFeed(const Server& server, const Filters& filters, std::string place = "");

  // Uses committed since the last look, in their order, at most `most`. The first look of a feed
  // without a place finds none. An error leaves the place as it is.
  absl::StatusOr<std::vector<Json>> Look(uint64_t most);

  // The newest `most` uses since then (as --since takes it), the oldest first; Look leaves them
  // out. To be called after the first Look, so that nothing falls between the two.
  absl::StatusOr<std::vector<Json>> Past(const std::string& since, uint64_t most);

  // Uses that were gone when the last Look came to them, whatever the filters; and a name of that
  // hole, the same whoever comes to it.
  uint64_t Dropped() const { return dropped_; }
  const std::string& Hole() const { return hole_; }

  // Behind the last use that was looked at; it survives restarts of both sides.
  const std::string& Place() const { return place_; }

 private:
  // What makes a use one: while keys rotate, an agent's record holds the token under each of them.
  using Identity = std::tuple<std::string, std::string, std::string, std::string>;

  const Client client_;
  Parameters filters_;
  std::string place_, hole_;
  uint64_t dropped_ = 0;
  std::set<Identity> past_;  // perhaps committed after the place was taken
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_USE_FEED_H_
