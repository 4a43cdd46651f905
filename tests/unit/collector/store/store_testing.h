// What the store's tests share: a directory, a clock, and batches that are quick to write down.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_STORE_STORE_TESTING_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_STORE_STORE_TESTING_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "collector/store/sqlite/sqlite_store.h"
#include "collector/store/store.h"

namespace tokenwatch::testing {

// A new directory, removed with all that is in it.
class TemporaryDir {
 public:
  TemporaryDir();
  TemporaryDir(const TemporaryDir&) = delete;
  TemporaryDir& operator=(const TemporaryDir&) = delete;
  ~TemporaryDir();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// 2026-11-22T10:30:00Z, in microseconds.
inline constexpr int64_t kNow = 1795343400000000;
inline constexpr int64_t kSecond = 1000000;
inline constexpr int64_t kMinute = 60 * kSecond;
inline constexpr int64_t kHour = 60 * kMinute;
inline constexpr int64_t kDay = 24 * kHour;

// 16 bytes that differ for each number.
std::string IdBytes(uint64_t number);
// As the API writes them.
std::string TokenText(uint64_t number);

// A token under key "key_00000001", or under more keys in their order.
std::shared_ptr<const UseToken> Token(uint64_t number);
std::shared_ptr<const UseToken> Token(std::vector<std::pair<std::string, uint64_t>> ids);

// A plausible context; `change` is applied before it is made immutable.
template <typename Change>
std::shared_ptr<const UseContext> Context(const Change& change);
std::shared_ptr<UseContext> PlainContext();
template <typename Change>
std::shared_ptr<const UseContext> Context(const Change& change) {
  std::shared_ptr<UseContext> context = PlainContext();
  change(*context);
  return context;
}

// "cred_..." of 16 bytes that differ for each number.
std::string CredentialText(uint64_t number);
TokenFactRow Fact(std::shared_ptr<const UseToken> token, std::string name, std::string value,
                  int64_t time_us);

UseRow Use(std::shared_ptr<const UseContext> context, std::shared_ptr<const UseToken> token,
           int64_t time_us, uint32_t status = 200);

// A batch of agent "agt_<agent>" from its stream number `stream`.
IngestBatch Batch(const std::string& agent, uint64_t stream, uint64_t first_sequence,
                  std::vector<UseRow> uses, std::vector<GapRow> gaps = {});

// A store in its own directory on a clock that stands still unless it is moved.
class StoreFixture {
 public:
  explicit StoreFixture(int retention_days = 0);
  // Closes and opens it.
  void Reopen();
  void Close() { store_.reset(); }
  Store& store() { return *store_; }
  const std::string& path() const { return dir_.path(); }
  // So much time passes.
  void SetNow(int64_t now_us) {
    monotonic_us_ += now_us - now_us_;
    now_us_ = now_us;
  }
  // The wall clock alone is set.
  void StepTo(int64_t now_us) { now_us_ = now_us; }

  // Commits one batch of a stream of its own, in which sequences follow each other.
  void Add(std::vector<UseRow> uses, std::vector<GapRow> gaps = {},
           std::vector<TokenFactRow> facts = {});
  void AddTelling(std::vector<UseRow> uses, std::vector<TokenFactRow> facts) {
    Add(std::move(uses), {}, std::move(facts));
  }

  // The answers, without their Status: a failure fails the test.
  std::vector<v1::Use> Uses(const v1::ListRequest& request = {});
  std::vector<v1::Token> Tokens(const v1::ListRequest& request = {});
  v1::Stats Stats(const v1::ListRequest& request = {});
  std::vector<v1::Agent> Agents(const v1::ListRequest& request = {});
  v1::TokenDetail Detail(const std::string& token);

 private:
  TemporaryDir dir_;
  int64_t now_us_ = kNow, monotonic_us_ = 0;
  int retention_days_;
  uint64_t next_sequence_ = 1;
  std::unique_ptr<Store> store_;
};

int64_t Micros(const google::protobuf::Timestamp& time);

// A request with one filter set by its name.
v1::ListRequest Filtered(const std::string& name, const std::string& value);

// Makes of a database of version 6 one of version 5.
inline constexpr char kUndoHourTotals[] = R"sql(
DROP TABLE hour_totals;
PRAGMA user_version = 5;
)sql";

// And of one of these one of version 4, without what that cannot hold.
inline constexpr char kUndoDetection[] = R"sql(
DROP TABLE IF EXISTS hour_totals;
DROP TABLE findings;
DROP TABLE finding_details;
DROP TABLE finding_subjects;
DROP TABLE baselines;
DROP TABLE detection;
DROP TABLE deliveries;
DROP TABLE token_marks;
PRAGMA user_version = 4;
)sql";

// And of that one of version 3, without what that cannot hold.
inline constexpr char kUndoTokenFacts[] = R"sql(
CREATE TABLE old_resources(
  id INTEGER PRIMARY KEY, host INTEGER NOT NULL, path INTEGER NOT NULL, method INTEGER NOT NULL,
  provider INTEGER NOT NULL, inbound INTEGER NOT NULL,
  UNIQUE(host, path, method, provider, inbound)) STRICT;
INSERT INTO old_resources SELECT id, host, path, method, provider, inbound FROM resources;
DROP TABLE resources;
ALTER TABLE old_resources RENAME TO resources;
DROP TABLE token_facts;
DROP TABLE credentials;
DROP TABLE token_credentials;
ALTER TABLE agents DROP COLUMN facts_dropped;
PRAGMA user_version = 3;
)sql";

// And of that one of version 2.
inline constexpr char kUndoContainerNames[] = R"sql(
ALTER TABLE workloads ADD COLUMN namespace INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workloads ADD COLUMN service_account INTEGER NOT NULL DEFAULT 0;
UPDATE workloads SET (namespace, service_account) =
  (SELECT namespace, service_account FROM programs WHERE programs.id = program);
ALTER TABLE workloads DROP COLUMN labels;
CREATE TABLE old_programs(
  id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, comm INTEGER NOT NULL, exe INTEGER NOT NULL,
  script INTEGER NOT NULL, user INTEGER NOT NULL, unit INTEGER NOT NULL, container INTEGER NOT NULL,
  pod INTEGER NOT NULL,
  UNIQUE(machine, exe, comm, script, user, unit, container, pod)) STRICT;
INSERT INTO old_programs
  SELECT id, machine, comm, exe, script, user, unit, container, pod FROM programs;
DROP TABLE programs;
ALTER TABLE old_programs RENAME TO programs;
PRAGMA user_version = 2;
)sql";

}  // namespace tokenwatch::testing

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_STORE_STORE_TESTING_H_
