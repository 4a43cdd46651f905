#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "agent/common/facts.h"
#include "agent/common/token_id.h"
#include "collector/store/proto_time.h"
#include "collector/store/scopes.h"
#include "collector/store/sqlite/finding_queries.h"
#include "collector/store/sqlite/owner_finder.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/schema.h"
#include "collector/store/sqlite/timeline.h"
#include "collector/store/sqlite/token_facts.h"
#include "collector/store/sqlite/token_groups.h"
#include "collector/store/sqlite/token_life.h"
#include "collector/store/sqlite/token_rows.h"
#include "collector/store/sqlite/usage_reader.h"
#include "collector/store/token_state.h"

namespace tokenwatch::sqlite {
namespace {

constexpr int kMaxUsageRows = 1000;
constexpr uint32_t kMaxFindings = 20;

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
  std::sort(accepted.begin(), accepted.end());
  for (const std::string& scope : accepted) detail->add_used_scopes(scope);
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

// `filter`: its token or credential.
void ShowFindings(Session* session, const Filter& filter, v1::TokenDetail* detail) {
  Filter about;
  about.token = filter.token;
  about.credential = filter.credential;
  about.limit = kMaxFindings;
  *detail->mutable_findings() =
      std::move(*ListFindings(session, about, nullptr, filter.now_us).mutable_findings());
}

// What others' facts say of a token without a use; nothing where they do not.
std::optional<v1::TokenDetail> UnusedToken(Session* session, const Filter& filter) {
  const std::array<uint8_t, 16>& id = *filter.token;
  const Facts facts = LinksOfUnused(session->database.get(), session->dimensions.get(),
                                    {reinterpret_cast<const char*>(id.data()), id.size()});
  if (facts.empty()) return std::nullopt;
  v1::TokenDetail detail;
  detail.mutable_token()->set_token_id(TokenIdText(id));
  detail.mutable_token()->set_issued(1);
  const OwnerFinder& owners = *session->dimensions->owners();
  ShowOwners(owners, {{owners.OfUnused(detail.token().token_id()), 0}}, detail.mutable_token());
  if (const auto found = facts.find(std::string(fact::kRotatedTo)); found != facts.end()) {
    detail.mutable_token()->set_successor(found->second.front().value);
  }
  detail.mutable_token()->set_state(detail.token().successor().empty() ? kTokenActive
                                                                       : kTokenRotated);
  ShowFacts(facts, &detail);
  ShowFindings(session, filter, &detail);
  return detail;
}

}  // namespace

v1::ListTokensResponse ListTokens(Session* session, const Filter& filter, const PagePosition* page,
                                  int64_t last_use) {
  Selection selection(filter, session->database.get(), session->dimensions.get());
  TokenFold fold(session->database.get());
  // Those who were used since some time are known without a look at each hour, and sums are wanted
  // of the page's rows only. Further pages look for where the first one had its rows, by all sums.
  const bool sums_of_page = page == nullptr && selection.TakesAllSince();
  Groups groups = sums_of_page ? TokensSince(session, &fold, filter.since_us)
                               : SumTokens(session, &fold, &selection);
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
  LifeReader lives(session);
  const size_t wanted = std::min<size_t>(rows.size(), size_t{filter.limit} + 1);
  if (filter.state.empty()) {
    std::partial_sort(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(wanted), rows.end(),
                      std::greater<Row>());
  } else {
    std::sort(rows.begin(), rows.end(), std::greater<Row>());
    size_t taken = 0;
    for (size_t i = 0; i < rows.size() && taken < wanted; ++i) {
      rows[i].group->SortMembers();
      if (StateOf(session, &fold, &lives, *rows[i].group, filter.now_us) == filter.state) {
        rows[taken++] = rows[i];
      }
    }
    rows.resize(taken);
  }
  const size_t shown = std::min<size_t>(rows.size(), filter.limit);

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
  if (sums_of_page) {
    for (const Row& row : rows) row.group->sums = Sums();
  }
  ForEachUsage(session->database.get(), session->dimensions.get(), &selection,
               [&](const UsageRow& row) {
                 const size_t place = row_of[row.token];
                 spreads[place].Add(session->dimensions.get(), row);
                 if (sums_of_page) rows[place].group->sums.Add(SumsOf(row));
               });
  const OpenFindingCounts open(session, &fold, filter.now_us);
  for (size_t i = 0; i < rows.size(); ++i) {
    v1::Token* const token = response.add_tokens();
    const Group& group = *rows[i].group;
    FillToken(session, &fold, group, spreads[i], token);
    FillLife(session, &fold, &lives, group, spreads[i], filter.now_us, token);
    token->set_open_findings(filter.token ? open.OfToken(fold.TokenOf(group.members[0].number))
                                          : open.OfRow(rows[i].number));
    ShowOwners(*session->dimensions->owners(), OwnersOf(session, &fold, group), token);
  }
  AddInboundUses(session, &fold, filter, std::move(row_of), &response);
  return response;
}

std::optional<v1::TokenDetail> GetToken(Session* session, Filter filter) {
  Dimensions* const dimensions = session->dimensions.get();
  Selection selection(filter, session->database.get(), dimensions);
  if (selection.tokens()->empty()) {
    return filter.token ? UnusedToken(session, filter) : std::nullopt;
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
  LifeReader lives(session);
  FillLife(session, &fold, &lives, group, spread, filter.now_us, detail.mutable_token());
  const OpenFindingCounts open(session, &fold, filter.now_us);
  const int64_t front = group.members.front().number;
  detail.mutable_token()->set_open_findings(filter.token ? open.OfToken(fold.TokenOf(front))
                                                         : open.OfRow(fold.RowOf(front)));
  FillFacts(session, group, &detail);
  ShowFindings(session, filter, &detail);
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

namespace {

// Calls `take` for rows that together have the tokens, programs and resources of the selection's
// outbound uses, and adds those up.
void SumUsage(Session* session, Selection* selection, v1::Stats* stats,
              absl::FunctionRef<void(int64_t token, int64_t program, int64_t resource)> take) {
  Database* const database = session->database.get();
  Dimensions* const dimensions = session->dimensions.get();
  const auto add = [stats](uint64_t uses, uint64_t denied, uint64_t unresolved) {
    stats->set_uses(stats->uses() + uses);
    stats->set_denied(stats->denied() + denied);
    stats->set_unresolved(stats->unresolved() + unresolved);
  };
  const auto sum = [&](Selection* part, bool told) {
    ForEachUsage(database, dimensions, part, [&](const UsageRow& row) {
      add(row.uses, row.denied, row.token == 0 ? row.uses : 0);
      if (told) take(row.token, row.program, row.resource);
    });
  };
  if (!selection->TakesAllSince()) {
    sum(selection, /*told=*/true);
    return;
  }
  const int64_t since_us = std::max<int64_t>(selection->filter().since_us, 0);
  Statement& used =
      database->Cached("SELECT token, program, resource FROM usage WHERE first + span >= ?");
  used.Start(since_us);
  while (used.Next()) {
    if (!dimensions->Resource(used.Int(2)).inbound) take(used.Int(0), used.Int(1), used.Int(2));
  }
  // The hour that is cut, and whole ones.
  const int64_t whole = (since_us + kMicrosPerHour - 1) / kMicrosPerHour;
  if (since_us != whole * kMicrosPerHour) {
    Filter cut = selection->filter();
    cut.until_us = whole * kMicrosPerHour;
    Selection part(cut, database, dimensions);
    sum(&part, /*told=*/false);
  }
  Statement& totals = database->Cached(
      "SELECT sum(uses), sum(denied), sum(unresolved) FROM hour_totals WHERE hour >= ?");
  totals.Start(whole);
  if (totals.Next()) {
    add(static_cast<uint64_t>(totals.Int(0)), static_cast<uint64_t>(totals.Int(1)),
        static_cast<uint64_t>(totals.Int(2)));
  }
  totals.Reset();
}

}  // namespace

v1::Stats GetStats(Session* session, const Filter& filter) {
  Database* const database = session->database.get();
  Dimensions* const dimensions = session->dimensions.get();
  Selection selection(filter, database, dimensions);
  TokenFold fold(database);
  absl::flat_hash_set<int64_t> tokens;
  absl::flat_hash_set<ProgramIdentity> programs;
  absl::flat_hash_set<ResourceIdentity> resources;
  absl::flat_hash_set<int64_t> token_ids, program_ids, resource_ids;  // that were looked at
  v1::Stats stats;
  const auto take = [&](int64_t token, int64_t program, int64_t resource) {
    if (token != 0 && token_ids.insert(token).second) tokens.insert(fold.RowOf(token));
    if (program_ids.insert(program).second) {
      programs.insert(IdentityOf(dimensions->Program(program)));
    }
    if (resource_ids.insert(resource).second) {
      resources.insert(IdentityOf(dimensions->Resource(resource)));
    }
  };
  SumUsage(session, &selection, &stats, take);
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
