#include "collector/store/sqlite/database.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace tokenwatch::sqlite {
namespace {

// How long a connection waits for another one's lock. Only recovery and checkpoints ever hold one
// that matters here: the store has a single writer.
constexpr int kBusyMilliseconds = 10000;

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    sqlite3_finalize(statement_);
    database_ = other.database_;
    statement_ = std::exchange(other.statement_, nullptr);
  }
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

bool Statement::Next() {
  if (statement_ == nullptr) return false;
  if (!database_->ok()) {
    Reset();
    return false;
  }
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) Fail(code);
  Reset();
  return false;
}

void Statement::Reset() {
  // The code repeats the last step's, which Next() has seen.
  if (statement_ != nullptr) sqlite3_reset(statement_);
}

absl::string_view Statement::Bytes(int column) const {
  // In this order: asking for the bytes first could convert the value.
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

void Statement::Fail(int code) { database_->Fail(code); }

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  const int flags = mode == Mode::kReadWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, /*zVfs=*/nullptr);
  if (code != SQLITE_OK) {
    const absl::Status status =
        SqliteError(code, path, handle == nullptr ? "" : sqlite3_errmsg(handle));
    sqlite3_close_v2(handle);
    return status;
  }
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  auto database = std::unique_ptr<Database>(new Database(handle, path));
  if (const int made = RowTable::Register(handle); made != SQLITE_OK) {
    return SqliteError(made, path, sqlite3_errmsg(handle));
  }
  return database;
}

Database::~Database() {
  cached_.clear();
  sqlite3_close_v2(handle_);
}

Statement& Database::Cached(absl::string_view sql) {
  auto found = cached_.find(sql);
  if (found == cached_.end()) found = cached_.try_emplace(std::string(sql), Prepare(sql)).first;
  // A statement that could not be prepared once is tried again.
  if (found->second.statement_ == nullptr) found->second = Prepare(sql);
  return found->second;
}

Statement Database::Prepare(absl::string_view sql) {
  Statement statement;
  statement.database_ = this;
  if (!ok()) return statement;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement.statement_, nullptr);
  if (code != SQLITE_OK) Fail(code);
  return statement;
}

void Database::Execute(const std::string& sql) {
  if (!ok()) return;
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) Fail(code);
}

absl::Status Database::TakeStatus() { return std::exchange(status_, absl::OkStatus()); }

void Database::Fail(int code) {
  if (status_.ok()) status_ = SqliteError(code, path_, sqlite3_errmsg(handle_));
}

absl::Status SqliteError(int code, const std::string& path, absl::string_view message) {
  const std::string text = absl::StrCat(path, ": ", message, " (SQLite ", code, ")");
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat("no space left; ", text));
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(text);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return absl::UnavailableError(text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text);
    default:
      return absl::InternalError(text);
  }
}

Transaction::Transaction(Database* database, Kind kind) : database_(database) {
  database_->Cached(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN").Run();
}

Transaction::~Transaction() {
  if (open_) Undo().IgnoreError();
}

absl::Status Transaction::Commit() {
  // A query that was left early would keep its snapshot, and with it the log, alive.
  for (sqlite3_stmt* statement = sqlite3_next_stmt(database_->handle_, nullptr);
       statement != nullptr; statement = sqlite3_next_stmt(database_->handle_, statement)) {
    if (sqlite3_stmt_busy(statement) != 0) sqlite3_reset(statement);
  }
  database_->Cached("COMMIT").Run();
  if (!database_->ok()) return Undo();
  open_ = false;
  return absl::OkStatus();
}

absl::Status Transaction::Undo() {
  open_ = false;
  const absl::Status first = database_->TakeStatus();
  // After some errors SQLite has rolled back by itself.
  if (sqlite3_get_autocommit(database_->handle_) == 0) database_->Cached("ROLLBACK").Run();
  // What undoing meets says less than the error that led here.
  database_->TakeStatus().IgnoreError();
  return first;
}

}  // namespace tokenwatch::sqlite
