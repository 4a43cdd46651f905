// Rows for people and for spreadsheets. Cells may hold what hostile programs chose.
#ifndef TOKENWATCH_COLLECTOR_CLI_TABLE_H_
#define TOKENWATCH_COLLECTOR_CLI_TABLE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace tokenwatch {

struct Column {
  std::string title;
  bool is_number = false;  // aligned to the right
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell a column.
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  size_t size() const { return rows_.size(); }

  // A heading and a line a row, each column as wide as its widest cell. Control characters (those
  // of C1, and Unicode's line ends, direction marks and invisible characters, too) and bytes that
  // are no UTF-8 show as \xNN.
  std::string Text() const;

  // RFC 4180, with a heading. A cell that a spreadsheet would take for a formula gets an apostrophe
  // in front.
  std::string Csv() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// As a cell of Table::Text.
std::string ShownSafely(const std::string& text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_TABLE_H_
