#include "agent/common/prometheus_text.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/common/utf8.h"

namespace tokenwatch {

void PrometheusText::Family(const std::string& name, const std::string& type,
                            const std::string& help) {
  family_ = name;
  absl::StrAppend(&page_, "# HELP ", name, " ",
                  absl::StrReplaceAll(help, {{"\\", "\\\\"}, {"\n", "\\n"}}), "\n# TYPE ", name,
                  " ", type, "\n");
}

void PrometheusText::Sample(const Labels& labels, uint64_t value) {
  Line(labels, absl::StrCat(value));
}

void PrometheusText::Sample(const Labels& labels, double value) {
  char text[32];
  const std::to_chars_result end = std::to_chars(text, text + sizeof text, value);
  Line(labels, std::string(text, end.ptr));
}

void PrometheusText::Line(const Labels& labels, const std::string& value) {
  absl::StrAppend(&page_, family_);
  const char* separator = "{";
  for (const auto& [name, text] : labels) {
    absl::StrAppend(&page_, separator, name, "=\"",
                    absl::StrReplaceAll(ReplaceInvalidUtf8(text),
                                        {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                    "\"");
    separator = ",";
  }
  absl::StrAppend(&page_, labels.empty() ? "" : "}", " ", value, "\n");
}

}  // namespace tokenwatch
