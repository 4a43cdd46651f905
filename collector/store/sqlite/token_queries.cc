#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "agent/common/facts.h"
#include "agent/common/token_id.h"
#include "collector/store/scopes.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/owner_finder.h"
#include "collector/store/sqlite/proto_time.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/timeline.h"
#include "collector/store/sqlite/token_facts.h"
#include "collector/store/sqlite/token_groups.h"
#include "collector/store/sqlite/usage_reader.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::sqlite {
namespace {

constexpr size_t kMaxNames = 10;
constexpr int kMaxUsageRows = 1000;
// Of a credential, the tokens used last whose facts are looked at: in a list, and for one.
constexpr size_t kMaxFactTokens = 64;
constexpr size_t kMaxDetailTokens = 4096;

using ProgramIdentity = std::tuple<int64_t, int64_t, int64_t, int64_t>;
using ResourceIdentity = std::tuple<int64_t, int64_t, int64_t>;

// v1.query.proto: executable and script on a machine by a user.
ProgramIdentity IdentityOf(const ProgramRow& row) {
  return {row.machine, row.exe, row.script, row.user};
}
ResourceIdentity IdentityOf(const ResourceRow& row) { return {row.method, row.host, row.path}; }

// What a token met, counted.
struct Spread {
  absl::flat_hash_set<ProgramIdentity> programs;
  absl::flat_hash_set<int64_t> machines;
  absl::flat_hash_set<ResourceIdentity> resources;
  absl::flat_hash_map<int64_t, uint64_t> hosts;  // uses by string
  // Uses by the string of a script, or of an executable where there is none.
  absl::flat_hash_map<int64_t, uint64_t> names;
  uint64_t foreign_host_uses = 0;

  void Add(Dimensions* dimensions, const UsageRow& row) {
    const ProgramRow& program = dimensions->Program(row.program);
    const ResourceRow& resource = dimensions->Resource(row.resource);
    programs.insert(IdentityOf(program));
    machines.insert(program.machine);
    resources.insert(IdentityOf(resource));
    hosts[resource.host] += row.uses;
    if ((resource.traits & v1::USE_TRAIT_FOREIGN_HOST) != 0) foreign_host_uses += row.uses;
    names[dimensions->Text(program.script).empty() ? program.exe : program.script] += row.uses;
  }
};

// Uses of a token by who owns them.
using OwnedUses = absl::flat_hash_map<const OwnerRow*, uint64_t>;

// Of all outbound uses of the group's tokens, whatever a list's filters leave.
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

// Who owns it, most uses first. A token that is well in all else is unmapped where nobody does.
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
  if (rows.empty() && token->uses() > 0 && (token->state().empty() || token->state() == "active")) {
    token->set_state("unmapped");
  }
}

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

// `group`'s members are sorted: the id that was used last stands for all, which after a rotation is
// the new key's, and of a credential the newest token's.
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

// `row_of`: the place in `response` of every number of its tokens that has uses there; gains those
// that have inbound uses alone.
void AddInboundUses(Session* session, TokenFold* fold, const Filter& filter,
                    absl::flat_hash_map<int64_t, size_t> row_of, v1::ListTokensResponse* response) {
  // Few fleets watch what they receive, and a page may stand for very many tokens.
  Statement& any = session->database->Cached("SELECT 1 FROM resources WHERE inbound != 0 LIMIT 1");
  any.Start();
  const bool received_any = any.Next();
  any.Reset();
  if (!received_any) return;
  // A token that is asked for alone does not bring its credential's others.
  absl::flat_hash_map<int64_t, size_t> places;
  for (const auto& [number, place] : row_of) {
    places.try_emplace(filter.token ? fold->TokenOf(number) : fold->RowOf(number), place);
  }
  for (const auto& [row, place] : places) {
    for (const int64_t number : fold->NumbersOf(row)) row_of.try_emplace(number, place);
  }
  absl::flat_hash_set<int64_t> numbers;
  for (const auto& [number, row] : row_of) numbers.insert(number);
  Filter received = filter;
  received.inbound = true;
  Selection selection(received, session->database.get(), session->dimensions.get());
  selection.SetTokens(std::move(numbers));
  ForEachUsage(session->database.get(), session->dimensions.get(), &selection,
               [&](const UsageRow& row) {
                 v1::Token* token = response->mutable_tokens(static_cast<int>(row_of[row.token]));
                 token->set_inbound_uses(token->inbound_uses() + row.uses);
               });
}

void ShowFacts(const Facts& facts, v1::TokenDetail* detail) {
  std::vector<std::string> granted, accepted;
  for (const auto& [name, values] : facts) {
    v1::Fact* shown = detail->add_facts();
    shown->set_name(name);
    int64_t first_us = values.front().first_us;
    for (const FactValue& value : values) {
      first_us = std::min(first_us, value.first_us);
      if (name == fact::kScope && !value.earlier) granted.push_back(value.value);
      if (name == fact::kScopeAccepted) accepted.push_back(value.value);
      if (shown->values_size() == kMaxFactValues) continue;
      shown->add_values(value.value);
      v1::FactValue* const told = shown->add_told();
      told->set_value(value.value);
      told->set_earlier(value.earlier);
      SetTime(value.first_us, told->mutable_first_seen());
      SetTime(value.last_us, told->mutable_last_seen());
    }
    SetTime(first_us, shown->mutable_first_seen());
    SetTime(values.front().last_us, shown->mutable_last_seen());
  }
  std::sort(granted.begin(), granted.end());
  for (std::string& scope : UnneededScopes(detail->token().provider(), granted, accepted)) {
    detail->add_unneeded_scopes(std::move(scope));
  }
}

void FillFacts(Session* session, const Group& group, v1::TokenDetail* detail) {
  std::vector<int64_t> numbers = group.Numbers();
  if (numbers.size() > kMaxDetailTokens) numbers.resize(kMaxDetailTokens);
  Facts facts = ReadFacts(session->database.get(), session->dimensions.get(), numbers);
  AddLinks(session->database.get(), session->dimensions.get(), numbers, &facts);
  ShowFacts(facts, detail);
}

// What others' facts say of a token without a use; nothing where they do not.
std::optional<v1::TokenDetail> UnusedToken(Session* session, const std::array<uint8_t, 16>& id) {
  const Facts facts = LinksOfUnused(session->database.get(), session->dimensions.get(),
                                    {reinterpret_cast<const char*>(id.data()), id.size()});
  if (facts.empty()) return std::nullopt;
  v1::TokenDetail detail;
  detail.mutable_token()->set_token_id(TokenIdText(id));
  detail.mutable_token()->set_issued(1);
  const OwnerFinder& owners = *session->dimensions->owners();
  ShowOwners(owners, {{owners.OfUnused(detail.token().token_id()), 0}}, detail.mutable_token());
  ShowFacts(facts, &detail);
  return detail;
}

}  // namespace

v1::ListTokensResponse ListTokens(Session* session, const Filter& filter, const PagePosition* page,
                                  int64_t last_use) {
  Selection selection(filter, session->database.get(), session->dimensions.get());
  TokenFold fold(session->database.get());
  Groups groups = SumTokens(session, &fold, &selection);
  if (page != nullptr) RestoreOrder(session, filter, page->snapshot, &groups);

  struct Row {
    int64_t time_us;
    int64_t number;
    Group* group;
    bool operator>(const Row& other) const {
      return std::tie(time_us, number) > std::tie(other.time_us, other.number);
    }
  };
  std::vector<Row> rows;
  rows.reserve(groups.size());
  for (auto& [number, group] : groups) {
    if (page != nullptr && std::tie(group.order_us, number) >= std::tie(page->time_us, page->row)) {
      continue;
    }
    rows.push_back({group.order_us, number, &group});
  }
  const size_t shown = std::min<size_t>(rows.size(), filter.limit);
  std::partial_sort(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(shown), rows.end(),
                    std::greater<Row>());

  v1::ListTokensResponse response;
  if (shown < rows.size()) {
    const Row& last = rows[shown - 1];
    response.set_next_page_token(
        WritePageToken(ListKind::kTokens, filter.fingerprint,
                       {filter.since_us, filter.until_us, last.time_us, last.number,
                        page == nullptr ? last_use : page->snapshot}));
  }
  rows.resize(shown);
  absl::flat_hash_map<int64_t, size_t> row_of;
  absl::flat_hash_set<int64_t> numbers;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].group->SortMembers();
    for (const Group::Member& member : rows[i].group->members) {
      row_of[member.number] = i;
      numbers.insert(member.number);
    }
  }
  if (rows.empty()) return response;
  std::vector<Spread> spreads(rows.size());
  selection.SetTokens(std::move(numbers));
  ForEachUsage(
      session->database.get(), session->dimensions.get(), &selection,
      [&](const UsageRow& row) { spreads[row_of[row.token]].Add(session->dimensions.get(), row); });
  for (size_t i = 0; i < rows.size(); ++i) {
    v1::Token* const token = response.add_tokens();
    FillToken(session, &fold, *rows[i].group, spreads[i], token);
    ShowOwners(*session->dimensions->owners(), OwnersOf(session, &fold, *rows[i].group), token);
  }
  AddInboundUses(session, &fold, filter, std::move(row_of), &response);
  return response;
}

std::optional<v1::TokenDetail> GetToken(Session* session, Filter filter) {
  Dimensions* const dimensions = session->dimensions.get();
  Selection selection(filter, session->database.get(), dimensions);
  if (selection.tokens()->empty()) {
    return filter.token ? UnusedToken(session, *filter.token) : std::nullopt;
  }

  absl::flat_hash_map<int64_t, int64_t> last_used;
  for (const int64_t number : *selection.tokens()) last_used[number] = kNoSince;
  Group group;
  Spread spread;
  // As the rows show: programs and resources may differ in what no row tells.
  using Shown = std::array<int64_t, 16>;
  absl::flat_hash_map<Shown, Sums> usage;
  const auto show = [&](const UsageRow& row) {
    const ProgramRow& program = dimensions->Program(row.program);
    const ResourceRow& resource = dimensions->Resource(row.resource);
    usage[{program.machine, program.comm, program.exe, program.script, program.user, program.unit,
           program.container, resource.method, resource.host, resource.path, resource.inbound,
           program.pod, program.name_space, program.service_account, program.container_name,
           program.image}]
        .Add(SumsOf(row));
  };
  ForEachUsage(session->database.get(), dimensions, &selection, [&](const UsageRow& row) {
    group.sums.Add(SumsOf(row));
    int64_t& last_us = last_used[row.token];
    last_us = std::max(last_us, row.last_us);
    spread.Add(dimensions, row);
    show(row);
  });
  filter.inbound = true;
  Selection received(filter, session->database.get(), dimensions);
  uint64_t inbound_uses = 0;
  ForEachUsage(session->database.get(), dimensions, &received, [&](const UsageRow& row) {
    inbound_uses += row.uses;
    show(row);
  });

  for (const auto& [number, last_us] : last_used) group.members.push_back({number, last_us});
  group.SortMembers();
  TokenFold fold(session->database.get());
  v1::TokenDetail detail;
  FillToken(session, &fold, group, spread, detail.mutable_token());
  FillFacts(session, group, &detail);
  ShowOwners(*dimensions->owners(), OwnersOf(session, &fold, group), detail.mutable_token());
  detail.mutable_token()->set_inbound_uses(inbound_uses);
  FillTimeline(session, filter, group.sums.first_us, group.sums.last_us, &detail);
  std::vector<std::pair<Shown, Sums>> rows(usage.begin(), usage.end());
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return a.second.uses != b.second.uses ? a.second.uses > b.second.uses : a.first < b.first;
  });
  for (const auto& [shown, sums] : rows) {
    if (detail.usage_size() >= kMaxUsageRows) break;
    v1::TokenUsage* row = detail.add_usage();
    const auto text = [&, shown = shown](size_t i) { return dimensions->Text(shown[i]); };
    row->set_machine(text(0));
    row->set_comm(text(1));
    row->set_exe(text(2));
    row->set_script(text(3));
    row->set_user(text(4));
    row->set_unit(text(5));
    row->set_container_id(text(6));
    row->set_method(text(7));
    row->set_host(text(8));
    row->set_path(text(9));
    row->set_direction(shown[10] != 0 ? "inbound" : "outbound");
    row->set_pod(text(11));
    row->set_namespace_(text(12));
    row->set_service_account(text(13));
    row->set_container_name(text(14));
    row->set_image(text(15));
    row->set_uses(sums.uses);
    row->set_denied(sums.denied);
    SetTime(sums.first_us, row->mutable_first_used());
    SetTime(sums.last_us, row->mutable_last_used());
  }
  return detail;
}

v1::Stats GetStats(Session* session, const Filter& filter) {
  Database* const database = session->database.get();
  Dimensions* const dimensions = session->dimensions.get();
  Selection selection(filter, database, dimensions);
  TokenFold fold(database);
  absl::flat_hash_set<int64_t> tokens;
  absl::flat_hash_set<ProgramIdentity> programs;
  absl::flat_hash_set<ResourceIdentity> resources;
  v1::Stats stats;
  ForEachUsage(database, dimensions, &selection, [&](const UsageRow& row) {
    stats.set_uses(stats.uses() + row.uses);
    stats.set_denied(stats.denied() + row.denied);
    if (row.token == 0) {
      stats.set_unresolved(stats.unresolved() + row.uses);
    } else {
      tokens.insert(fold.RowOf(row.token));
    }
    programs.insert(IdentityOf(dimensions->Program(row.program)));
    resources.insert(IdentityOf(dimensions->Resource(row.resource)));
  });
  stats.set_tokens(tokens.size());
  stats.set_workloads(programs.size());
  stats.set_resources(resources.size());

  // Agents and gaps know no token or endpoint: only times choose among them.
  Statement& agents = database->Cached(
      "SELECT count(*), sum(gaps) FROM agents WHERE last_seen >= ? AND first_seen < ?");
  agents.Start(filter.since_us, filter.until_us);
  if (agents.Next()) {
    stats.set_agents(static_cast<uint64_t>(agents.Int(0)));
    stats.set_gaps(static_cast<uint64_t>(agents.Int(1)));
  }
  agents.Reset();
  if (filter.HasTime()) {
    Statement& gaps =
        database->Cached("SELECT sum(count) FROM gaps WHERE until >= ? AND since < ?");
    gaps.Start(filter.since_us, filter.until_us);
    if (gaps.Next()) stats.set_gaps(static_cast<uint64_t>(gaps.Int(0)));
    gaps.Reset();
  }
  return stats;
}

}  // namespace tokenwatch::sqlite
