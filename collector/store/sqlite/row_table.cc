#include "collector/store/sqlite/row_table.h"

#include <new>

namespace tokenwatch::sqlite {

// A table-valued function without a table of its own (https://sqlite.org/vtab.html, "Eponymous
// virtual tables").
class RowTableModule {
 public:
  static const sqlite3_module* Get() {
    static constexpr sqlite3_module kModule = {
        .iVersion = 0,
        .xCreate = nullptr,
        .xConnect = Connect,
        .xBestIndex = BestIndex,
        .xDisconnect = Disconnect,
        .xDestroy = nullptr,
        .xOpen = Open,
        .xClose = Close,
        .xFilter = Filter,
        .xNext = Next,
        .xEof = Eof,
        .xColumn = Column,
        .xRowid = RowId,
        .xUpdate = nullptr,
        .xBegin = nullptr,
        .xSync = nullptr,
        .xCommit = nullptr,
        .xRollback = nullptr,
        .xFindFunction = nullptr,
        .xRename = nullptr,
        .xSavepoint = nullptr,
        .xRelease = nullptr,
        .xRollbackTo = nullptr,
        .xShadowName = nullptr,
    };
    return &kModule;
  }

 private:
  static constexpr int kBytesColumn = RowTable::kIntegers;
  static constexpr int kTableColumn = kBytesColumn + 1;

  struct Cursor : sqlite3_vtab_cursor {
    const RowTable* table = nullptr;
    size_t row = 0;
  };
  static Cursor* Of(sqlite3_vtab_cursor* cursor) { return static_cast<Cursor*>(cursor); }

  static int Connect(sqlite3* handle, void* /*data*/, int /*arguments*/,
                     const char* const* /*values*/, sqlite3_vtab** table, char** /*error*/) {
    *table = new (std::nothrow) sqlite3_vtab();
    if (*table == nullptr) return SQLITE_NOMEM;
    return sqlite3_declare_vtab(
        handle,
        "CREATE TABLE x(i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11, bytes, rows HIDDEN)");
  }
  static int Disconnect(sqlite3_vtab* table) {
    delete table;
    return SQLITE_OK;
  }
  static int BestIndex(sqlite3_vtab* /*table*/, sqlite3_index_info* index) {
    for (int i = 0; i < index->nConstraint; ++i) {
      const auto& constraint = index->aConstraint[i];
      if (constraint.iColumn != kTableColumn || constraint.usable == 0 ||
          constraint.op != SQLITE_INDEX_CONSTRAINT_EQ) {
        continue;
      }
      index->aConstraintUsage[i].argvIndex = 1;
      index->aConstraintUsage[i].omit = 1;
      index->estimatedCost = 1;
      return SQLITE_OK;
    }
    return SQLITE_CONSTRAINT;
  }
  static int Open(sqlite3_vtab* /*table*/, sqlite3_vtab_cursor** cursor) {
    *cursor = new (std::nothrow) Cursor();
    return *cursor == nullptr ? SQLITE_NOMEM : SQLITE_OK;
  }
  static int Close(sqlite3_vtab_cursor* cursor) {
    delete Of(cursor);
    return SQLITE_OK;
  }
  static int Filter(sqlite3_vtab_cursor* cursor, int /*index*/, const char* /*name*/,
                    int /*arguments*/, sqlite3_value** values) {
    Of(cursor)->table = static_cast<const RowTable*>(sqlite3_value_pointer(values[0], "RowTable"));
    Of(cursor)->row = 0;
    return Of(cursor)->table == nullptr ? SQLITE_MISUSE : SQLITE_OK;
  }
  static int Next(sqlite3_vtab_cursor* cursor) {
    ++Of(cursor)->row;
    return SQLITE_OK;
  }
  static int Eof(sqlite3_vtab_cursor* cursor) {
    return Of(cursor)->row >= Of(cursor)->table->rows_.size() ? 1 : 0;
  }
  static int Column(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int column) {
    const RowTable& table = *Of(cursor)->table;
    const RowTable::Row& row = table.rows_[Of(cursor)->row];
    if (column < kBytesColumn) {
      sqlite3_result_int64(context, row.integers[column]);
    } else if (column == kBytesColumn && row.kind != RowTable::Row::Kind::kNull) {
      // As RowTable has it: it outlives the statement's step.
      const char* const bytes = table.bytes_.data() + row.begin;
      if (row.kind == RowTable::Row::Kind::kBlob) {
        sqlite3_result_blob64(context, bytes, row.size, SQLITE_STATIC);
      } else {
        sqlite3_result_text64(context, bytes, row.size, SQLITE_STATIC, SQLITE_UTF8);
      }
    }
    return SQLITE_OK;
  }
  static int RowId(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
    *id = static_cast<sqlite3_int64>(Of(cursor)->row);
    return SQLITE_OK;
  }
};

int RowTable::Register(sqlite3* handle) {
  return sqlite3_create_module(handle, "row_table", RowTableModule::Get(), nullptr);
}

void RowTable::SetBytes(absl::string_view bytes, bool blob) {
  Row& row = rows_.back();
  row.kind = blob ? Row::Kind::kBlob : Row::Kind::kText;
  row.begin = bytes_.size();
  row.size = bytes.size();
  bytes_.append(bytes.data(), bytes.size());
}

void RowTable::Clear() {
  rows_.clear();
  bytes_.clear();
}

}  // namespace tokenwatch::sqlite
