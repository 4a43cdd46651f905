// Rows for people and for spreadsheets. Cells may hold what hostile programs chose.
#ifndef TOKENWATCH_COLLECTOR_CLI_TABLE_H_
#define TOKENWATCH_COLLECTOR_CLI_TABLE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace tokenwatch {

struct Column {
  std::string title;
  bool is_number = false;   // aligned to the right
  bool may_shrink = false;  // cells may be cut with '…' to fit a terminal; never those of token ids
  size_t least = 12;        // what is left of a cell that is cut
  bool may_vanish = false;  // goes where a terminal is too narrow for the rest
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell a column.
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  size_t Size() const { return rows_.size(); }

  // A line a row under a heading, each column as wide as its widest cell (in terminal cells, after
  // LC_CTYPE). Every cell is ShownSafely. Where lines are longer than `width`, columns that may
  // shrink do, as far as each may, and those that may vanish do; 0: nothing is cut.
  std::string Text(size_t width, bool heading) const;

  // RFC 4180. Every cell is ShownSafely; one that a spreadsheet would take for a formula gets an
  // apostrophe in front.
  std::string Csv(bool heading) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// How many cells of a terminal `text` takes, after LC_CTYPE.
size_t CellsOf(const std::string& text);

// `text` with \u{HEX} for what a terminal acts on instead of showing it: control characters (C1's
// too), Unicode's line ends, direction marks and invisible characters. Bytes that are no UTF-8
// become U+FFFD.
std::string ShownSafely(const std::string& text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_TABLE_H_
