#include <algorithm>
#include <utility>
#include <vector>

#include "collector/store/proto_time.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/tls_coverage.h"

namespace tokenwatch::sqlite {
namespace {

constexpr int kMaxGaps = 100;

void AddGaps(Session* session, int64_t agent, const Filter& filter, v1::Agent* to) {
  Statement& query = session->database->Cached(
      "SELECT kind, detail, count, since, until, pid, comm, exe FROM gaps WHERE agent = ? AND "
      "until >= ? AND since < ? ORDER BY until DESC, id DESC LIMIT ?");
  const auto text = [session](int64_t string) { return session->dimensions->Text(string); };
  query.Start(agent, filter.since_us, filter.until_us, kMaxGaps);
  while (query.Next()) {
    v1::AgentGap* gap = to->add_gaps();
    gap->set_kind(text(query.Int(0)));
    gap->set_detail(text(query.Int(1)));
    gap->set_count(static_cast<uint64_t>(query.Int(2)));
    SetTime(query.Int(3), gap->mutable_since());
    SetTime(query.Int(4), gap->mutable_until());
    gap->set_pid(static_cast<uint32_t>(query.Int(5)));
    gap->set_comm(text(query.Int(6)));
    gap->set_exe(text(query.Int(7)));
  }
}

void AddGapTotals(Session* session, int64_t agent, const Filter& filter, v1::Agent* to) {
  Statement& query = session->database->Cached(
      "SELECT kind, sum(count), min(since), max(until) FROM gaps WHERE agent = ? AND until >= ? "
      "AND "
      "since < ? GROUP BY kind ORDER BY max(until) DESC, max(id) DESC");
  query.Start(agent, filter.since_us, filter.until_us);
  while (query.Next()) {
    v1::AgentGapTotal* total = to->add_gap_totals();
    total->set_kind(session->dimensions->Text(query.Int(0)));
    total->set_count(static_cast<uint64_t>(query.Int(1)));
    SetTime(query.Int(2), total->mutable_since());
    SetTime(query.Int(3), total->mutable_until());
  }
}

void AddCoverage(Session* session, int64_t number, const Filter& filter, v1::Agent* agent,
                 v1::ListAgentsResponse* response) {
  std::vector<v1::ProgramCoverage> programs;
  *agent->mutable_coverage() =
      ReadTlsCoverage(session->database.get(), session->dimensions.get(), number, filter,
                      filter.coverage ? &programs : nullptr);
  for (v1::ProgramCoverage& program : programs) {
    program.set_agent(agent->agent());
    program.set_host(agent->host());
    *response->add_coverage() = std::move(program);
  }
}

}  // namespace

v1::ListAgentsResponse ListAgents(Session* session, const Filter& filter,
                                  const PagePosition* page) {
  v1::ListAgentsResponse response;
  // By the order in which they came: by last seen, agents would overtake each other between pages.
  Statement& query = session->database->Cached(
      "SELECT id, agent, host, address, first_seen, last_seen, uses, times_replaced, details, "
      "facts_dropped FROM agents WHERE id < ?1 AND (?2 = '' OR lower(host) = lower(?2)) AND "
      "last_seen >= ?3 AND "
      "first_seen < ?4 ORDER BY id DESC");
  query.Start(page == nullptr ? std::numeric_limits<int64_t>::max() : page->row, filter.host,
              filter.since_us, filter.until_us);
  int64_t last_id = 0;
  while (query.Next()) {
    if (response.agents_size() == static_cast<int>(filter.limit)) {
      response.set_next_page_token(
          WritePageToken(ListKind::kAgents, filter.fingerprint,
                         {filter.since_us, filter.until_us, 0, last_id, 0}));
      query.Reset();
      break;
    }
    last_id = query.Int(0);
    v1::Agent* agent = response.add_agents();
    const absl::string_view details = query.Bytes(8);
    agent->ParseFromArray(details.data(), static_cast<int>(details.size()));
    agent->set_agent(std::string(query.Bytes(1)));
    agent->set_host(std::string(query.Bytes(2)));
    agent->set_address(std::string(query.Bytes(3)));
    SetTime(query.Int(4), agent->mutable_first_seen());
    SetTime(query.Int(5), agent->mutable_last_seen());
    agent->set_uses(static_cast<uint64_t>(query.Int(6)));
    if (query.Int(7) != 0) {
      (*agent->mutable_counters())["store_times_replaced"] = static_cast<uint64_t>(query.Int(7));
    }
    if (query.Int(9) != 0) {
      (*agent->mutable_counters())["store_token_facts_dropped"] =
          static_cast<uint64_t>(query.Int(9));
    }
    AddGaps(session, last_id, filter, agent);
    AddGapTotals(session, last_id, filter, agent);
    AddCoverage(session, last_id, filter, agent, &response);
  }
  std::stable_sort(response.mutable_coverage()->begin(), response.mutable_coverage()->end(),
                   [](const v1::ProgramCoverage& a, const v1::ProgramCoverage& b) {
                     return a.dark() > b.dark();
                   });
  return response;
}

FleetState ReadFleet(Session* session, int64_t since_us, size_t limit) {
  FleetState fleet;
  Statement& count = session->database->Cached("SELECT count(*) FROM agents");
  count.Start();
  while (count.Next()) fleet.known = static_cast<uint64_t>(count.Int(0));
  Statement& query = session->database->Cached(
      "SELECT agent, host, last_seen, uses, details FROM agents WHERE last_seen >= ? ORDER BY "
      "last_seen DESC, id DESC LIMIT ?");
  query.Start(since_us, static_cast<int64_t>(limit));
  while (query.Next()) {
    v1::Agent details;
    const absl::string_view bytes = query.Bytes(4);
    details.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    fleet.agents.push_back({.agent = std::string(query.Bytes(0)),
                            .host = std::string(query.Bytes(1)),
                            .version = details.version(),
                            .kernel = details.kernel(),
                            .capture = details.capture(),
                            .seen_us = query.Int(2),
                            .uses = static_cast<uint64_t>(query.Int(3)),
                            .counters = {details.counters().begin(), details.counters().end()}});
  }
  return fleet;
}

}  // namespace tokenwatch::sqlite
