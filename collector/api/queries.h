// What the collector can be asked, before any wire: gRPC and HTTP are thin layers over this.
#ifndef TOKENWATCH_COLLECTOR_API_QUERIES_H_
#define TOKENWATCH_COLLECTOR_API_QUERIES_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "collector/store/store.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// Asks the store and makes answers fit to send. Thread safe. Errors are what a client may read:
// InvalidArgument, NotFound, Unavailable; a store's other failures are logged and become Internal
// without their text.
class Queries {
 public:
  // Whether the agent with this id is connected at this moment; any thread.
  using IsConnected = std::function<bool(const std::string& agent)>;

  // `store` must outlive this.
  Queries(Store* store, IsConnected is_connected)
      : store_(store), is_connected_(std::move(is_connected)) {}

  absl::StatusOr<v1::ListTokensResponse> ListTokens(const v1::ListRequest& request) const;
  absl::StatusOr<v1::TokenDetail> GetToken(const std::string& token_id) const;
  absl::StatusOr<v1::ListUsesResponse> ListUses(const v1::ListRequest& request) const;
  absl::StatusOr<v1::Stats> GetStats(const v1::ListRequest& request) const;
  absl::StatusOr<v1::ListAgentsResponse> ListAgents(const v1::ListRequest& request) const;

  // Uses committed since the answer whose next_page_token is given, oldest first; without one, no
  // use and the token that means now. Its next_page_token is never empty.
  absl::StatusOr<v1::ListUsesResponse> TailUses(const v1::ListRequest& request) const;

  // As Store::Fleet and Store::Space, for metrics.
  absl::StatusOr<FleetState> Fleet(int64_t since_us, size_t limit) const;
  absl::StatusOr<StoreSpace> Space() const;
  bool IsConnectedNow(const std::string& agent) const { return is_connected_(agent); }

  // As Store::TlsTotals, for metrics.
  absl::StatusOr<std::vector<TlsTotal>> TlsTotals() const;

  // As Store::CheckHealth.
  absl::Status CheckHealth() const;

 private:
  Store* store_;
  IsConnected is_connected_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_QUERIES_H_
