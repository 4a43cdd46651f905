// Where tokens were used from, against which addresses, and by which user agents: the latest of
// each.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_MARKS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_MARKS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "collector/store/sqlite/bounded_cache.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/dimensions.h"
#include "collector/store/sqlite/interner.h"
#include "collector/store/sqlite/row_table.h"

namespace tokenwatch::sqlite {

enum class Mark : int64_t { kSource = 0, kPeer = 1, kUserAgent = 2 };
inline constexpr size_t kMarks = 3;

// What a token keeps of one mark, those used last.
inline constexpr int64_t kMaxMarkValues = 32;

// Whether an agent's address says where its uses came from: not on the collector's own machine.
bool TellsSource(absl::string_view agent_address);

// The writing half, inside the caller's write transactions; errors stick to the database. A value
// that was written within the last hour of its own time costs no statement. Not thread safe.
class TokenMarkWriter {
 public:
  explicit TokenMarkWriter(Database* database) : database_(database) {}

  // Takes an outbound use of `token` (not 0). `source`: the string of its agent's address where
  // that tells where it came from, else 0: then the connection's own address does.
  void Add(int64_t token, const ContextRef& context, int64_t source, int64_t time_us);
  // Tokens from `first_new` on have no marks from before.
  void Write(int64_t first_new);
  // After a rollback.
  void Forget();

 private:
  // token, mark, value
  using Key = std::array<int64_t, kMarks>;

  static constexpr size_t kKnown = 262144;

  Database* const database_;
  // Hashes of a token with its three values: when they were written last, hours since the epoch.
  BoundedCache<uint64_t, int32_t> known_{kKnown};
  absl::flat_hash_map<Key, int64_t> latest_;  // until Write
  // Tokens that may have gained a value since the last Write: of others no row is new.
  absl::flat_hash_set<int64_t> gained_;
  // Tokens that had too many: of those a value that is known may have been dropped.
  BoundedCache<int64_t, bool> trimmed_{kKnown};
  RowTable rows_;
};

// Of tokens together, by Mark; at most `most` of each, the latest first.
std::array<std::vector<std::string>, kMarks> ReadMarks(Database* database, Dimensions* dimensions,
                                                       absl::Span<const int64_t> tokens,
                                                       size_t most);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_MARKS_H_
