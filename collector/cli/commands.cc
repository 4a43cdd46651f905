#include "collector/cli/commands.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/common/http_target.h"
#include "collector/cli/list.h"
#include "collector/cli/rows.h"
#include "collector/cli/table.h"
#include "collector/cli/timeline.h"

namespace tokenwatch {
namespace {

// A line for each kind of gap of each agent.
void PrintGaps(const CliOptions& options, const std::vector<Json>& agents, std::ostream* out) {
  std::vector<Json> rows;
  for (const Json& agent : agents) {
    for (Json& gap : ObjectsOf(agent, "gapTotals")) {
      gap["agent"] = Cell(agent, "agent");
      rows.push_back(std::move(gap));
    }
  }
  if (rows.empty()) return;
  *out << "\n";
  Printer(options.output, GapRows(), out).Print(rows);
}

// Uses that servers received are in no total: they are told apart.
void PrintInbound(const Json& token, std::ostream* out) {
  const std::string inbound = Cell(token, "inboundUses");
  if (inbound.empty() || inbound == "0") return;
  *out << (Cell(token, "uses") == "0" ? "Seen inbound only: " : "Seen inbound as well: ") << inbound
       << (inbound == "1" ? " use that a server here" : " uses that servers here")
       << " received, not in the line above.\n";
}

// What the token is, may do and did that it should not.
void PrintIdentity(const CliOptions& options, const Json& detail, const Json& token,
                   std::ostream* out) {
  const std::string id = ShownSafely(Cell(token, "tokenId"));
  const std::string credential = ShownSafely(Cell(token, "credentialId"));
  const uint64_t issued = Count(token, "issued");
  if (issued > 1) {
    *out << "All " << issued << " tokens that were issued to credential " << credential
         << " are in the line above, which shows the newest one's id.\n";
  } else if (!credential.empty()) {
    *out << "A token of credential " << credential << "; all of its tokens: tokenwatch token "
         << credential << "\n";
  }
  if (const uint64_t foreign = Count(token, "foreignHostUses"); foreign != 0) {
    *out << "Sent to hosts that are not its provider's: " << foreign
         << (foreign == 1 ? " use" : " uses") << "; tokenwatch uses --trait foreignHost --token "
         << (issued > 1 ? credential : id) << "\n";
  }
  std::vector<std::string> scopes;
  if (const auto at = detail.find("unneededScopes"); at != detail.end() && at->is_array()) {
    for (const Json& scope : *at) {
      if (scope.is_string()) scopes.push_back(ShownSafely(scope.get<std::string>()));
    }
  }
  if (!scopes.empty()) {
    *out << "Granted, and needed by no call that was seen: " << absl::StrJoin(scopes, " ") << "\n";
  }
  std::vector<Json> facts;
  for (const Json& fact : ObjectsOf(detail, "facts")) {
    for (Json& row : TellingsOf(fact)) facts.push_back(std::move(row));
  }
  if (facts.empty()) return;
  *out << "\n";
  Printer(options.output, FactRows(), out).Print(facts);
}

}  // namespace

absl::Status ListTokens(const CliOptions& options, std::ostream* out) {
  const RowKind& kind = options.output.form == "table" ? TokenRows() : TokenDetailRows();
  return ListPages(options, "/v1/tokens", "tokens", kind, "no token was found", out);
}

absl::Status ListUses(const CliOptions& options, std::ostream* out) {
  const RowKind& kind = options.output.form == "table" ? UseRows() : UseDetailRows();
  return ListPages(options, "/v1/uses", "uses", kind, "no use was found", out);
}

absl::Status ListAgents(const CliOptions& options, std::ostream* out) {
  return ListPages(options, "/v1/agents", "agents", AgentRows(), "no agent was found", out,
                   PrintGaps);
}

absl::Status ShowToken(const CliOptions& options, const std::string& id, std::ostream* out) {
  const absl::StatusOr<Json> detail =
      Client(options.server).Get(absl::StrCat("/v1/tokens/", PercentEncode(id)), {});
  if (!detail.ok()) return detail.status();
  PrintToken(options, *detail, out);
  return absl::OkStatus();
}

void PrintToken(const CliOptions& options, const Json& detail, std::ostream* out) {
  if (options.output.form == "json") return PrintJson(detail, out);
  if (options.output.form == "csv") {
    Printer parts(options.output, TokenPartRows(), out);
    parts.Print(PartsOf(detail));
    return parts.Finish();
  }
  const auto token = detail.find("token");
  const Json shown = token != detail.end() && token->is_object() ? *token : Json::object();
  Printer(options.output, TokenRows(), out).Print({shown});
  PrintInbound(shown, out);
  const std::vector<Json> usage = ObjectsOf(detail, "usage");
  if (usage.empty() && Count(shown, "uses") + Count(shown, "inboundUses") == 0) {
    *out << "No use of it has been seen; what is known was told by calls that other tokens made.\n";
  }
  PrintIdentity(options, detail, shown, out);
  *out << "\n";
  const std::string timeline =
      TimelineText(detail, {.width = options.output.width, .blocks = options.output.utf8});
  if (!timeline.empty()) *out << timeline << "\n";
  Printer(options.output, UsageRows(), out).Print(usage);
}

}  // namespace tokenwatch
