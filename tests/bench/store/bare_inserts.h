// What the store's rate is compared with.
#ifndef TOKENWATCH_TESTS_BENCH_STORE_BARE_INSERTS_H_
#define TOKENWATCH_TESTS_BENCH_STORE_BARE_INSERTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/store.h"

namespace tokenwatch {

// The same uses in plain batched INSERTs, as durable: the columns of the store's own table of uses
// with the same values, and once for each token and context, whose numbers stand in them, a row
// with its id or its texts; and a row for each fact. So every use can be read back whole. No index,
// no look-up, no sum; a commit is one transaction with the pragmas of the store's writer.
class BareInserts {
 public:
  static absl::StatusOr<std::unique_ptr<BareInserts>> Create(const std::string& file);

  absl::Status Commit(const std::vector<IngestBatch>& batches);

 private:
  explicit BareInserts(std::unique_ptr<sqlite::Database> database)
      : database_(std::move(database)) {}

  void InsertContext(const UseContext& context);

  const std::unique_ptr<sqlite::Database> database_;
  absl::flat_hash_set<uint64_t> tokens_, contexts_;  // that have their rows
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_STORE_BARE_INSERTS_H_
