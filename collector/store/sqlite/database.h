// Handles over sqlite3. Errors stick: the first one of a connection is kept, and until TakeStatus()
// hands it out every statement does nothing and yields no row. So a caller runs a sequence and asks
// once, at the points where it matters.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_DATABASE_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_DATABASE_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "collector/store/sqlite/row_table.h"

namespace tokenwatch::sqlite {

// Bytes to bind, where text is not meant.
struct Blob {
  absl::string_view bytes;
};

struct Null {};

class Database;

// A prepared statement; values are always bound, never part of its text: integers, texts, Blob,
// Null, and a RowTable as the argument of `row_table(?)`. Movable. Not thread safe,
// and must not outlive its Database.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  // Runs a statement that yields no row.
  template <typename... Values>
  void Run(const Values&... values) {
    Start(values...);
    while (Next()) {
    }
  }

  // Begins a query; Next() moves to the first row, and on. Texts and blobs are not copied: they
  // must live until the last Next(). A query that is left early is ended by Reset() or the next
  // Start().
  template <typename... Values>
  void Start(const Values&... values) {
    Reset();
    [[maybe_unused]] int index = 0;
    (Bind(++index, values), ...);
  }
  bool Next();
  void Reset();

  // Columns of the current row, from 0. Views are valid until the next call of Next or Reset.
  int64_t Int(int column) const { return sqlite3_column_int64(statement_, column); }
  bool IsNull(int column) const { return Type(column) == SQLITE_NULL; }
  bool IsBlob(int column) const { return Type(column) == SQLITE_BLOB; }
  absl::string_view Bytes(int column) const;  // of a text or a blob

 private:
  friend class Database;

  int Type(int column) const { return sqlite3_column_type(statement_, column); }
  template <typename Value>
  void Bind(int index, const Value& value) {
    if (statement_ == nullptr) return;
    int code = SQLITE_OK;
    if constexpr (std::is_same_v<Value, Null>) {
      code = sqlite3_bind_null(statement_, index);
    } else if constexpr (std::is_same_v<Value, Blob>) {
      // A null pointer would bind NULL instead of no bytes.
      code = sqlite3_bind_blob64(statement_, index, value.bytes.empty() ? "" : value.bytes.data(),
                                 value.bytes.size(), SQLITE_STATIC);
    } else if constexpr (std::is_same_v<Value, RowTable>) {
      code = sqlite3_bind_pointer(statement_, index, const_cast<RowTable*>(&value), "RowTable",
                                  /*destructor=*/nullptr);
    } else if constexpr (std::is_integral_v<Value>) {
      code = sqlite3_bind_int64(statement_, index, static_cast<sqlite3_int64>(value));
    } else {
      const absl::string_view text(value);
      code = sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(),
                                 SQLITE_STATIC, SQLITE_UTF8);
    }
    if (code != SQLITE_OK) Fail(code);
  }
  void Fail(int code);

  Database* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

// One connection. Not thread safe.
class Database {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  // Opens an existing file.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, Mode mode);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // A statement that is kept for the next time. `sql` is a constant of the program; statements with
  // a partition's name in them are Prepare()d by their users.
  Statement& Cached(absl::string_view sql);
  Statement Prepare(absl::string_view sql);
  // Statements without values, any number of them.
  void Execute(const std::string& sql);

  int64_t LastInsertedRow() const { return sqlite3_last_insert_rowid(handle_); }

  // Rows that the last INSERT, UPDATE or DELETE changed itself.
  int64_t ChangedRows() const { return sqlite3_changes64(handle_); }

  bool ok() const { return status_.ok(); }
  // The first error since the last call, which is forgotten.
  absl::Status TakeStatus();

 private:
  friend class Statement;
  friend class Transaction;

  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  void Fail(int code);

  sqlite3* handle_;
  const std::string path_;
  absl::Status status_;
  absl::node_hash_map<std::string, Statement> cached_;
};

// ResourceExhausted where space or memory is missing, Unavailable where the file cannot be read or
// written right now, DataLoss where it is damaged or no database, else Internal.
absl::Status SqliteError(int code, const std::string& path, absl::string_view message);

// A transaction from construction to Commit(), or undone by the destructor, which forgets errors. A
// kRead transaction sees one state of the database throughout.
class Transaction {
 public:
  enum class Kind { kRead, kWrite };

  Transaction(Database* database, Kind kind);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  // Ends every query of the connection. On error, of a statement since the transaction began or of
  // committing, nothing is kept.
  absl::Status Commit();

 private:
  absl::Status Undo();

  Database* const database_;
  bool open_ = true;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_DATABASE_H_
