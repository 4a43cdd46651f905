#include "collector/store/sqlite/schema.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "collector/store/sqlite/data_dir.h"

namespace tokenwatch::sqlite {
namespace {

// "TWst", in the file's header.
constexpr int32_t kApplicationId = 0x54577374;

constexpr char kTables[] = R"sql(
CREATE TABLE strings(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;

-- Who uses tokens, for the rollups: a program on a machine, whatever its process.
CREATE TABLE programs(
  id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, comm INTEGER NOT NULL, exe INTEGER NOT NULL,
  script INTEGER NOT NULL, user INTEGER NOT NULL, unit INTEGER NOT NULL, container INTEGER NOT NULL,
  pod INTEGER NOT NULL,
  UNIQUE(machine, exe, comm, script, user, unit, container, pod)) STRICT;

-- One process of a program. Short-lived ones are many, so the index holds only what tells them apart.
-- last_day: the newest day with a use of it, for retention.
CREATE TABLE workloads(
  id INTEGER PRIMARY KEY, program INTEGER NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL,
  parent_exe INTEGER NOT NULL, uid INTEGER NOT NULL, login_user INTEGER NOT NULL,
  cgroup INTEGER NOT NULL, namespace INTEGER NOT NULL, service_account INTEGER NOT NULL,
  last_day INTEGER NOT NULL) STRICT;
CREATE INDEX workloads_by_process ON workloads(pid, started);

-- What tokens reach, for the rollups.
CREATE TABLE resources(
  id INTEGER PRIMARY KEY, host INTEGER NOT NULL, path INTEGER NOT NULL, method INTEGER NOT NULL,
  provider INTEGER NOT NULL, inbound INTEGER NOT NULL,
  UNIQUE(host, path, method, provider, inbound)) STRICT;

-- Everything else that the requests of a program share.
CREATE TABLE shapes(
  id INTEGER PRIMARY KEY, resource INTEGER NOT NULL, format INTEGER NOT NULL,
  carrier INTEGER NOT NULL, token_length INTEGER NOT NULL, user_id BLOB NOT NULL,
  scheme INTEGER NOT NULL, query INTEGER NOT NULL, http_version INTEGER NOT NULL,
  user_agent INTEGER NOT NULL, peer_address INTEGER NOT NULL, peer_port INTEGER NOT NULL,
  peer_certainty INTEGER NOT NULL, local_address INTEGER NOT NULL, probe INTEGER NOT NULL,
  last_day INTEGER NOT NULL,
  UNIQUE(resource, peer_address, user_agent, carrier, user_id, peer_port, format, token_length,
         scheme, query, http_version, peer_certainty, local_address, probe)) STRICT;

-- A row for each id under each fleet key. joined: the row that stands for all ids of one token, NULL
-- where that is the row itself. Sums are of outbound uses that came with this id first; first: time
-- of the oldest, span: from there to the newest. touched: the newest use's number.
CREATE TABLE tokens(
  number INTEGER PRIMARY KEY, id BLOB NOT NULL, key INTEGER NOT NULL, joined INTEGER,
  format INTEGER NOT NULL, provider INTEGER NOT NULL, length INTEGER NOT NULL,
  first INTEGER NOT NULL, span INTEGER NOT NULL, uses INTEGER NOT NULL, denied INTEGER NOT NULL,
  failed INTEGER NOT NULL, touched INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX tokens_by_id ON tokens(id);
CREATE INDEX tokens_joined ON tokens(joined) WHERE joined IS NOT NULL;

-- token 0: unresolved. failed: failed, throttled and unanswered.
CREATE TABLE usage(
  token INTEGER NOT NULL, program INTEGER NOT NULL, resource INTEGER NOT NULL,
  uses INTEGER NOT NULL, denied INTEGER NOT NULL, failed INTEGER NOT NULL,
  first INTEGER NOT NULL, span INTEGER NOT NULL,
  PRIMARY KEY(token, program, resource)) STRICT, WITHOUT ROWID;

-- hour: since the epoch; first: microseconds into the hour; status: an AnswerCode (outcome.h).
CREATE TABLE hourly(
  hour INTEGER NOT NULL, token INTEGER NOT NULL, program INTEGER NOT NULL,
  resource INTEGER NOT NULL, status INTEGER NOT NULL, uses INTEGER NOT NULL,
  first INTEGER NOT NULL, span INTEGER NOT NULL,
  PRIMARY KEY(hour, token, program, resource, status)) STRICT, WITHOUT ROWID;

-- details: a v1.Agent with what its hello and heartbeats said.
CREATE TABLE agents(
  id INTEGER PRIMARY KEY, agent TEXT NOT NULL UNIQUE, host TEXT NOT NULL, address TEXT NOT NULL,
  first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, uses INTEGER NOT NULL,
  gaps INTEGER NOT NULL, times_replaced INTEGER NOT NULL, details BLOB NOT NULL) STRICT;

CREATE TABLE streams(
  id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, stream BLOB NOT NULL, committed INTEGER NOT NULL,
  UNIQUE(agent, stream)) STRICT;

-- A stream as seen from one address.
CREATE TABLE sources(
  id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, address INTEGER NOT NULL,
  UNIQUE(stream, address)) STRICT;

CREATE TABLE gaps(
  id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,
  count INTEGER NOT NULL, pid INTEGER NOT NULL, kind INTEGER NOT NULL, detail INTEGER NOT NULL,
  comm INTEGER NOT NULL, exe INTEGER NOT NULL) STRICT;
CREATE INDEX gaps_by_agent ON gaps(agent, until);

CREATE TABLE partitions(
  day INTEGER PRIMARY KEY, last_use INTEGER NOT NULL, dropped INTEGER NOT NULL) STRICT;

-- oldest, newest: microseconds into the day.
CREATE TABLE zones(
  day INTEGER NOT NULL, zone INTEGER NOT NULL, oldest INTEGER NOT NULL, newest INTEGER NOT NULL,
  PRIMARY KEY(day, zone)) STRICT, WITHOUT ROWID;
CREATE INDEX zones_by_newest ON zones(day, newest);

-- 1: when the store was last checked. 2: the time that TrustedClock last went by.
CREATE TABLE health(id INTEGER PRIMARY KEY, checked INTEGER NOT NULL) STRICT;
)sql";

constexpr char kTlsCoverageTables[] = R"sql(
-- A kind of program with TLS connections, of one agent. All names are 0 in the row of those that are
-- not known or not told apart.
CREATE TABLE tls_programs(
  id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, exe INTEGER NOT NULL, comm INTEGER NOT NULL,
  container INTEGER NOT NULL, pod INTEGER NOT NULL, namespace INTEGER NOT NULL,
  unit INTEGER NOT NULL,
  UNIQUE(agent, exe, comm, container, pod, namespace, unit)) STRICT;

-- reason: why the plaintext was not seen, 0 where it was; pid: of the latest.
CREATE TABLE tls_usage(
  program INTEGER NOT NULL, reason INTEGER NOT NULL, connections INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, pid INTEGER NOT NULL,
  PRIMARY KEY(program, reason)) STRICT, WITHOUT ROWID;

-- The sums of an agent.
CREATE TABLE tls_totals(
  agent INTEGER NOT NULL, reason INTEGER NOT NULL, connections INTEGER NOT NULL,
  PRIMARY KEY(agent, reason)) STRICT, WITHOUT ROWID;

-- hour: of `last`, since the epoch; `first` may lie before it where an agent summed for long.
CREATE TABLE tls_hourly(
  agent INTEGER NOT NULL, hour INTEGER NOT NULL, program INTEGER NOT NULL,
  reason INTEGER NOT NULL, connections INTEGER NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, pid INTEGER NOT NULL,
  PRIMARY KEY(agent, hour, program, reason)) STRICT, WITHOUT ROWID;
)sql";

// What tells a container's programs apart is told of them in the rollups, too.
constexpr char kContainerNames[] = R"sql(
CREATE TABLE named_programs(
  id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, comm INTEGER NOT NULL, exe INTEGER NOT NULL,
  script INTEGER NOT NULL, user INTEGER NOT NULL, unit INTEGER NOT NULL, container INTEGER NOT NULL,
  pod INTEGER NOT NULL, namespace INTEGER NOT NULL, service_account INTEGER NOT NULL,
  container_name INTEGER NOT NULL, image INTEGER NOT NULL,
  UNIQUE(machine, exe, comm, script, user, unit, container, pod, namespace, service_account,
         container_name, image)) STRICT;
INSERT INTO named_programs
  SELECT id, machine, comm, exe, script, user, unit, container, pod, ifnull(n, 0), ifnull(a, 0), 0, 0
  FROM programs LEFT JOIN (
    SELECT program, max(namespace) AS n, max(service_account) AS a FROM workloads GROUP BY program)
  ON program = programs.id;
DROP TABLE programs;
ALTER TABLE named_programs RENAME TO programs;

-- labels: of the pod, "name=value" joined by ','.
ALTER TABLE workloads DROP COLUMN namespace;
ALTER TABLE workloads DROP COLUMN service_account;
ALTER TABLE workloads ADD COLUMN labels INTEGER NOT NULL DEFAULT 0;
)sql";

// Traits are told apart where direction and provider are, so that every rollup knows them. Facts
// have their values in the row: most are one token's own, and a value that gives way leaves
// nothing.
constexpr char kTokenFacts[] = R"sql(
CREATE TABLE traited_resources(
  id INTEGER PRIMARY KEY, host INTEGER NOT NULL, path INTEGER NOT NULL, method INTEGER NOT NULL,
  provider INTEGER NOT NULL, inbound INTEGER NOT NULL, traits INTEGER NOT NULL,
  UNIQUE(host, path, method, provider, inbound, traits)) STRICT;
INSERT INTO traited_resources
  SELECT id, host, path, method, provider, inbound, 0 FROM resources;
DROP TABLE resources;
ALTER TABLE traited_resources RENAME TO resources;

-- first, last: when it was told, microseconds since the epoch.
CREATE TABLE token_facts(
  token INTEGER NOT NULL, name INTEGER NOT NULL, value TEXT NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY(token, name, value)) STRICT, WITHOUT ROWID;
-- Links to other tokens, from their other end.
CREATE INDEX token_facts_linked ON token_facts(value) WHERE value GLOB 'tok_*';

-- What tokens stand for, a row for each id under each fleet key. key: the fleet key, 0 where it is
-- not known; joined: as of tokens; last: when it was told.
CREATE TABLE credentials(
  id INTEGER PRIMARY KEY, credential BLOB NOT NULL UNIQUE, key INTEGER NOT NULL, joined INTEGER,
  last INTEGER NOT NULL) STRICT;
CREATE INDEX credentials_joined ON credentials(joined) WHERE joined IS NOT NULL;

-- credential: the row that stands for all of its ids. All rows of a joined token have the same.
CREATE TABLE token_credentials(
  token INTEGER PRIMARY KEY, credential INTEGER NOT NULL) STRICT;
CREATE INDEX token_credentials_by_credential ON token_credentials(credential);

ALTER TABLE agents ADD COLUMN facts_dropped INTEGER NOT NULL DEFAULT 0;
)sql";

// A finding's columns choose, its details are a v1.Finding. severity: a rank (finding_words.h);
// last_seen, queued, due: microseconds since the epoch. subject: 16 bytes of a token or credential
// that the finding is about, or of its evidence.
constexpr char kDetection[] = R"sql(
CREATE TABLE findings(
  id INTEGER PRIMARY KEY, finding BLOB NOT NULL UNIQUE, last_number INTEGER NOT NULL,
  last_seen INTEGER NOT NULL, severity INTEGER NOT NULL, state TEXT NOT NULL, rule TEXT NOT NULL,
  policy_rule TEXT NOT NULL, owner TEXT NOT NULL) STRICT;
CREATE INDEX findings_by_last_seen ON findings(last_seen);
CREATE TABLE finding_details(id INTEGER PRIMARY KEY, details BLOB NOT NULL) STRICT;
CREATE TABLE finding_subjects(
  subject BLOB NOT NULL, finding INTEGER NOT NULL,
  PRIMARY KEY(subject, finding)) STRICT, WITHOUT ROWID;
CREATE INDEX finding_subjects_by_finding ON finding_subjects(finding);

CREATE TABLE baselines(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL) STRICT;

-- judged: every use numbered up to it is in the baselines.
CREATE TABLE detection(id INTEGER PRIMARY KEY, judged INTEGER NOT NULL) STRICT;

-- Numbers are not given out again: a receiver's outcome may come after its row was dropped.
CREATE TABLE deliveries(
  id INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, key TEXT NOT NULL,
  queued INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL, finding BLOB NOT NULL,
  UNIQUE(receiver, key)) STRICT;
CREATE INDEX deliveries_due ON deliveries(receiver, due);

-- Of outbound uses. mark: source, peer or user agent (token_marks.h); value: a string; last: right
-- to an hour, microseconds since the epoch.
CREATE TABLE token_marks(
  token INTEGER NOT NULL, mark INTEGER NOT NULL, value INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY(token, mark, value)) STRICT, WITHOUT ROWID;
)sql";

// Outbound uses of each hour since the epoch, for sums over many hours. unresolved: uses without a
// token. `denied` as Classify (outcome.h) has it.
constexpr char kHourTotals[] = R"sql(
CREATE TABLE hour_totals(
  hour INTEGER PRIMARY KEY, uses INTEGER NOT NULL, denied INTEGER NOT NULL,
  unresolved INTEGER NOT NULL) STRICT;
INSERT INTO hour_totals
  SELECT hour, sum(uses),
         sum(CASE WHEN status >= 1000 AND status % 1000 < 300
                  THEN uses * (status / 1000 - 1 IN (7, 16))
                  ELSE uses * (status % 1000 IN (401, 403, 407)) END),
         sum(uses * (token = 0))
  FROM hourly CROSS JOIN resources ON resources.id = resource WHERE inbound = 0 GROUP BY hour;
)sql";

// [i] makes of version i the next; version 0 is an empty database. What has been released is never
// changed here: a new version is a new entry.
constexpr const char* kUpgrades[] = {kTables,     kTlsCoverageTables, kContainerNames,
                                     kTokenFacts, kDetection,         kHourTotals};
static_assert(std::size(kUpgrades) == kSchemaVersion);

int64_t Number(Database* database, absl::string_view sql) {
  Statement statement = database->Prepare(sql);
  statement.Start();
  return statement.Next() ? statement.Int(0) : 0;
}

}  // namespace

absl::Status PrepareSchema(Database* database, const std::string& path) {
  Transaction transaction(database, Transaction::Kind::kWrite);
  const int64_t application = Number(database, "PRAGMA application_id");
  const int64_t version = Number(database, "PRAGMA user_version");
  const int64_t tables = Number(database, "SELECT count(*) FROM sqlite_schema");
  if (database->ok()) {
    if (tables != 0 && application != kApplicationId) {
      return absl::FailedPreconditionError(
          absl::StrCat(path,
                       " is another program's database; give the collector a --data-dir of "
                       "its own"));
    }
    if (version > kSchemaVersion) {
      return absl::FailedPreconditionError(absl::StrCat(
          path, " was written by a newer tokenwatch (schema ", version, ", this one knows ",
          kSchemaVersion, "); install that version, or to begin anew ", HowToBeginAnew(path)));
    }
    const int64_t from = tables == 0 ? 0 : version;
    for (int64_t step = from; step < kSchemaVersion; ++step) database->Execute(kUpgrades[step]);
    if (from < kSchemaVersion) {
      database->Execute(absl::StrCat("PRAGMA application_id = ", kApplicationId,
                                     "; PRAGMA user_version = ", kSchemaVersion));
    }
  }
  return transaction.Commit();
}

std::string PartitionName(int64_t day) {
  const absl::CivilDay civil = absl::CivilDay(1970, 1, 1) + day;
  return absl::StrCat(
      "uses_",
      absl::FormatTime("%Y%m%d", absl::FromCivil(civil, absl::UTCTimeZone()), absl::UTCTimeZone()));
}

void CreatePartition(Database* database, int64_t day) {
  // time: microseconds into the day; status: an AnswerCode (outcome.h); request: a BLOB where
  // packed (text.h).
  database->Execute(absl::StrCat("CREATE TABLE ", PartitionName(day), R"sql((
    use INTEGER PRIMARY KEY, time INTEGER NOT NULL, token INTEGER NOT NULL,
    workload INTEGER NOT NULL, shape INTEGER NOT NULL, status INTEGER NOT NULL,
    latency INTEGER NOT NULL, port INTEGER NOT NULL, source INTEGER NOT NULL,
    sequence INTEGER NOT NULL, count INTEGER NOT NULL, request ANY) STRICT)sql"));
  database->Cached("INSERT INTO partitions VALUES(?, 0, 0)").Run(day);
}

void DropPartition(Database* database, int64_t day) {
  database->Execute(absl::StrCat("DROP TABLE ", PartitionName(day)));
  database->Cached("DELETE FROM zones WHERE day = ?").Run(day);
  database->Cached("UPDATE partitions SET dropped = 1 WHERE day = ?").Run(day);
}

}  // namespace tokenwatch::sqlite
