#include "collector/store/sqlite/token_rows.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "agent/common/facts.h"
#include "agent/common/token_id.h"
#include "collector/store/proto_time.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/token_facts.h"
#include "collector/store/sqlite/token_marks.h"
#include "collector/store/token_state.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::sqlite {
namespace {

constexpr size_t kMaxNames = 10;

// The strings with the most uses.
std::vector<std::string> MostUsed(Dimensions* dimensions,
                                  const absl::flat_hash_map<int64_t, uint64_t>& uses) {
  std::vector<std::pair<uint64_t, std::string>> rows;
  for (const auto& [string, count] : uses) rows.emplace_back(count, dimensions->Text(string));
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(rows.size(), kMaxNames); ++i) texts.push_back(rows[i].second);
  return texts;
}

// What facts tell in a token's own fields: for a credential that of the token that was used last,
// and where that has none that of the one before, as far back as kMaxFactTokens.
void FillFacts(Session* session, TokenFold* fold, const Group& group, v1::Token* token) {
  std::vector<int64_t> numbers;
  absl::flat_hash_set<int64_t> seen;
  for (const Group::Member& member : group.members) {
    if (numbers.size() >= kMaxFactTokens) break;
    for (const int64_t number : fold->Siblings(member.number)) {
      if (seen.insert(number).second) numbers.push_back(number);
    }
  }
  const std::string_view names[] = {fact::kPublicId, fact::kAccount,     fact::kOwner,
                                    fact::kExpires,  fact::kIssuer,      fact::kSubject,
                                    fact::kClient,   fact::kOrganization};
  std::vector<std::string> values = NewestValues(session->database.get(), numbers, names);
  token->set_public_id(std::move(values[0]));
  token->set_account(std::move(values[1]));
  token->set_owner(std::move(values[2]));
  token->set_issuer(std::move(values[4]));
  token->set_subject(std::move(values[5]));
  token->set_client(std::move(values[6]));
  token->set_organization(std::move(values[7]));
  absl::Time expires;
  std::string error;
  // absl reads words such as "infinite-future" as well.
  if (!values[3].empty() && absl::ascii_isdigit(values[3].front()) &&
      absl::ParseTime(absl::RFC3339_full, values[3], &expires, &error)) {
    SetTime(absl::ToUnixMicros(expires), token->mutable_expires());
  }
}

}  // namespace

void Spread::Add(Dimensions* dimensions, const UsageRow& row) {
  const ProgramRow& program = dimensions->Program(row.program);
  const ResourceRow& resource = dimensions->Resource(row.resource);
  programs.insert(IdentityOf(program));
  int64_t& last_us = machines.try_emplace(program.machine, row.last_us).first->second;
  last_us = std::max(last_us, row.last_us);
  resources.insert(IdentityOf(resource));
  hosts[resource.host] += row.uses;
  if ((resource.traits & v1::USE_TRAIT_FOREIGN_HOST) != 0) foreign_host_uses += row.uses;
  names[dimensions->Text(program.script).empty() ? program.exe : program.script] += row.uses;
}

OwnedUses OwnersOf(Session* session, TokenFold* fold, const Group& group) {
  OwnedUses owned;
  OwnerFinder* const owners = session->dimensions->owners();
  if (!owners->HasOwners()) return owned;
  Statement& query =
      session->database->Cached("SELECT program, resource, uses FROM usage WHERE token = ?");
  absl::flat_hash_set<int64_t> numbers;
  for (const Group::Member& member : group.members) {
    if (numbers.size() >= kMaxDetailTokens) break;
    for (const int64_t number : fold->Siblings(member.number)) numbers.insert(number);
  }
  for (const int64_t number : numbers) {
    query.Start(number);
    while (query.Next()) {
      if (session->dimensions->Resource(query.Int(1)).inbound) continue;
      owned[owners->OfUsage(number, query.Int(0), query.Int(1))] +=
          static_cast<uint64_t>(query.Int(2));
    }
  }
  return owned;
}

void ShowOwners(const OwnerFinder& owners, const OwnedUses& owned, v1::Token* token) {
  if (!owners.HasOwners()) return;
  absl::flat_hash_map<std::string_view, uint64_t> uses;
  for (const auto& [row, count] : owned) {
    if (row != nullptr) uses[row->owner] += count;
  }
  std::vector<std::pair<uint64_t, std::string_view>> rows;
  for (const auto& [owner, count] : uses) rows.emplace_back(count, owner);
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (const auto& [count, owner] : rows) {
    if (token->owners_size() < static_cast<int>(kMaxNames)) token->add_owners(std::string(owner));
  }
  if (rows.empty() && token->uses() > 0 && (token->state() == kTokenActive)) {
    token->set_state(kTokenUnmapped);
  }
}

std::string StateOf(Session* session, TokenFold* fold, LifeReader* lives, const Group& group,
                    int64_t now_us) {
  const std::vector<int64_t> newest = fold->Siblings(group.members.front().number);
  std::string state = TokenStateOf(lives->Read(newest), now_us);
  if (state != kTokenActive || !session->dimensions->owners()->HasOwners()) return state;
  const OwnedUses owned = OwnersOf(session, fold, group);
  const bool mapped = std::any_of(owned.begin(), owned.end(),
                                  [](const auto& entry) { return entry.first != nullptr; });
  return mapped ? state : kTokenUnmapped;
}

void FillLife(Session* session, TokenFold* fold, LifeReader* lives, const Group& group,
              const Spread& spread, int64_t now_us, v1::Token* token) {
  const TokenLife life = lives->Read(fold->Siblings(group.members.front().number));
  token->set_state(TokenStateOf(life, now_us));
  token->set_successor(life.successor);
  if (life.issued_us.has_value()) SetTime(*life.issued_us, token->mutable_issued_at());
  if (life.issued_us.has_value() || group.sums.uses > 0) {
    const int64_t age_us = now_us - life.issued_us.value_or(group.sums.first_us);
    token->set_age_seconds(static_cast<uint64_t>(std::max<int64_t>(age_us, 0) / 1000000));
  }
  std::vector<std::pair<int64_t, int64_t>> machines;
  for (const auto& [machine, last_us] : spread.machines) machines.emplace_back(last_us, machine);
  std::sort(machines.rbegin(), machines.rend());
  for (size_t i = 0; i < std::min(machines.size(), kMaxNames); ++i) {
    token->add_machine_names(session->dimensions->Text(machines[i].second));
  }
  std::vector<int64_t> numbers = group.Numbers();
  if (numbers.size() > kMaxFactTokens) numbers.resize(kMaxFactTokens);
  auto marks = ReadMarks(session->database.get(), session->dimensions.get(), numbers, kMaxNames);
  const auto add = [&marks](Mark mark, auto* field) {
    for (std::string& text : marks[static_cast<size_t>(mark)]) *field->Add() = std::move(text);
  };
  add(Mark::kSource, token->mutable_source_addresses());
  add(Mark::kPeer, token->mutable_peer_addresses());
  add(Mark::kUserAgent, token->mutable_user_agents());
}

void FillToken(Session* session, TokenFold* fold, const Group& group, const Spread& spread,
               v1::Token* token) {
  Database* const database = session->database.get();
  Dimensions* const dimensions = session->dimensions.get();
  const int64_t newest = group.members.front().number;
  Statement& query =
      database->Cached("SELECT id, key, format, provider, length FROM tokens WHERE number = ?");
  query.Start(newest);
  if (query.Next()) {
    const absl::string_view id = query.Bytes(0);
    token->set_token_id(TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()}));
    token->set_key_id(dimensions->Text(query.Int(1)));
    token->set_format(dimensions->Text(query.Int(2)));
    token->set_provider(dimensions->Text(query.Int(3)));
    token->set_token_length(static_cast<uint32_t>(query.Int(4)));
  }
  query.Reset();
  token->set_credential_id(CredentialText(database, fold->Credential(newest)));
  token->set_issued(fold->CountTokens(group.Numbers()));
  FillFacts(session, fold, group, token);
  token->set_uses(group.sums.uses);
  token->set_denied(group.sums.denied);
  token->set_failed(group.sums.failed);
  if (group.sums.uses > 0) {
    SetTime(group.sums.first_us, token->mutable_first_used());
    SetTime(group.sums.last_us, token->mutable_last_used());
  }
  token->set_workloads(static_cast<uint32_t>(spread.programs.size()));
  token->set_machines(static_cast<uint32_t>(spread.machines.size()));
  token->set_resources(static_cast<uint32_t>(spread.resources.size()));
  token->set_foreign_host_uses(spread.foreign_host_uses);
  for (std::string& host : MostUsed(dimensions, spread.hosts)) token->add_hosts(std::move(host));
  for (std::string& name : MostUsed(dimensions, spread.names)) {
    if (!name.empty()) token->add_programs(std::move(name));
  }
}

}  // namespace tokenwatch::sqlite
