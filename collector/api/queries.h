// What the collector can be asked, before any wire: gRPC and HTTP are thin layers over this.
#ifndef TOKENWATCH_COLLECTOR_API_QUERIES_H_
#define TOKENWATCH_COLLECTOR_API_QUERIES_H_

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "collector/policy/policy_holder.h"
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

  struct Options {
    const PolicyHolder* policy = nullptr;  // outlives this; null: there is none
    // Adds rules of detection, how far they are, receivers and problems of their file to GetPolicy;
    // may be empty. Any thread.
    std::function<void(v1::PolicyStatus*)> add_status = nullptr;
  };

  // `store` must outlive this.
  Queries(Store* store, IsConnected is_connected)
      : Queries(store, std::move(is_connected), Options{}) {}
  Queries(Store* store, IsConnected is_connected, Options options)
      : store_(store), is_connected_(std::move(is_connected)), options_(std::move(options)) {}

  absl::StatusOr<v1::ListTokensResponse> ListTokens(const v1::ListRequest& request) const;
  absl::StatusOr<v1::TokenDetail> GetToken(const std::string& token_id) const;
  absl::StatusOr<v1::ListUsesResponse> ListUses(const v1::ListRequest& request) const;
  absl::StatusOr<v1::Stats> GetStats(const v1::ListRequest& request) const;
  absl::StatusOr<v1::ListAgentsResponse> ListAgents(const v1::ListRequest& request) const;

  // As DetectionStore has them.
  absl::StatusOr<v1::ListFindingsResponse> ListFindings(const v1::ListRequest& request) const;
  absl::StatusOr<v1::Finding> GetFinding(const std::string& finding_id) const;
  // Open findings by one column (DetectionStore::CountOpenFindings).
  absl::StatusOr<std::map<std::string, uint64_t>> OpenFindings(const std::string& by) const;

  // Who owns tokens that were used in the request's times, in the order of the policy's rows, with
  // and without such tokens; "none" last. Pages by page_token.
  absl::StatusOr<v1::ListOwnersResponse> ListOwners(const v1::ListRequest& request) const;
  absl::StatusOr<v1::PolicyStatus> GetPolicy() const;

  // Uses committed since the answer whose next_page_token is given, oldest first; without one, no
  // use and the token that means now. Its next_page_token is never empty.
  absl::StatusOr<v1::TailUsesResponse> TailUses(const v1::ListRequest& request) const;

  // Sum of what those answers said was dropped, since the start.
  uint64_t TailDropped() const { return tail_dropped_; }

  // As Store::Fleet and Store::Space, for metrics.
  absl::StatusOr<FleetState> Fleet(int64_t since_us, size_t limit) const;
  absl::StatusOr<StoreSpace> Space() const;
  bool IsConnectedNow(const std::string& agent) const { return is_connected_(agent); }

  // As Store::TlsTotals, for metrics.
  absl::StatusOr<std::vector<TlsTotal>> TlsTotals() const;

  // As Store::CheckHealth.
  absl::Status CheckHealth() const;

 private:
  PolicyState State() const;
  Store* store_;
  IsConnected is_connected_;
  Options options_;
  mutable std::atomic<uint64_t> tail_dropped_{0};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_QUERIES_H_
