// Any secret through the table of token formats, and any text as a file of formats.
//
// The first byte chooses. 'y': the rest is a file; the rows that are taken are checked as those of
// a user. Else: a line with the host, a line with the carrier, and the rest is the secret. Nothing
// may take longer than inputs of this size justify.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "agent/token/formats/format_file.h"
#include "agent/token/formats/format_pattern.h"
#include "agent/token/formats/formats.h"

namespace tokenwatch {
namespace {

// Of processor time. A secret of 16 KiB takes well below a millisecond, also when instrumented.
constexpr double kSecondsMax = 2;

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

double ProcessorSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::string_view TakeLine(std::string_view* text) {
  const std::string_view line = text->substr(0, text->find('\n'));
  text->remove_prefix(std::min(line.size() + 1, text->size()));
  return line;
}

void ReadFile(std::string_view text) {
  const FormatFile file = ParseFormats(std::string(text), "fuzz.yaml");
  for (const std::string& refusal : file.refusals) {
    Check(refusal.starts_with("fuzz.yaml:"), "a refusal names file and line");
    Check(refusal.size() < 1024, "refusals are bounded");
  }
  constexpr size_t kChecked = 8;  // each compiles a pattern
  for (size_t i = 0; i < file.rows.size() && i < kChecked; ++i) {
    const FormatRow& row = file.rows[i];
    Check(row.format.min_length <= row.format.max_length, "a format has lengths");
    Check(row.format.weak || !row.shape.anchors.empty(), "what is not weak has a literal");
    const absl::Status status = CheckFormatRow(row);
    Check(status.ok() || status.message().size() < 1024, "refusals are bounded");
  }
}

void Classify(std::string_view text) {
  static const std::unique_ptr<FormatTable> table = *FormatTable::Create();
  const std::string_view host = TakeLine(&text);
  const std::string_view carrier = TakeLine(&text);
  const FormatMatch match = table->Classify(text, host, carrier);
  const bool identifies_itself = table->IsSelfIdentifying(text);
  if (match.format == nullptr) {
    Check(!identifies_itself, "what identifies itself has a format");
    return;
  }
  Check(match.by_context || !match.format->weak, "a weak shape needs its context");
  Check(text.size() >= match.format->min_length && text.size() <= match.format->max_length,
        "a format's lengths hold");
  Check(match.public_part.empty() ||
            (match.public_part.data() >= text.data() &&
             match.public_part.data() + match.public_part.size() <= text.data() + text.size()),
        "a public part is a part of the secret");
  Check(table->FitOf(*match.format, "localhost") != FormatTable::HostFit::kForeign,
        "loopback is nobody's");
  Check(table->FitOf(*match.format, "") == FormatTable::HostFit::kUnknown, "no host says nothing");
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT: the whole of this function is ours
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const double begin = ProcessorSeconds();
  if (data[0] == 'y') {
    ReadFile(text);
  } else {
    Classify(text);
  }
  Check(ProcessorSeconds() - begin < kSecondsMax, "the cost is linear");
  return 0;
}
