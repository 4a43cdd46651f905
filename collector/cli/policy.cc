#include "collector/policy/policy.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/common/config_file.h"
#include "collector/cli/cells.h"
#include "collector/cli/commands.h"
#include "collector/cli/list.h"

namespace tokenwatch {
namespace {

std::string Counted(size_t count, const char* one, const char* many) {
  return absl::StrCat(count, " ", count == 1 ? one : many);
}

// One of the lists of a PolicyStatus.
struct Part {
  const char* title;
  const char* member;
  RowKind kind;
};

std::vector<std::string> RuleCells(const Json& rule) {
  return {Cell(rule, "rule"), Cell(rule, "openFindings"), Cell(rule, "where"), Cell(rule, "asks")};
}
std::vector<std::string> SuppressionCells(const Json& row) {
  return {Cell(row, "rule"),
          absl::StrCat(SecondCell(row, "until"), Cell(row, "ended") == "true" ? ", ended" : ""),
          Cell(row, "where"), Cell(row, "reason")};
}
std::vector<std::string> DetectionCells(const Json& rule) {
  return {Cell(rule, "rule"), Cell(rule, "severity"), Cell(rule, "summary")};
}
std::vector<std::string> ReceiverCells(const Json& row) {
  return {Cell(row, "receiver"),
          Cell(row, "type"),
          Cell(row, "delivered"),
          Cell(row, "waiting"),
          Cell(row, "failed"),
          Cell(row, "dropped"),
          SecondCell(row, "lastDelivered"),
          Cell(row, "error")};
}

const std::vector<Part>& Parts() {
  static const std::vector<Part>* const parts = new std::vector<Part>{
      {"Rules of the policy",
       "rules",
       {{{"RULE"}, Number("FINDINGS"), Shrinking("WHERE"), Shrinking("ASKS")}, RuleCells}},
      {"Suppressions",
       "suppressions",
       {{{"RULE"}, {"UNTIL"}, Shrinking("WHERE"), Shrinking("REASON")}, SuppressionCells}},
      {"Rules of detection",
       "detection",
       {{{"RULE"}, {"SEVERITY"}, Shrinking("WHAT IT FINDS")}, DetectionCells}},
      {"Receivers",
       "receivers",
       {{{"RECEIVER"},
         {"TYPE"},
         Number("DELIVERED"),
         Number("WAITING"),
         Number("FAILED TRIES"),
         Number("DROPPED"),
         {"LAST DELIVERED"},
         Shrinking("ERROR")},
        ReceiverCells}}};
  return *parts;
}

// A file and what is wrong with it now.
size_t PrintFile(const Json& status, const char* what, const char* file, const char* problems,
                 std::ostream* out) {
  const std::string name = Cell(status, file);
  const auto at = status.find(problems);
  const size_t count = at != status.end() && at->is_array() ? at->size() : 0;
  if (name.empty()) {
    *out << what << ": none\n";
    return count;
  }
  *out << what << ": " << ShownSafely(name);
  if (std::string_view(file) == "file") {
    *out << ", in force since " << SecondCell(status, "loaded") << ", "
         << Counted(Count(status, "owners"), "owner", "owners");
  }
  *out << "\n";
  if (count == 0) return 0;
  *out << "The file as it is now cannot be used; what was in force before still is:\n";
  for (const Json& problem : *at) {
    if (problem.is_string()) *out << "  " << ShownSafely(problem.get<std::string>()) << "\n";
  }
  return count;
}

void PrintWarnings(const Json& status, std::ostream* out) {
  const auto at = status.find("warnings");
  if (at == status.end() || !at->is_array()) return;
  for (const Json& warning : *at) {
    if (warning.is_string()) {
      *out << "warning: " << ShownSafely(warning.get<std::string>()) << "\n";
    }
  }
}

}  // namespace

absl::Status ShowPolicy(const CliOptions& options, std::ostream* out) {
  const absl::StatusOr<Json> status = Client(options.server).Get("/v1/policy", {});
  if (!status.ok()) return status.status();
  size_t problems = 0;
  if (options.output.form == "json") {
    PrintJson(*status, out);
    for (const char* member : {"problems", "notifyProblems"}) {
      const auto at = status->find(member);
      if (at != status->end() && at->is_array()) problems += at->size();
    }
  } else if (options.output.form == "csv") {
    Printer printer(options.output, Parts()[0].kind, out);
    printer.Print(ObjectsOf(*status, Parts()[0].member));
    printer.Finish();
  } else {
    problems += PrintFile(*status, "Policy", "file", "problems", out);
    problems += PrintFile(*status, "Receivers", "notifyFile", "notifyProblems", out);
    PrintWarnings(*status, out);
    *out << "Uses judged since the start: " << Count(*status, "judged")
         << ", waiting: " << Count(*status, "waiting") << "\n";
    for (const Part& part : Parts()) {
      const std::vector<Json> rows = ObjectsOf(*status, part.member);
      if (rows.empty()) continue;
      *out << "\n" << part.title << "\n";
      Printer(options.output, part.kind, out).Print(rows);
    }
  }
  if (problems == 0) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("the collector found ", Counted(problems, "problem", "problems")));
}

absl::Status CheckPolicy(const CliOptions& options, const std::vector<std::string>& files,
                         std::ostream* out, std::ostream* problems) {
  size_t found = 0, wrong = 0;
  for (const std::string& file : files) {
    std::vector<std::string> here;
    std::shared_ptr<const Policy> policy;
    if (const absl::StatusOr<std::string> text = ReadConfigFile(file); text.ok()) {
      policy = Policy::Parse(*text, file, &here);
    } else {
      here.emplace_back(text.status().message());
    }
    for (const std::string& problem : here) *problems << ShownSafely(problem) << "\n";
    // No reason to refuse the file: it would keep a collector from starting the day after.
    std::vector<std::string> warnings;
    if (policy != nullptr) warnings = policy->Warnings(absl::Now());
    for (const std::string& warning : warnings) {
      *problems << "warning: " << ShownSafely(warning) << "\n";
    }
    found += here.size();
    wrong += policy == nullptr ? 1 : 0;
    if (options.output.form == "json") {
      PrintJson({{"file", file},
                 {"valid", policy != nullptr},
                 {"problems", here},
                 {"warnings", warnings}},
                out);
    } else if (policy != nullptr) {
      *out << ShownSafely(file) << ": "
           << Counted(policy->owners().size(), "row of owners", "rows of owners") << ", "
           << Counted(policy->rules().size(), "rule", "rules") << ", "
           << Counted(policy->suppressions().size(), "suppression", "suppressions") << "\n";
    }
  }
  if (wrong == 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(Counted(found, "problem", "problems"), " in ", wrong,
                                          " of ", Counted(files.size(), "file", "files")));
}

}  // namespace tokenwatch
