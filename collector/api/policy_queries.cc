// What is asked about owners and the policy.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "collector/api/public_status.h"
#include "collector/api/queries.h"
#include "collector/json/json.h"
#include "collector/policy/policy_text.h"

namespace tokenwatch {
namespace {

constexpr size_t kDefaultLimit = 100;  // as query.proto says
constexpr char kNobody[] = "none";

void SetTime(absl::Time time, google::protobuf::Timestamp* stamp) {
  const int64_t us = absl::ToUnixMicros(time);
  stamp->set_seconds(us / 1'000'000);
  stamp->set_nanos(static_cast<int32_t>(us % 1'000'000 * 1000));
}

// The owners of a policy, in the order in which it first names them.
std::vector<v1::Owner> OwnersOf(const Policy& policy) {
  std::vector<v1::Owner> owners;
  std::map<std::string, size_t> places;
  for (const OwnerRow& row : policy.owners()) {
    const auto [found, added] = places.emplace(row.owner, owners.size());
    if (added) owners.emplace_back().set_owner(row.owner);
    v1::Owner& owner = owners[found->second];
    if (owner.contact().empty()) owner.set_contact(row.contact);
    owner.add_matches(MatchText(row.match));
  }
  return owners;
}

}  // namespace

PolicyState Queries::State() const {
  if (options_.policy != nullptr) return options_.policy->Get();
  PolicyState none;
  none.policy = std::make_shared<const Policy>();
  return none;
}

absl::StatusOr<v1::ListOwnersResponse> Queries::ListOwners(const v1::ListRequest& request) const {
  size_t from = 0;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &from)) {
    return absl::InvalidArgumentError(
        "page_token: was not made for this list; leave it out to start from its beginning");
  }
  absl::StatusOr<std::vector<v1::Owner>> sums = store_->SumOwners(request);
  if (!sums.ok()) return PublicStatus(sums.status());
  const auto open = OpenFindings("owner");
  if (!open.ok()) return open.status();

  std::vector<v1::Owner> owners = OwnersOf(*State().policy);
  owners.emplace_back().set_owner(kNobody);
  for (const v1::Owner& sum : *sums) {
    auto found = std::find_if(owners.begin(), owners.end(),
                              [&](const v1::Owner& owner) { return owner.owner() == sum.owner(); });
    // The policy changed since the store was asked.
    if (found == owners.end()) {
      found = owners.insert(owners.end() - 1, v1::Owner());
      found->set_owner(sum.owner());
    }
    found->set_tokens(sum.tokens());
    found->set_uses(sum.uses());
    *found->mutable_last_used() = sum.last_used();
  }
  // Open findings of an owner whom the policy no longer has are not lost with it.
  for (const auto& [name, findings] : *open) {
    const bool is_there = std::any_of(owners.begin(), owners.end(),
                                      [&name](const auto& owner) { return owner.owner() == name; });
    if (name.empty() || is_there) continue;
    owners.insert(owners.end() - 1, v1::Owner())->set_owner(name);
  }
  if (!request.owner().empty()) {
    std::erase_if(owners, [&](const v1::Owner& owner) { return owner.owner() != request.owner(); });
  }
  v1::ListOwnersResponse answer;
  const size_t limit = request.limit() == 0 ? kDefaultLimit : request.limit();
  for (size_t i = from; i < owners.size() && i - from < limit; ++i) {
    v1::Owner& owner = *answer.add_owners() = std::move(owners[i]);
    // Findings of what nobody owns have no owner.
    const auto findings = open->find(owner.owner() == kNobody ? "" : owner.owner());
    if (findings != open->end()) owner.set_open_findings(findings->second);
  }
  if (from + limit < owners.size()) answer.set_next_page_token(absl::StrCat(from + limit));
  MakeUtf8Valid(&answer);
  return answer;
}

absl::StatusOr<v1::PolicyStatus> Queries::GetPolicy() const {
  const auto open = OpenFindings("policy_rule");
  if (!open.ok()) return open.status();
  const PolicyState state = State();
  v1::PolicyStatus answer;
  answer.set_file(state.file);
  answer.set_digest(state.digest);
  if (state.loads > 0) SetTime(state.loaded, answer.mutable_loaded());
  for (const std::string& problem : state.problems) answer.add_problems(problem);
  answer.set_owners(static_cast<uint32_t>(OwnersOf(*state.policy).size()));
  for (const PolicyRule& rule : state.policy->rules()) {
    v1::PolicyRuleStatus* const shown = answer.add_rules();
    shown->set_rule(rule.id);
    shown->set_asks(RuleText(rule));
    shown->set_where(rule.where);
    if (const auto found = open->find(rule.id); found != open->end()) {
      shown->set_open_findings(found->second);
    }
  }
  const absl::Time now = absl::Now();
  for (const Suppression& suppression : state.policy->suppressions()) {
    v1::SuppressionStatus* const shown = answer.add_suppressions();
    shown->set_rule(suppression.rule);
    shown->set_reason(suppression.reason);
    SetTime(suppression.until, shown->mutable_until());
    shown->set_ended(suppression.until <= now);
    if (shown->ended()) answer.set_suppressions_ended(answer.suppressions_ended() + 1);
    shown->set_where(suppression.where);
  }
  for (std::string& warning : state.policy->Warnings(now)) answer.add_warnings(std::move(warning));
  if (options_.add_status) options_.add_status(&answer);
  MakeUtf8Valid(&answer);
  return answer;
}

}  // namespace tokenwatch
