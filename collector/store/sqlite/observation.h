// What a commit tells its observer, collected while it is written.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_OBSERVATION_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_OBSERVATION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "collector/store/committed_use.h"
#include "collector/store/sqlite/bounded_cache.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/store.h"

namespace tokenwatch::sqlite {

struct Observation {
  std::vector<CommittedUse> uses;
  std::vector<TokenFactRow> facts;

  std::vector<int64_t> tokens;  // numbers, of each use
  absl::flat_hash_map<int64_t, std::shared_ptr<const UseSource>> sources;

  void Reserve(size_t count) {
    uses.reserve(count);
    tokens.reserve(count);
  }
};

// Runs inside the caller's write transactions; errors stick to the database. Not thread safe.
class ObservationMaker {
 public:
  // Where a use was put.
  struct Place {
    int64_t number = 0;
    int64_t sequence = 0;
    int64_t source = 0;
    int64_t token = 0;
    int64_t time_us = 0;
  };

  // Borrows `database`.
  explicit ObservationMaker(Database* database) : database_(database) {}

  static void NoteSource(int64_t source, const IngestBatch& batch, Observation* observation);
  // After NoteSource.
  static void Add(const Place& place, const UseRow& row, Observation* observation);

  // Before AddCredentials: `joins` as of Interner::joins, `noted` by this commit. Of commits that
  // nobody observed nothing has to be told, because an observer comes before the first one.
  void NoteChanges(uint64_t joins, absl::Span<const NotedCredential> noted);
  // What each use's token stands for, once the facts of the commit are written.
  void AddCredentials(Observation* observation);

  // After a rollback.
  void Forget();

 private:
  using Text = std::shared_ptr<const std::string>;
  const Text& TextOf(int64_t token);

  static constexpr size_t kTokens = 65536;
  static constexpr size_t kCredentials = 16384;

  Database* const database_;
  const Text none_;
  uint64_t joins_ = 0;
  BoundedCache<int64_t, int64_t> credentials_{kTokens};  // by token
  BoundedCache<int64_t, Text> texts_{kCredentials};      // by credential
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_OBSERVATION_H_
