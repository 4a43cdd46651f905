// Committed uses as their observer was told of them, read back.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_COMMITTED_READER_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_COMMITTED_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "collector/store/committed_use.h"
#include "collector/store/sqlite/bounded_cache.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/store.h"

namespace tokenwatch::sqlite {

// All functions run inside a read transaction of the session that they are given; when that fails,
// Forget() must follow. Not thread safe.
class CommittedReader {
 public:
  // As DetectionStore has them.
  std::vector<CommittedUse> UsesSince(Session* session, int64_t* number, size_t limit);
  void ForEachFact(Session* session, absl::Span<const std::string_view> names,
                   absl::FunctionRef<void(const TokenFactRow&)> take);

  void Forget();

 private:
  // One question's look at what may have changed since the last one.
  struct Fresh;

  std::shared_ptr<const UseContext> Context(Session* session, int64_t workload, int64_t shape);
  std::shared_ptr<const UseSource> Source(Session* session, int64_t id);
  const std::shared_ptr<const UseToken>& Token(Session* session, int64_t number, Fresh* fresh);

  static constexpr size_t kContexts = 8192;
  static constexpr size_t kTokens = 65536;
  static constexpr size_t kSources = 4096;

  // Ingest counts from 0, and does not come so far.
  uint64_t next_id_ = uint64_t{1} << 63;
  // By workload and shape, whose numbers are never given out again.
  BoundedCache<std::pair<int64_t, int64_t>, std::shared_ptr<const UseContext>> contexts_{kContexts};
  BoundedCache<int64_t, std::shared_ptr<const UseToken>> tokens_{kTokens};
  BoundedCache<int64_t, std::shared_ptr<const UseSource>> sources_{kSources};
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_COMMITTED_READER_H_
