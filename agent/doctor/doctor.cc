#include "agent/doctor/doctor.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/common/exit_status.h"
#include "agent/common/utf8.h"

namespace tokenwatch {
namespace {

using nlohmann::ordered_json;

constexpr size_t kWidth = 100;  // where the output is no terminal
constexpr size_t kLeastWidth = 40;
constexpr size_t kVerdictColumn = 10, kCheckColumn = 14;

const char* Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kUnknown:
      return "unknown";
    case Verdict::kDegraded:
      return "degraded";
    case Verdict::kFails:
      return "fails";
  }
  return "";
}

Verdict Worst(const std::vector<CheckResult>& results) {
  Verdict worst = Verdict::kOk;
  for (const CheckResult& result : results) {
    for (const Finding& finding : result.findings) worst = std::max(worst, finding.verdict);
  }
  return worst;
}

// Valid UTF-8 without control characters (C0, DEL, C1): a terminal takes them for orders.
std::string Harmless(std::string_view text) {
  std::string safe;
  while (!text.empty()) {
    const char32_t point = TakeCodePoint(&text);
    const bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    AppendUtf8(is_control ? kReplacementCharacter : point, &safe);
  }
  return safe;
}

std::string Padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 1, width), ' ');
  return text;
}

std::string Sentence(const Finding& finding) {
  std::string text = Harmless(finding.what);
  if (!finding.why.empty()) absl::StrAppend(&text, ": ", Harmless(finding.why));
  if (!finding.remedy.empty()) absl::StrAppend(&text, "; ", Harmless(finding.remedy));
  return text;
}

}  // namespace

std::vector<CheckResult> Examine(const DoctorOptions& options, const DoctorHost& host) {
  DoctorContext context{options, host, ReadHostFacts(host.proc, host.sys)};
  std::vector<CheckResult> results;
  for (const Check& check : Checks()) results.push_back({check.name, check.run(context)});
  return results;
}

int ExitStatusOf(const std::vector<CheckResult>& results) {
  if (Worst(results) != Verdict::kFails) return kExitOk;
  for (const CheckResult& result : results) {
    for (const Finding& finding : result.findings) {
      if (finding.verdict == Verdict::kFails && !finding.is_unreachable) return kExitNothing;
    }
  }
  return kExitUnreachable;
}

void PrintText(const std::vector<CheckResult>& results, size_t width, std::ostream* out) {
  width = std::max(width, kLeastWidth);
  for (const CheckResult& result : results) {
    for (const Finding& finding : result.findings) {
      std::string line =
          Padded(Word(finding.verdict), kVerdictColumn) + Padded(result.check, kCheckColumn);
      const size_t indent = line.size();
      const std::vector<std::string> words =
          absl::StrSplit(Sentence(finding), ' ', absl::SkipEmpty());
      bool is_first = true;
      for (const std::string& word : words) {
        if (!is_first && line.size() + 1 + word.size() > width) {
          *out << line << "\n";
          line.assign(indent, ' ');
          is_first = true;
        }
        if (!is_first) line += ' ';
        line += word;
        is_first = false;
      }
      *out << line << "\n";
    }
  }
}

void PrintJson(const std::vector<CheckResult>& results, std::ostream* out) {
  ordered_json checks = ordered_json::array();
  for (const CheckResult& result : results) {
    for (const Finding& finding : result.findings) {
      checks.push_back({{"check", result.check},
                        {"status", Word(finding.verdict)},
                        {"what", Harmless(finding.what)},
                        {"why", Harmless(finding.why)},
                        {"remedy", Harmless(finding.remedy)}});
    }
  }
  *out << ordered_json{{"status", Word(Worst(results))}, {"checks", std::move(checks)}}.dump(2)
       << "\n";
}

int RunDoctor(const DoctorOptions& options, bool json, std::ostream* out) {
  const std::vector<CheckResult> results = Examine(options, ThisHost());
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size.ws_col = kWidth;
  if (json) {
    PrintJson(results, out);
  } else {
    PrintText(results, size.ws_col, out);
  }
  if (!out->flush()) {
    std::cerr << "tokenwatch-agent: standard output cannot be written\n";
    return kExitNothing;
  }
  return ExitStatusOf(results);
}

absl::Status CheckAddressesFree(const DoctorOptions& options) {
  for (const Finding& finding : CheckPorts({options, ThisHost(), {}})) {
    if (finding.verdict != Verdict::kFails) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(finding.what, " ", finding.why, ": ", finding.remedy));
  }
  return absl::OkStatus();
}

}  // namespace tokenwatch
