// Gives everything that repeats a number: the writing side of the dimension tables.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_INTERNER_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_INTERNER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "collector/store/sqlite/bounded_cache.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/store.h"

namespace tokenwatch::sqlite {

// Where a context was put.
struct ContextRef {
  int64_t program = 0;
  int64_t workload = 0;
  int64_t resource = 0;
  int64_t shape = 0;
  int64_t format = 0;  // strings
  int64_t provider = 0;
  int64_t user_agent = 0, peer_address = 0, local_address = 0;  // strings, too
  int64_t token_length = 0;
  int64_t last_day = 0;
  bool inbound = false;
};

// A token id that has no row yet, so that the rollups can write it together with its first sums.
struct NewToken {
  std::string id;  // 16 bytes
  int64_t key = 0;
};

// Finds or adds rows inside the caller's write transaction, errors stick to `database`. Remembers a
// bounded number of them. Not thread safe.
class Interner {
 public:
  // Borrows `database`.
  explicit Interner(Database* database) : database_(database) {}

  int64_t String(absl::string_view text);
  // As String, and adds nothing: none where the text has no number.
  std::optional<int64_t> FindString(absl::string_view text);
  // `day`: of the use, days since the epoch; kept as the newest day of workload and shape.
  ContextRef Context(const UseContext& context, int64_t day);
  // The number of a token's first id. Ids that come together for the first time are joined, unless
  // they would give one token two ids under one key.
  int64_t Token(const UseToken& token);
  int64_t Source(int64_t stream, absl::string_view address);

  // The number that the next new token id will get.
  int64_t NextToken();

  // The token ids that this transaction added and that have no row yet, by number. Who takes them
  // writes them.
  absl::flat_hash_map<int64_t, NewToken> TakeNewTokens() { return std::exchange(new_tokens_, {}); }

  // How often ids were joined, ever: a token may stand for another credential since.
  uint64_t joins() const { return joins_; }

  // Forgets everything: after a rollback, or when rows were deleted.
  void Forget();

 private:
  int64_t TokenNumber(const std::string& key, const std::string& id);
  void WriteNewTokens();
  void Join(const UseToken& token);
  int64_t Program(const v1::Workload& workload);
  int64_t Workload(const v1::Workload& workload, int64_t program, int64_t day);
  int64_t Resource(const UseContext& context, int64_t provider, bool inbound);
  int64_t Shape(const UseContext& context, const ContextRef& ref, int64_t day);
  // The row that `find`, run with `values`, yields first; or a new one, added by `add` with the
  // same values in the same order.
  template <typename... Values>
  int64_t FindOrAdd(absl::string_view find, absl::string_view add, const Values&... values);
  // The same of a row that has its last day, which `find` yields second and `add` takes last: the
  // row has at least `day` then. `note`: sets a row's (?1) last day (?2).
  template <typename... Values>
  int64_t FindOrAddOnDay(absl::string_view find, absl::string_view add, absl::string_view note,
                         int64_t day, const Values&... values);

  static constexpr size_t kContexts = 65536;
  static constexpr size_t kTokens = 131072;
  static constexpr size_t kStrings = 16384;

  Database* const database_;
  BoundedCache<uint64_t, ContextRef> contexts_{kContexts};     // by UseContext::id
  BoundedCache<uint64_t, int64_t> use_tokens_{kTokens};        // by UseToken::id
  BoundedCache<std::string, int64_t> token_numbers_{kTokens};  // by token id
  BoundedCache<std::string, int64_t> strings_{kStrings};
  int64_t next_token_ = 0;  // 0: not known
  uint64_t joins_ = 0;
  absl::flat_hash_map<int64_t, NewToken> new_tokens_;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_INTERNER_H_
