#include "tests/bench/store/bare_inserts.h"

#include <fstream>

#include "collector/store/sqlite/text.h"

namespace tokenwatch {

absl::StatusOr<std::unique_ptr<BareInserts>> BareInserts::Create(const std::string& file) {
  std::ofstream(file).flush();
  auto database = sqlite::Database::Open(file, sqlite::Database::Mode::kReadWrite);
  if (!database.ok()) return database.status();
  (*database)->Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 8000; "
      "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536; "
      "PRAGMA temp_store = MEMORY; "
      "CREATE TABLE uses(use INTEGER PRIMARY KEY, time INTEGER NOT NULL, token INTEGER NOT NULL, "
      "workload INTEGER NOT NULL, shape INTEGER NOT NULL, status INTEGER NOT NULL, "
      "latency INTEGER NOT NULL, port INTEGER NOT NULL, source INTEGER NOT NULL, "
      "sequence INTEGER NOT NULL, count INTEGER NOT NULL, request ANY) STRICT; "
      "CREATE TABLE tokens(id INTEGER PRIMARY KEY, token BLOB NOT NULL, key TEXT NOT NULL) STRICT; "
      "CREATE TABLE facts(token INTEGER, name TEXT, value TEXT, time INTEGER) STRICT; "
      "CREATE TABLE contexts(id INTEGER PRIMARY KEY, machine TEXT, pid INTEGER, started INTEGER, "
      "comm TEXT, exe TEXT, script TEXT, parent_exe TEXT, uid INTEGER, user TEXT, unit TEXT, "
      "cgroup TEXT, format TEXT, carrier TEXT, token_length INTEGER, method TEXT, scheme TEXT, "
      "host TEXT, path TEXT, http_version TEXT, user_agent TEXT, peer_address TEXT, "
      "peer_port INTEGER, peer_certainty TEXT, local_address TEXT, direction TEXT, probe TEXT) "
      "STRICT");
  if (absl::Status status = (*database)->TakeStatus(); !status.ok()) return status;
  return std::unique_ptr<BareInserts>(new BareInserts(*std::move(database)));
}

void BareInserts::InsertContext(const UseContext& context) {
  const v1::Workload& workload = context.workload;
  database_
      ->Cached(
          "INSERT INTO contexts VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
          "?, ?, ?, ?, ?, ?, ?)")
      .Run(context.id, workload.host(), workload.pid(), workload.start_time().seconds(),
           workload.comm(), workload.exe(), workload.script(), workload.parent_exe(),
           workload.uid(), workload.user(), workload.unit(), workload.cgroup(), context.format,
           context.carrier, context.token_length, context.method, context.scheme, context.host,
           context.path, context.http_version, context.user_agent, context.peer_address,
           context.peer_port, context.peer_certainty, context.local_address, context.direction,
           context.probe);
}

absl::Status BareInserts::Commit(const std::vector<IngestBatch>& batches) {
  sqlite::Transaction transaction(database_.get(), sqlite::Transaction::Kind::kWrite);
  sqlite::Statement& insert =
      database_->Cached("INSERT INTO uses VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  sqlite::Statement& add_fact = database_->Cached("INSERT INTO facts VALUES(?, ?, ?, ?)");
  sqlite::Statement& add_token = database_->Cached("INSERT INTO tokens VALUES(?, ?, ?)");
  for (size_t source = 0; source < batches.size(); ++source) {
    uint64_t sequence = batches[source].first_sequence;
    for (const UseRow& use : batches[source].uses) {
      if (tokens_.insert(use.token->id).second) {
        add_token.Run(use.token->id, sqlite::Blob{use.token->ids[0].second},
                      use.token->ids[0].first);
      }
      if (contexts_.insert(use.context->id).second) InsertContext(*use.context);
      const auto run = [&](const auto& request) {
        insert.Run(use.time_us, use.token->id, use.context->id, use.context->id, use.status,
                   use.latency_us, use.local_port, source, sequence++, use.count, request);
      };
      if (use.request_id.empty()) {
        run(sqlite::Null{});
      } else if (const auto stored = sqlite::StoreRequestId(use.request_id); stored.packed) {
        run(sqlite::Blob{stored.bytes});
      } else {
        run(use.request_id);
      }
    }
    for (const TokenFactRow& fact : batches[source].token_facts) {
      add_fact.Run(fact.token->id, fact.name, fact.value, fact.time_us);
    }
  }
  return transaction.Commit();
}

}  // namespace tokenwatch
