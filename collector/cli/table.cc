#include "collector/cli/table.h"

#include <wchar.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/common/utf8.h"

namespace tokenwatch {
namespace {

size_t WidthOf(char32_t code) {
  // Characters that this C library does not know take one cell on most terminals.
  const int width = wcwidth(static_cast<wchar_t>(code));
  return width < 0 ? 1 : static_cast<size_t>(width);
}

size_t Width(const std::string& text) {
  size_t width = 0;
  for (std::string_view rest = text; !rest.empty();) width += WidthOf(TakeCodePoint(&rest));
  return width;
}

std::string Cut(const std::string& text, size_t width) {
  if (Width(text) <= width) return text;
  std::string cut;
  size_t used = 1;  // of the ellipsis
  for (std::string_view rest = text; !rest.empty();) {
    const char32_t code = TakeCodePoint(&rest);
    used += WidthOf(code);
    if (used > width) break;
    AppendUtf8(code, &cut);
  }
  return cut + "\xe2\x80\xa6";
}

constexpr size_t kGone = ~size_t{0};  // the width of a column that is left out

// Leaves out columns that may go where the others cannot shrink as far, then takes from the widest
// column that may shrink until a line fits.
void Shrink(const std::vector<Column>& columns, size_t width, std::vector<size_t>* widths) {
  size_t total = 0, needed = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    const size_t between = i == 0 ? 0 : 2;
    total += (*widths)[i] + between;
    needed +=
        between + (columns[i].may_shrink ? std::min((*widths)[i], columns[i].least) : (*widths)[i]);
  }
  for (size_t i = columns.size(); i-- > 1 && needed > width;) {
    if (!columns[i].may_vanish) continue;
    needed -= (*widths)[i] + 2;
    total -= (*widths)[i] + 2;
    (*widths)[i] = kGone;
  }
  for (; total > width; --total) {
    size_t* widest = nullptr;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!columns[i].may_shrink || (*widths)[i] == kGone || (*widths)[i] <= columns[i].least) {
        continue;
      }
      if (widest == nullptr || (*widths)[i] > *widest) widest = &(*widths)[i];
    }
    if (widest == nullptr) return;
    --*widest;
  }
}

std::string CsvCell(const std::string& text) {
  std::string cell = ShownSafely(text);
  // OWASP, CSV injection: these begin a formula.
  if (!text.empty() && std::string("=+-@\t\r").find(text[0]) != std::string::npos) {
    cell.insert(0, 1, '\'');
  }
  if (cell.find_first_of(",\"") == std::string::npos) return cell;
  return absl::StrCat("\"", absl::StrReplaceAll(cell, {{"\"", "\"\""}}), "\"");
}

}  // namespace

size_t CellsOf(const std::string& text) { return Width(text); }

std::string ShownSafely(const std::string& text) {
  std::string shown;
  for (std::string_view rest = text; !rest.empty();) {
    const char32_t code = TakeCodePoint(&rest);
    if (IsUnsafeToShow(code)) {
      absl::StrAppend(&shown, "\\u{", absl::Hex(static_cast<uint32_t>(code)), "}");
    } else {
      AppendUtf8(code, &shown);
    }
  }
  return shown;
}

std::string Table::Text(size_t width, bool heading) const {
  std::vector<std::vector<std::string>> lines;
  if (heading) {
    std::vector<std::string>& titles = lines.emplace_back();
    for (const Column& column : columns_) titles.push_back(column.title);
  }
  for (const std::vector<std::string>& row : rows_) {
    std::vector<std::string>& cells = lines.emplace_back();
    for (const std::string& cell : row) cells.push_back(ShownSafely(cell));
  }
  // Without a heading, too, cells stand under the titles shown before.
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(Width(column.title));
  for (const std::vector<std::string>& cells : lines) {
    for (size_t i = 0; i < columns_.size(); ++i) widths[i] = std::max(widths[i], Width(cells[i]));
  }
  if (width != 0) Shrink(columns_, width, &widths);

  std::string text;
  for (const std::vector<std::string>& cells : lines) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (widths[i] == kGone) continue;
      const std::string cell = Cut(cells[i], widths[i]);
      const std::string padding(widths[i] - Width(cell), ' ');
      const bool right = columns_[i].is_number;
      absl::StrAppend(&line, i == 0 ? "" : "  ", right ? padding : "", cell, right ? "" : padding);
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return text;
}

std::string Table::Csv(bool heading) const {
  std::string text;
  if (heading) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      absl::StrAppend(&text, i == 0 ? "" : ",", CsvCell(columns_[i].title));
    }
    text += "\r\n";
  }
  for (const std::vector<std::string>& row : rows_) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      absl::StrAppend(&text, i == 0 ? "" : ",", CsvCell(row[i]));
    }
    text += "\r\n";
  }
  return text;
}

}  // namespace tokenwatch
