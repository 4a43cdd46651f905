#include "collector/api/queries.h"

#include <array>
#include <utility>

#include "agent/common/log.h"
#include "agent/common/token_id.h"
#include "collector/api/public_status.h"
#include "collector/json/json.h"
#include "collector/store/credential_id.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kDefaultLimit = 100;  // as query.proto says

template <typename Answer>
absl::StatusOr<Answer> Finish(absl::StatusOr<Answer> answer) {
  if (!answer.ok()) return PublicStatus(answer.status());
  MakeUtf8Valid(&*answer);
  return answer;
}

}  // namespace

absl::Status PublicStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnavailable:
      return status;
    default:
      Log(LogLevel::kError, "a query failed: ", std::string(status.message()));
      return absl::InternalError("the query failed; the collector's log says why");
  }
}

absl::StatusOr<v1::ListTokensResponse> Queries::ListTokens(const v1::ListRequest& request) const {
  return Finish(store_->ListTokens(request));
}

absl::StatusOr<v1::TokenDetail> Queries::GetToken(const std::string& token_id) const {
  std::array<uint8_t, 16> id{};
  // In its one written form: digits may be given in upper case.
  if (ParseCredentialIdText(token_id, &id)) return Finish(store_->GetToken(CredentialIdText(id)));
  if (!ParseTokenIdText(token_id, &id)) {
    return absl::InvalidArgumentError(
        "a token id is tok_ and 26 letters and digits, as tok_35602yf42tr1pnyk1wrynxw9gd; a "
        "credential id is cred_ and as many");
  }
  return Finish(store_->GetToken(TokenIdText(id)));
}

absl::StatusOr<v1::ListUsesResponse> Queries::ListUses(const v1::ListRequest& request) const {
  return Finish(store_->ListUses(request));
}

absl::StatusOr<v1::Stats> Queries::GetStats(const v1::ListRequest& request) const {
  return Finish(store_->GetStats(request));
}

absl::StatusOr<v1::ListAgentsResponse> Queries::ListAgents(const v1::ListRequest& request) const {
  absl::StatusOr<v1::ListAgentsResponse> answer = Finish(store_->ListAgents(request));
  if (!answer.ok()) return answer;
  for (v1::Agent& agent : *answer->mutable_agents()) {
    agent.set_connected(is_connected_(agent.agent()));
  }
  return answer;
}

absl::StatusOr<v1::TailUsesResponse> Queries::TailUses(const v1::ListRequest& request) const {
  std::string cursor = request.page_token();
  const uint32_t limit = request.limit() == 0 ? kDefaultLimit : request.limit();
  absl::StatusOr<std::vector<v1::Use>> uses = store_->UsesAfter(request, &cursor, limit);
  if (!uses.ok()) return PublicStatus(uses.status());
  v1::TailUsesResponse answer;
  for (v1::Use& use : *uses) *answer.add_uses() = std::move(use);
  if (!request.page_token().empty() && cursor != request.page_token()) {
    const absl::StatusOr<uint64_t> dropped = store_->DroppedBetween(request.page_token(), cursor);
    if (!dropped.ok()) return PublicStatus(dropped.status());
    answer.set_dropped(*dropped);
    tail_dropped_ += *dropped;
  }
  answer.set_next_page_token(std::move(cursor));
  MakeUtf8Valid(&answer);
  return answer;
}

absl::StatusOr<std::vector<TlsTotal>> Queries::TlsTotals() const {
  absl::StatusOr<std::vector<TlsTotal>> totals = store_->TlsTotals();
  if (!totals.ok()) return PublicStatus(totals.status());
  return totals;
}

absl::StatusOr<FleetState> Queries::Fleet(int64_t since_us, size_t limit) const {
  absl::StatusOr<FleetState> fleet = store_->Fleet(since_us, limit);
  if (!fleet.ok()) return PublicStatus(fleet.status());
  return fleet;
}

absl::StatusOr<StoreSpace> Queries::Space() const {
  absl::StatusOr<StoreSpace> space = store_->Space();
  if (!space.ok()) return PublicStatus(space.status());
  return space;
}

absl::Status Queries::CheckHealth() const { return store_->CheckHealth(); }

}  // namespace tokenwatch
