// TLS coverage in the database: sums by program and reason, ever and by the hour.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TLS_COVERAGE_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TLS_COVERAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "collector/store/filter.h"
#include "collector/store/sqlite/bounded_cache.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/dimensions.h"
#include "collector/store/sqlite/interner.h"
#include "collector/store/store.h"

namespace tokenwatch::sqlite {

// An agent may name so many programs; the rest is added to the row that names none. Retention makes
// room.
inline constexpr int64_t kMaxTlsPrograms = 5000;
// And so many reasons; the rest is "unknown".
inline constexpr int64_t kMaxTlsReasons = 32;
// Of one agent in an answer; the rest becomes one row.
inline constexpr size_t kMaxCoverageRows = 500;

// The writing half, inside the caller's write transactions. Not thread safe.
class TlsCoverageWriter {
 public:
  // Borrows both.
  TlsCoverageWriter(Database* database, Interner* interner)
      : database_(database), interner_(interner) {}

  // Adds a row of agent `agent` (its number). Times are plausible ones, `since` not after `until`.
  void Add(int64_t agent, const TlsCoverageRow& row, int64_t since_us, int64_t until_us);

  // Forgets the hours before `oldest_us`. Programs without a connection since then lose their
  // names: what they counted is kept.
  void DropOld(int64_t oldest_us);

  // After a rollback.
  void Forget() { programs_.Clear(); }

 private:
  int64_t Program(int64_t agent, const TlsCoverageRow& row);
  int64_t Reason(int64_t agent, const std::string& reason);
  // How many programs the agent has.
  int64_t* Programs(int64_t agent);

  Database* const database_;
  Interner* const interner_;
  BoundedCache<int64_t, int64_t> programs_{4096};  // by agent
};

// An agent's totals within the filter's times and, where `programs` is not null, its programs
// behind those that are there. Inside the caller's read transaction.
v1::CoverageTotals ReadTlsCoverage(Database* database, Dimensions* dimensions, int64_t agent,
                                   const Filter& filter,
                                   std::vector<v1::ProgramCoverage>* programs);

// Of all agents and all times.
std::vector<TlsTotal> ReadTlsTotals(Database* database, Dimensions* dimensions);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TLS_COVERAGE_H_
