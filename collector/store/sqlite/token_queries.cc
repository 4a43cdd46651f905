#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "agent/common/token_id.h"
#include "collector/store/sqlite/proto_time.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/schema.h"
#include "collector/store/sqlite/usage_reader.h"

namespace tokenwatch::sqlite {
namespace {

constexpr size_t kMaxNames = 10;
constexpr int kMaxUsageRows = 1000;

struct Sums {
  uint64_t uses = 0;
  uint64_t denied = 0;
  uint64_t failed = 0;
  int64_t first_us = 0;
  int64_t last_us = 0;

  void Add(const Sums& other) {
    if (uses == 0) {
      *this = other;
      return;
    }
    uses += other.uses;
    denied += other.denied;
    failed += other.failed;
    first_us = std::min(first_us, other.first_us);
    last_us = std::max(last_us, other.last_us);
  }
};

Sums SumsOf(const UsageRow& row) {
  return {row.uses, row.denied, row.failed, row.first_us, row.last_us};
}

// A token over all its ids.
struct Group {
  Sums sums;
  absl::InlinedVector<int64_t, 2> numbers;
  int64_t order_us = 0;  // last used, as the list's first page saw it
};

using Groups = absl::flat_hash_map<int64_t, Group>;  // by the number that stands for the group

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

  void Add(Dimensions* dimensions, const UsageRow& row) {
    const ProgramRow& program = dimensions->Program(row.program);
    const ResourceRow& resource = dimensions->Resource(row.resource);
    programs.insert(IdentityOf(program));
    machines.insert(program.machine);
    resources.insert(IdentityOf(resource));
    hosts[resource.host] += row.uses;
    names[dimensions->Text(program.script).empty() ? program.exe : program.script] += row.uses;
  }
};

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

absl::flat_hash_map<int64_t, int64_t> JoinedNumbers(Database* database) {
  absl::flat_hash_map<int64_t, int64_t> joined;
  Statement& query = database->Cached("SELECT number, joined FROM tokens WHERE joined IS NOT NULL");
  query.Start();
  while (query.Next()) joined[query.Int(0)] = query.Int(1);
  return joined;
}

Groups SumTokens(Session* session, Selection* selection) {
  const absl::flat_hash_map<int64_t, int64_t> joined = JoinedNumbers(session->database.get());
  Groups groups;
  const auto add = [&](int64_t number, const Sums& sums) {
    const auto found = joined.find(number);
    Group& group = groups[found == joined.end() ? number : found->second];
    group.sums.Add(sums);
    group.order_us = group.sums.last_us;
    if (!absl::c_linear_search(group.numbers, number)) group.numbers.push_back(number);
  };
  if (selection->TakesAll() && !selection->filter().HasTime()) {
    Statement& query = session->database->Cached(
        "SELECT number, uses, denied, failed, first, span FROM tokens WHERE uses > 0");
    query.Start();
    while (query.Next()) {
      const int64_t first = query.Int(4);
      add(query.Int(0), {static_cast<uint64_t>(query.Int(1)), static_cast<uint64_t>(query.Int(2)),
                         static_cast<uint64_t>(query.Int(3)), first, first + query.Int(5)});
    }
  } else {
    ForEachUsage(session->database.get(), session->dimensions.get(), selection,
                 [&add](const UsageRow& row) {
                   if (row.token != 0) add(row.token, SumsOf(row));
                 });
  }
  return groups;
}

// Puts tokens that were used since the first page back to where that page had them, so that none is
// missed or shown twice: a list by last use would move under its reader. Tokens that are new since
// then leave the list.
void RestoreOrder(Session* session, const Filter& filter, int64_t snapshot, Groups* groups) {
  Database* const database = session->database.get();
  absl::flat_hash_set<int64_t> moved;
  Statement& query = database->Cached("SELECT number FROM tokens WHERE touched > ?");
  query.Start(snapshot);
  while (query.Next()) moved.insert(query.Int(0));
  for (auto group = groups->begin(); group != groups->end();) {
    const auto current = group++;
    Group& token = current->second;
    if (std::none_of(token.numbers.begin(), token.numbers.end(),
                     [&moved](int64_t number) { return moved.contains(number); })) {
      continue;
    }
    Selection selection(filter, database, session->dimensions.get());
    selection.SetTokens({token.numbers.begin(), token.numbers.end()});
    const std::vector<StoredUse> last = NewestUses(database, &selection, {}, snapshot, 1);
    if (!last.empty()) {
      token.order_us = last[0].time_us;
      continue;
    }
    // Without a use of then it is new, unless retention has dropped that use.
    const std::vector<int64_t> days = LiveDays(database, kNoSince, kNoUntil);
    if (days.empty() || token.sums.first_us < days.back() * kMicrosPerDay) {
      token.order_us = token.sums.first_us;
    } else {
      groups->erase(current);
    }
  }
}

void FillToken(Session* session, const Group& group, const Spread& spread, v1::Token* token) {
  // The id that was used last stands for all: after a rotation that is the new key's.
  Statement& query = session->database->Cached(
      "SELECT id, key, format, provider, length, uses, first + span FROM tokens WHERE number = ?");
  int64_t newest_us = kNoSince;
  const auto text = [session](int64_t string) { return session->dimensions->Text(string); };
  for (const int64_t number : group.numbers) {
    query.Start(number);
    if (query.Next()) {
      const int64_t last_us = query.Int(5) == 0 ? kNoSince : query.Int(6);
      if (token->token_id().empty() || last_us > newest_us) {
        newest_us = last_us;
        const absl::string_view id = query.Bytes(0);
        token->set_token_id(TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()}));
        token->set_key_id(text(query.Int(1)));
        token->set_format(text(query.Int(2)));
        token->set_provider(text(query.Int(3)));
        token->set_token_length(static_cast<uint32_t>(query.Int(4)));
      }
    }
    query.Reset();
  }
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
  Dimensions* const dimensions = session->dimensions.get();
  for (std::string& host : MostUsed(dimensions, spread.hosts)) token->add_hosts(std::move(host));
  for (std::string& name : MostUsed(dimensions, spread.names)) {
    if (!name.empty()) token->add_programs(std::move(name));
  }
}

// `row_of`: the place in `response` of every number of its tokens that has uses there.
void AddInboundUses(Session* session, const Filter& filter,
                    absl::flat_hash_map<int64_t, size_t> row_of, v1::ListTokensResponse* response) {
  // An id may have inbound uses alone: from the ids at hand to what stands for them, to all of its.
  const absl::flat_hash_map<int64_t, int64_t> joined = JoinedNumbers(session->database.get());
  for (const auto& [number, group] : joined) {
    if (const auto found = row_of.find(number); found != row_of.end()) {
      row_of[group] = size_t{found->second};
    }
  }
  for (const auto& [number, group] : joined) {
    if (const auto found = row_of.find(group); found != row_of.end()) {
      row_of[number] = size_t{found->second};
    }
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

}  // namespace

v1::ListTokensResponse ListTokens(Session* session, const Filter& filter, const PagePosition* page,
                                  int64_t last_use) {
  Selection selection(filter, session->database.get(), session->dimensions.get());
  Groups groups = SumTokens(session, &selection);
  if (page != nullptr) RestoreOrder(session, filter, page->snapshot, &groups);

  struct Row {
    int64_t time_us;
    int64_t number;
    const Group* group;
    bool operator>(const Row& other) const {
      return std::tie(time_us, number) > std::tie(other.time_us, other.number);
    }
  };
  std::vector<Row> rows;
  rows.reserve(groups.size());
  for (const auto& [number, group] : groups) {
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
    for (const int64_t number : rows[i].group->numbers) {
      row_of[number] = i;
      numbers.insert(number);
    }
  }
  if (rows.empty()) return response;
  std::vector<Spread> spreads(rows.size());
  selection.SetTokens(std::move(numbers));
  ForEachUsage(
      session->database.get(), session->dimensions.get(), &selection,
      [&](const UsageRow& row) { spreads[row_of[row.token]].Add(session->dimensions.get(), row); });
  for (size_t i = 0; i < rows.size(); ++i) {
    FillToken(session, *rows[i].group, spreads[i], response.add_tokens());
  }
  AddInboundUses(session, filter, row_of, &response);
  return response;
}

std::optional<v1::TokenDetail> GetToken(Session* session, const std::array<uint8_t, 16>& id) {
  Dimensions* const dimensions = session->dimensions.get();
  Filter filter;
  filter.token = id;
  Selection selection(filter, session->database.get(), dimensions);
  if (selection.tokens()->empty()) return std::nullopt;

  Group group;
  group.numbers.assign(selection.tokens()->begin(), selection.tokens()->end());
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

  v1::TokenDetail detail;
  FillToken(session, group, spread, detail.mutable_token());
  detail.mutable_token()->set_inbound_uses(inbound_uses);
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
  const absl::flat_hash_map<int64_t, int64_t> joined = JoinedNumbers(database);
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
      const auto found = joined.find(row.token);
      tokens.insert(found == joined.end() ? row.token : found->second);
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
