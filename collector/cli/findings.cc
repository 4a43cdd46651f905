#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/common/http_target.h"
#include "collector/cli/cells.h"
#include "collector/cli/commands.h"
#include "collector/cli/list.h"
#include "collector/cli/wrapped.h"

namespace tokenwatch {
namespace {

constexpr size_t kIndent = 14;  // of what stands behind a name
constexpr size_t kWidest = 100;

// A token, or who it is about where it is about none.
std::string WhatCell(const Json& finding) {
  const std::string token = Cell(finding, "tokenId");
  return token.empty() ? Cell(finding, "workload") : token;
}

std::vector<std::string> FindingCells(const Json& finding) {
  return {Cell(finding, "findingId"), SecondCell(finding, "lastSeen"),
          Cell(finding, "severity"),  Cell(finding, "rule"),
          WhatCell(finding),          Cell(finding, "owner"),
          Cell(finding, "uses"),      Cell(finding, "title")};
}

Column Vanishing(const char* title) { return {.title = title, .may_vanish = true}; }

std::vector<std::string> FindingRowCells(const Json& finding) {
  return {Cell(finding, "findingId"),      Cell(finding, "severity"), Cell(finding, "state"),
          SecondCell(finding, "lastSeen"), Cell(finding, "rule"),     WhatCell(finding),
          Cell(finding, "owner"),          Cell(finding, "uses"),     Cell(finding, "title")};
}

// On a narrow terminal ids stay whole, so that they can be copied, and titles keep their beginning,
// which tells findings apart.
const RowKind& FindingRows() {
  static const RowKind* const kind =
      new RowKind{{{"FINDING"},
                   {"SEVERITY"},
                   {"STATE"},
                   Vanishing("LAST SEEN"),
                   Vanishing("RULE"),
                   Vanishing("TOKEN OR WORKLOAD"),
                   {.title = "OWNER", .may_shrink = true, .least = 5, .may_vanish = true},
                   {.title = "USES", .is_number = true, .may_vanish = true},
                   Shrinking("TITLE", 24)},
                  FindingRowCells};
  return *kind;
}

std::vector<std::string> FindingDetailCells(const Json& finding) {
  std::vector<std::string> cells = FindingCells(finding);
  for (const char* name :
       {"state", "workload", "credentialId", "format", "provider", "contact", "observed", "normal",
        "advice", "confidence", "historyDays", "historyUses", "policyRule", "kind", "value",
        "suppressedBy", "revision"}) {
    cells.push_back(Cell(finding, name));
  }
  cells.push_back(TimeCell(finding, "firstSeen"));
  cells.push_back(TimeCell(finding, "raised"));
  cells.push_back(Words(finding, "values", " "));
  return cells;
}

const RowKind& FindingDetailRows() {
  static const RowKind* const kind = [] {
    auto* const detail = new RowKind{{}, FindingDetailCells};
    for (const char* title : {"FINDING", "LAST SEEN", "SEVERITY", "RULE", "TOKEN OR WORKLOAD",
                              "OWNER", "USES", "TITLE"}) {
      detail->columns.push_back({title});
    }
    for (const char* title :
         {"STATE",         "WORKLOAD",     "CREDENTIAL",  "FORMAT", "PROVIDER",
          "CONTACT",       "SEEN",         "NORMAL",      "TO DO",  "CONFIDENCE",
          "HISTORY DAYS",  "HISTORY USES", "POLICY RULE", "KIND",   "VALUE",
          "SUPPRESSED BY", "REVISION",     "FIRST SEEN",  "RAISED", "VALUES"}) {
      detail->columns.push_back({title});
    }
    return detail;
  }();
  return *kind;
}

double NumberOf(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_number() ? at->get<double>() : 0;
}

// Texts of a finding under their names, at one column.
class Page {
 public:
  Page(size_t width, std::ostream* out)
      : width_(width == 0 ? 0 : std::min(width, kWidest)), out_(out) {}

  void Line(const char* name, const std::string& text) {
    if (text.empty()) return;
    *out_ << absl::StrFormat("%-*s", static_cast<int>(kIndent), name)
          << Wrapped(text, width_, kIndent);
  }
  void Paragraph(const std::string& text) { *out_ << Wrapped(text, width_, 0); }

 private:
  const size_t width_;
  std::ostream* const out_;
};

std::string Basis(const Json& finding) {
  const double days = NumberOf(finding, "historyDays");
  const uint64_t uses = Count(finding, "historyUses");
  return absl::StrCat(
      uses == 0 ? "no history"
                : absl::StrFormat("%.*f days of history, %d %s", days < 10 ? 1 : 0, days, uses,
                                  uses == 1 ? "use" : "uses"),
      absl::StrFormat("; confidence %.0f %%", NumberOf(finding, "confidence") * 100));
}

std::string When(const Json& finding) {
  const std::string first = SecondCell(finding, "firstSeen");
  const std::string last = SecondCell(finding, "lastSeen");
  const uint64_t uses = Count(finding, "uses");
  return absl::StrCat(first == last ? last : absl::StrCat(first, " to ", last), ", ", uses,
                      uses == 1 ? " use" : " uses", "; raised ", SecondCell(finding, "raised"),
                      Count(finding, "revision") > 1
                          ? absl::StrCat(", told ", Count(finding, "revision"), " times")
                          : "");
}

std::string Behind(const std::string& text, const std::string& remark) {
  return text.empty() || remark.empty() ? text : absl::StrCat(text, " (", remark, ")");
}

// What a person who is woken by it needs, in the order in which they need it.
void PrintFinding(const CliOptions& options, const Json& finding, std::ostream* out) {
  Page page(options.output.width, out);
  const std::string token = Cell(finding, "tokenId");
  const std::string provider = Cell(finding, "provider");
  const std::string policy_rule = Cell(finding, "policyRule");
  page.Paragraph(absl::StrCat(absl::AsciiStrToUpper(Cell(finding, "severity")), ", ",
                              Cell(finding, "state"), ": ", Cell(finding, "title")));
  *out << "\n";
  page.Line("To do", Cell(finding, "advice"));
  page.Line("Seen", Cell(finding, "observed"));
  page.Line("Normal", Cell(finding, "normal"));
  page.Line("Rests on", Basis(finding));
  page.Line("When", When(finding));
  page.Line("Token", Behind(token, absl::StrCat(Cell(finding, "format"),
                                                provider.empty() ? "" : ", of ", provider)));
  page.Line("Credential", Cell(finding, "credentialId"));
  page.Line("Workload", Cell(finding, "workload"));
  page.Line("Owner", Cell(finding, "owner").empty()
                         ? "none: nobody owns it under the policy"
                         : Behind(Cell(finding, "owner"), Cell(finding, "contact")));
  page.Line(
      "Rule",
      absl::StrCat(Cell(finding, "rule"),
                   policy_rule.empty() ? "" : absl::StrCat(", of the policy's ", policy_rule),
                   Cell(finding, "kind").empty() ? "" : absl::StrCat(": ", Cell(finding, "kind"))));
  const std::string values = Words(finding, "values", ", ");
  page.Line("Value", values.empty() ? Cell(finding, "value") : values);
  page.Line("Suppressed", Cell(finding, "suppressedBy"));
  page.Line("Finding", Cell(finding, "findingId"));

  const std::vector<Json> evidence = ObjectsOf(finding, "evidence");
  if (!evidence.empty()) {
    uint64_t shown = 0;
    for (const Json& use : evidence) shown += Count(use, "count");
    *out << "\nEvidence";
    if (shown < Count(finding, "uses")) {
      *out << ", the first and the newest of " << Count(finding, "uses") << " uses";
    }
    *out << "\n";
    Printer(options.output, UseRows(), out).Print(evidence);
  }
  if (token.empty()) return;
  const std::string id = ShownSafely(token);
  *out << "\nMore: tokenwatch token " << id << "\n      tokenwatch uses --token " << id;
  if (const std::string since = Cell(finding, "firstSeen"); !since.empty()) {
    *out << " --since " << ShownSafely(since);
  }
  *out << "\n";
}

}  // namespace

absl::Status ListFindings(const CliOptions& options, std::ostream* out) {
  const RowKind& kind = options.output.form == "table" ? FindingRows() : FindingDetailRows();
  return ListPages(options, "/v1/findings", "findings", kind, "no finding was found", out);
}

absl::Status ShowFinding(const CliOptions& options, const std::string& id, std::ostream* out) {
  const absl::StatusOr<Json> finding =
      Client(options.server).Get(absl::StrCat("/v1/findings/", PercentEncode(id)), {});
  if (!finding.ok()) return finding.status();
  if (options.output.form == "json") {
    PrintJson(*finding, out);
  } else if (options.output.form == "csv") {
    Printer(options.output, FindingDetailRows(), out).Print({*finding});
  } else {
    PrintFinding(options, *finding, out);
  }
  return absl::OkStatus();
}

}  // namespace tokenwatch
