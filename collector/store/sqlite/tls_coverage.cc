#include "collector/store/sqlite/tls_coverage.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "collector/store/proto_time.h"
#include "collector/store/sqlite/schema.h"

namespace tokenwatch::sqlite {
namespace {

constexpr char kUnknownReason[] = "unknown";
// Keeps sums of hostile counts within 64 bits.
constexpr uint64_t kMaxConnections = uint64_t{1} << 40;

// exe, comm, container, pod, namespace, unit
using Names = std::array<int64_t, 6>;

int64_t FirstNumber(Statement* query) {
  const int64_t number = query->Next() ? query->Int(0) : 0;
  query->Reset();
  return number;
}

// 0 where there is none.
int64_t FindProgram(Database* database, int64_t agent, const Names& n) {
  Statement& find = database->Cached(
      "SELECT id FROM tls_programs WHERE agent = ? AND exe = ? AND comm = ? AND container = ? AND "
      "pod = ? AND namespace = ? AND unit = ?");
  find.Start(agent, n[0], n[1], n[2], n[3], n[4], n[5]);
  return FirstNumber(&find);
}

int64_t FindOrAddProgram(Database* database, int64_t agent, const Names& n) {
  if (const int64_t id = FindProgram(database, agent, n); id != 0) return id;
  database
      ->Cached(
          "INSERT INTO tls_programs(agent, exe, comm, container, pod, namespace, unit) "
          "VALUES(?, ?, ?, ?, ?, ?, ?)")
      .Run(agent, n[0], n[1], n[2], n[3], n[4], n[5]);
  return database->LastInsertedRow();
}

// A program's row as it is put together from its reasons.
struct Program {
  v1::ProgramCoverage row;
  int64_t first_us = 0, last_us = 0;
  std::map<int64_t, uint64_t> reasons;
};

void AddTo(Program* program, int64_t reason, uint64_t connections, int64_t first_us,
           int64_t last_us, uint32_t pid) {
  v1::ProgramCoverage& row = program->row;
  const bool begun = row.tls_connections() != 0;
  program->first_us = begun ? std::min(program->first_us, first_us) : first_us;
  if (!begun || last_us >= program->last_us) {
    program->last_us = last_us;
    row.set_pid(pid);
  }
  row.set_tls_connections(row.tls_connections() + connections);
  if (reason == 0) {
    row.set_plaintext_seen(row.plaintext_seen() + connections);
  } else {
    row.set_dark(row.dark() + connections);
    program->reasons[reason] += connections;
  }
}

void Finish(Dimensions* dimensions, Program* program) {
  SetTime(program->first_us, program->row.mutable_first_seen());
  SetTime(program->last_us, program->row.mutable_last_seen());
  std::vector<std::pair<int64_t, uint64_t>> reasons(program->reasons.begin(),
                                                    program->reasons.end());
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [reason, connections] : reasons) {
    v1::DarkReason* dark = program->row.add_reasons();
    dark->set_reason(dimensions->Text(reason));
    dark->set_connections(connections);
  }
}

void SetNames(Database* database, Dimensions* dimensions, int64_t id, v1::ProgramCoverage* row) {
  Statement& query = database->Cached(
      "SELECT exe, comm, container, pod, namespace, unit FROM tls_programs WHERE id = ?");
  query.Start(id);
  if (query.Next()) {
    row->set_exe(dimensions->Text(query.Int(0)));
    row->set_comm(dimensions->Text(query.Int(1)));
    row->set_container_id(dimensions->Text(query.Int(2)));
    row->set_pod(dimensions->Text(query.Int(3)));
    row->set_namespace_(dimensions->Text(query.Int(4)));
    row->set_unit(dimensions->Text(query.Int(5)));
  }
  query.Reset();
}

bool NamesNone(const v1::ProgramCoverage& row) {
  return row.exe().empty() && row.comm().empty() && row.container_id().empty() &&
         row.pod().empty() && row.namespace_().empty() && row.unit().empty();
}

// Keeps the most dark and adds the others to the row that names no program.
void Bound(std::vector<Program>* programs) {
  if (programs->size() <= kMaxCoverageRows) return;
  Program rest;
  for (auto at = programs->begin(); at != programs->end(); ++at) {
    if (!NamesNone(at->row)) continue;
    rest = std::move(*at);
    programs->erase(at);
    break;
  }
  for (size_t i = kMaxCoverageRows; i < programs->size(); ++i) {
    const Program& program = (*programs)[i];
    const auto add = [&](int64_t reason, uint64_t connections) {
      if (connections != 0) {
        AddTo(&rest, reason, connections, program.first_us, program.last_us, 0);
      }
    };
    add(0, program.row.plaintext_seen());
    for (const auto& [reason, connections] : program.reasons) add(reason, connections);
  }
  rest.row.set_pid(0);
  programs->resize(std::min(programs->size(), kMaxCoverageRows));
  programs->push_back(std::move(rest));
}

}  // namespace

int64_t* TlsCoverageWriter::Programs(int64_t agent) {
  if (int64_t* known = programs_.Find(agent)) return known;
  Statement& count = database_->Cached("SELECT count(*) FROM tls_programs WHERE agent = ?");
  count.Start(agent);
  return programs_.Insert(agent, FirstNumber(&count));
}

int64_t TlsCoverageWriter::Program(int64_t agent, const TlsCoverageRow& row) {
  const std::array<const std::string*, 6> texts = {&row.exe, &row.comm,           &row.container_id,
                                                   &row.pod, &row.namespace_name, &row.unit};
  // Names that are not known yet are not kept before there is room for the program.
  Names names{};
  bool known = true;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::optional<int64_t> id = interner_->FindString(*texts[i]);
    known = known && id.has_value();
    names[i] = id.value_or(0);
  }
  if (known) {
    if (const int64_t id = FindProgram(database_, agent, names); id != 0) return id;
  }
  int64_t* const programs = Programs(agent);
  if (*programs >= kMaxTlsPrograms) return FindOrAddProgram(database_, agent, Names{});
  ++*programs;
  for (size_t i = 0; i < texts.size(); ++i) names[i] = interner_->String(*texts[i]);
  return FindOrAddProgram(database_, agent, names);
}

int64_t TlsCoverageWriter::Reason(int64_t agent, const std::string& reason) {
  if (reason.empty() || reason == kUnknownReason) return interner_->String(reason);
  if (const std::optional<int64_t> known = interner_->FindString(reason)) {
    Statement& used =
        database_->Cached("SELECT count(*) FROM tls_totals WHERE agent = ? AND reason = ?");
    used.Start(agent, *known);
    if (FirstNumber(&used) != 0) return *known;
  }
  Statement& count = database_->Cached("SELECT count(*) FROM tls_totals WHERE agent = ?");
  count.Start(agent);
  return interner_->String(FirstNumber(&count) < kMaxTlsReasons ? reason : kUnknownReason);
}

void TlsCoverageWriter::Add(int64_t agent, const TlsCoverageRow& row, int64_t since_us,
                            int64_t until_us) {
  const int64_t program = Program(agent, row);
  const int64_t reason = Reason(agent, row.reason);
  const uint64_t connections = std::min(row.connections, kMaxConnections);
  database_
      ->Cached(
          "INSERT INTO tls_totals VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET "
          "connections = connections + excluded.connections")
      .Run(agent, reason, connections);
  // All right-hand sides read the row as it was.
  database_
      ->Cached(
          "INSERT INTO tls_usage VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
          "connections = connections + excluded.connections, first = min(first, excluded.first), "
          "pid = iif(excluded.last >= last, excluded.pid, pid), last = max(last, excluded.last)")
      .Run(program, reason, connections, since_us, until_us, row.pid);
  database_
      ->Cached(
          "INSERT INTO tls_hourly VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
          "connections = connections + excluded.connections, first = min(first, excluded.first), "
          "pid = iif(excluded.last >= last, excluded.pid, pid), last = max(last, excluded.last)")
      .Run(agent, until_us / kMicrosPerHour, program, reason, connections, since_us, until_us,
           row.pid);
}

void TlsCoverageWriter::DropOld(int64_t oldest_us) {
  Forget();
  database_->Cached("DELETE FROM tls_hourly WHERE hour < ?").Run(oldest_us / kMicrosPerHour);
  // Agent by agent, as each has a row of its own for programs without names.
  std::map<int64_t, std::vector<int64_t>> old;  // programs by agent
  Statement& find = database_->Cached(
      "SELECT agent, id FROM tls_programs WHERE (exe, comm, container, pod, namespace, unit) != "
      "(0, 0, 0, 0, 0, 0) AND (SELECT max(last) FROM tls_usage WHERE program = tls_programs.id) < "
      "?");
  find.Start(oldest_us / kMicrosPerHour * kMicrosPerHour);
  while (find.Next()) old[find.Int(0)].push_back(find.Int(1));
  for (const auto& [agent, programs] : old) {
    const int64_t nameless = FindOrAddProgram(database_, agent, Names{});
    for (const int64_t program : programs) {
      database_
          ->Cached(
              "INSERT INTO tls_usage SELECT ?1, reason, connections, first, last, 0 FROM tls_usage "
              "WHERE program = ?2 ON CONFLICT DO UPDATE SET "
              "connections = connections + excluded.connections, "
              "first = min(first, excluded.first), last = max(last, excluded.last)")
          .Run(nameless, program);
      database_->Cached("DELETE FROM tls_usage WHERE program = ?").Run(program);
      database_->Cached("DELETE FROM tls_programs WHERE id = ?").Run(program);
    }
  }
}

v1::CoverageTotals ReadTlsCoverage(Database* database, Dimensions* dimensions, int64_t agent,
                                   const Filter& filter,
                                   std::vector<v1::ProgramCoverage>* programs) {
  v1::CoverageTotals totals;
  if (programs == nullptr && !filter.HasTime()) {
    Statement& query =
        database->Cached("SELECT reason, connections FROM tls_totals WHERE agent = ?");
    query.Start(agent);
    while (query.Next()) {
      const auto connections = static_cast<uint64_t>(query.Int(1));
      const bool seen = query.Int(0) == 0;
      totals.set_tls_connections(totals.tls_connections() + connections);
      totals.set_plaintext_seen(totals.plaintext_seen() + (seen ? connections : 0));
      totals.set_dark(totals.dark() + (seen ? 0 : connections));
    }
    return totals;
  }
  absl::flat_hash_map<int64_t, Program> sums;
  const auto read = [&](Statement& query) {
    while (query.Next()) {
      AddTo(&sums[query.Int(0)], query.Int(1), static_cast<uint64_t>(query.Int(2)), query.Int(3),
            query.Int(4), static_cast<uint32_t>(query.Int(5)));
    }
  };
  if (filter.HasTime()) {
    // Whole hours: with a part of an hour's rows the share of what was seen would be anything.
    Statement& query = database->Cached(
        "SELECT program, reason, connections, first, last, pid FROM tls_hourly WHERE agent = ? AND "
        "hour >= ? AND hour <= ?");
    query.Start(agent, filter.since_us / kMicrosPerHour,
                (std::max<int64_t>(filter.until_us, 1) - 1) / kMicrosPerHour);
    read(query);
  } else {
    Statement& query = database->Cached(
        "SELECT program, reason, connections, first, last, pid FROM tls_programs JOIN tls_usage ON "
        "program = id WHERE agent = ?");
    query.Start(agent);
    read(query);
  }
  for (const auto& [id, program] : sums) {
    totals.set_tls_connections(totals.tls_connections() + program.row.tls_connections());
    totals.set_plaintext_seen(totals.plaintext_seen() + program.row.plaintext_seen());
    totals.set_dark(totals.dark() + program.row.dark());
  }
  if (programs == nullptr) return totals;
  std::vector<std::pair<int64_t, Program>> sorted(std::make_move_iterator(sums.begin()),
                                                  std::make_move_iterator(sums.end()));
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    const auto key = [](const auto& each) {
      return std::make_tuple(each.second.row.dark(), each.second.row.tls_connections(),
                             -each.first);
    };
    return key(a) > key(b);
  });
  std::vector<Program> rows;
  rows.reserve(sorted.size());
  for (auto& [id, program] : sorted) {
    SetNames(database, dimensions, id, &program.row);
    rows.push_back(std::move(program));
  }
  Bound(&rows);
  for (Program& program : rows) {
    Finish(dimensions, &program);
    programs->push_back(std::move(program.row));
  }
  return totals;
}

std::vector<TlsTotal> ReadTlsTotals(Database* database, Dimensions* dimensions) {
  Statement& query = database->Cached(
      "SELECT agents.agent, host, reason, connections FROM tls_totals JOIN agents ON agents.id = "
      "tls_totals.agent ORDER BY agents.id, reason");
  std::vector<TlsTotal> totals;
  query.Start();
  while (query.Next()) {
    totals.push_back({.agent = std::string(query.Bytes(0)),
                      .host = std::string(query.Bytes(1)),
                      .reason = dimensions->Text(query.Int(2)),
                      .connections = static_cast<uint64_t>(query.Int(3))});
  }
  return totals;
}

}  // namespace tokenwatch::sqlite
