// Rows in memory as a table that a statement can select from, so that one statement writes all of
// them: each row costs about half of what binding and stepping a statement of its own does.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_ROW_TABLE_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_ROW_TABLE_H_

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"

namespace tokenwatch::sqlite {

// Bound to the parameter of `row_table(?)`, whose columns are integers, i0 to i11, and `bytes`, and
// whose rows come in the order in which they were added. Not to be changed while a statement reads
// it. Not thread safe.
class RowTable {
 public:
  static constexpr size_t kIntegers = 12;

  // Makes `row_table` known to a connection. Returns SQLite's code.
  static int Register(sqlite3* handle);

  // Columns beyond the given ones are 0, and `bytes` is NULL.
  template <typename... Integers>
  void Add(Integers... integers) {
    static_assert(sizeof...(integers) <= kIntegers && (std::is_integral_v<Integers> && ...));
    rows_.push_back({.integers = {static_cast<int64_t>(integers)...}});
  }
  // Sets `bytes` of the row that was added last; a copy is kept. Text, unless `blob`.
  void SetBytes(absl::string_view bytes, bool blob);

  // Keeps the memory for the next rows.
  void Clear();
  bool empty() const { return rows_.empty(); }

 private:
  friend class RowTableModule;

  struct Row {
    int64_t integers[kIntegers];
    enum class Kind : uint8_t { kNull, kText, kBlob } kind = Kind::kNull;
    size_t begin = 0, size = 0;  // in bytes_
  };

  std::vector<Row> rows_;
  std::string bytes_;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_ROW_TABLE_H_
