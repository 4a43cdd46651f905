#include "collector/cli/table.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/common/utf8.h"

namespace tokenwatch {
namespace {

// What a terminal acts on instead of showing it.
bool IsUnsafe(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad ||
         (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
         (code >= 0xfff0 && code <= 0xfffb) || code >= 0xe0000;
}

size_t Width(const std::string& text) {
  // ShownSafely has left valid UTF-8 only: count what begins a character.
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string CsvCell(const std::string& text) {
  std::string cell = text;
  // OWASP, CSV injection: these begin a formula.
  if (!cell.empty() && std::string("=+-@\t\r").find(cell[0]) != std::string::npos) {
    cell.insert(0, 1, '\'');
  }
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  return absl::StrCat("\"", absl::StrReplaceAll(cell, {{"\"", "\"\""}}), "\"");
}

}  // namespace

std::string ShownSafely(const std::string& text) {
  std::string shown;
  for (std::string_view rest = text; !rest.empty();) {
    const char32_t code = TakeCodePoint(&rest);
    if (IsUnsafe(code)) {
      absl::StrAppend(&shown, "\\u{", absl::Hex(static_cast<uint32_t>(code)), "}");
    } else {
      AppendUtf8(code, &shown);
    }
  }
  return shown;
}

std::string Table::Text() const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(Width(column.title));
  std::vector<std::vector<std::string>> shown;
  for (const std::vector<std::string>& row : rows_) {
    std::vector<std::string>& cells = shown.emplace_back();
    for (size_t i = 0; i < columns_.size(); ++i) {
      cells.push_back(ShownSafely(row[i]));
      widths[i] = std::max(widths[i], Width(cells.back()));
    }
  }
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string padding(widths[i] - Width(cells[i]), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", columns_[i].is_number ? padding : "", cells[i],
                      columns_[i].is_number ? "" : padding);
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  };
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  add_line(titles);
  for (const std::vector<std::string>& cells : shown) add_line(cells);
  return text;
}

std::string Table::Csv() const {
  std::string text;
  for (size_t i = 0; i < columns_.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ",", CsvCell(columns_[i].title));
  }
  text += "\r\n";
  for (const std::vector<std::string>& row : rows_) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      absl::StrAppend(&text, i == 0 ? "" : ",", CsvCell(row[i]));
    }
    text += "\r\n";
  }
  return text;
}

}  // namespace tokenwatch
