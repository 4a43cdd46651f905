#include "collector/cli/rows.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/cli/cells.h"
#include "collector/cli/dark_reasons.h"
#include "collector/cli/gap_kinds.h"
#include "collector/store/use_traits.h"

namespace tokenwatch {
namespace {

// The program that used a token most, by its file's name, and how many others there are.
std::string WhoCell(const Json& token) {
  const auto at = token.find("programs");
  if (at == token.end() || !at->is_array() || at->empty() || !at->front().is_string()) return "";
  const std::string path = at->front().get<std::string>();
  const std::string name = path.substr(path.rfind('/') + 1);
  return at->size() == 1 ? name : absl::StrCat(name, " +", at->size() - 1);
}

std::string PeerCell(const Json& use) {
  const std::string address = Cell(use, "peerAddress");
  if (address.empty()) return "unknown";
  const bool is_v6 = address.find(':') != std::string::npos;
  return absl::StrCat(is_v6 ? "[" : "", address, is_v6 ? "]:" : ":", Cell(use, "peerPort"),
                      Cell(use, "peerCertainty") == "exact" ? "" : "?");
}

// A hash, as far as it tells rows of a table apart: "usr_" or "cred_" and the first digits.
std::string ShortHash(const std::string& id) {
  constexpr size_t kDigits = 8;
  const size_t prefix = id.find('_');
  const bool is_hash = prefix != std::string::npos && id.size() == prefix + 27 &&
                       (id.starts_with("usr_") || id.starts_with("cred_"));
  return is_hash ? id.substr(0, prefix + 1 + kDigits) : id;
}

// What its owner knows it by: the public part; of a JWT for whom it was issued and by whom; else
// the account or owner that it belongs to, or the credential.
std::string IdentityCell(const Json& token) {
  if (std::string id = Cell(token, "publicId"); !id.empty()) return id;
  const std::string client = Cell(token, "client");
  const std::string subject = ShortHash(Cell(token, "subject"));
  const std::string& last = subject == client ? "" : subject;
  std::string who = absl::StrCat(client, client.empty() || last.empty() ? "" : "/", last);
  std::string_view issuer_name;
  const std::string issuer = Cell(token, "issuer");
  issuer_name = issuer;
  if (issuer_name.starts_with("https://")) issuer_name.remove_prefix(8);
  if (!issuer_name.empty()) {
    return absl::StrCat(who, who.empty() ? "" : " of ",
                        absl::string_view(issuer_name.data(), issuer_name.size()));
  }
  for (const std::string& name : {who, Cell(token, "account"), Cell(token, "owner"),
                                  ShortHash(Cell(token, "credentialId"))}) {
    if (!name.empty()) return name;
  }
  return "";
}

std::vector<std::string> TokenCells(const Json& token) {
  return {Cell(token, "tokenId"), Cell(token, "provider"), Cell(token, "format"),
          IdentityCell(token),    Cell(token, "issued"),   Cell(token, "uses"),
          Cell(token, "denied"),  Cell(token, "failed"),   SecondCell(token, "lastUsed"),
          WhoCell(token),         Words(token, "hosts"),   Cell(token, "state"),
          Words(token, "owners")};
}

std::vector<std::string> TokenDetailCells(const Json& token) {
  return {Cell(token, "tokenId"),
          Cell(token, "format"),
          Cell(token, "uses"),
          Cell(token, "denied"),
          Cell(token, "failed"),
          TimeCell(token, "firstUsed"),
          TimeCell(token, "lastUsed"),
          Cell(token, "workloads"),
          Cell(token, "machines"),
          Cell(token, "resources"),
          WhoCell(token),
          Words(token, "hosts"),
          Cell(token, "credentialId"),
          Cell(token, "issued"),
          Cell(token, "provider"),
          Cell(token, "publicId"),
          Cell(token, "account"),
          Cell(token, "owner"),
          TimeCell(token, "expires"),
          Cell(token, "foreignHostUses"),
          Cell(token, "issuer"),
          Cell(token, "subject"),
          Cell(token, "client"),
          Cell(token, "organization"),
          Words(token, "owners"),
          Cell(token, "state"),
          Cell(token, "successor"),
          Cell(token, "openFindings")};
}

std::vector<std::string> FactCells(const Json& fact) {
  return {Cell(fact, "name"), Words(fact, "values"), SecondCell(fact, "firstSeen"),
          SecondCell(fact, "lastSeen")};
}

// The traits of a use, as the filter calls them.
std::string TraitsCell(const Json& use) {
  std::vector<std::string> words;
  for (const UseTraitRow& row : kUseTraits) {
    if (Cell(use, row.word) == "true") words.emplace_back(row.word);
  }
  return absl::StrJoin(words, " ");
}

std::vector<std::string> UseCells(const Json& use) {
  const auto at = use.find("workload");
  const Json workload = at != use.end() && at->is_object() ? *at : Json::object();
  const std::string token = Cell(use, "tokenId");
  return {TimeCell(use, "time"),
          token.empty() ? "unresolved" : token,
          Cell(use, "carrier"),
          Cell(use, "method"),
          absl::StrCat(Cell(use, "scheme"), "://", Cell(use, "host"), Cell(use, "path")),
          Cell(use, "status"),
          Cell(use, "outcome"),
          Cell(use, "direction"),
          Cell(use, "latencyUs"),
          PeerCell(use),
          Cell(workload, "pid"),
          Cell(workload, "exe"),
          Cell(workload, "script"),
          Cell(workload, "user"),
          Cell(workload, "host"),
          PlaceCell(workload),
          TraitsCell(use)};
}

std::vector<std::string> UseDetailCells(const Json& use) {
  std::vector<std::string> cells = UseCells(use);
  for (const char* name : {"userId", "credentialId", "format", "provider", "owner"}) {
    cells.push_back(Cell(use, name));
  }
  return cells;
}

std::vector<std::string> UsageCells(const Json& row) {
  return {Cell(row, "machine"),       Cell(row, "exe"),          Cell(row, "script"),
          Cell(row, "user"),          Cell(row, "unit"),         Cell(row, "containerId"),
          Cell(row, "direction"),     Cell(row, "method"),       Cell(row, "host"),
          Cell(row, "path"),          Cell(row, "uses"),         Cell(row, "denied"),
          TimeCell(row, "firstUsed"), TimeCell(row, "lastUsed"), PlaceCell(row)};
}

// KIND to LAST SEEN, then a usage row's cells where it is one.
std::vector<std::string> TokenPartCells(const Json& part) {
  std::vector<std::string> cells = {Cell(part, "kind"), Cell(part, "name"), Cell(part, "value"),
                                    TimeCell(part, "firstSeen"), TimeCell(part, "lastSeen")};
  const auto usage = part.find("usage");
  const std::vector<std::string> rest =
      UsageCells(usage != part.end() && usage->is_object() ? *usage : Json::object());
  const bool is_usage = Cell(part, "kind") == "usage";
  for (const std::string& cell : rest) cells.push_back(is_usage ? cell : "");
  return cells;
}

std::vector<std::string> AgentCells(const Json& agent) {
  return {Cell(agent, "agent"),
          Cell(agent, "host"),
          Cell(agent, "version"),
          Cell(agent, "kernel"),
          Cell(agent, "capture"),
          Cell(agent, "connected") == "true" ? "yes" : "no",
          TimeCell(agent, "lastSeen"),
          Cell(agent, "uses"),
          absl::StrCat(ObjectsOf(agent, "gapTotals").size())};
}

std::vector<std::string> GapCells(const Json& gap) {
  return {Cell(gap, "agent"),     Cell(gap, "kind"),      Cell(gap, "count"),
          TimeCell(gap, "since"), TimeCell(gap, "until"), GapMeaning(Cell(gap, "kind"))};
}

// Why connections were dark; with numbers where there are several reasons.
std::string ReasonsCell(const Json& program) {
  const std::vector<Json> reasons = ObjectsOf(program, "reasons");
  std::vector<std::string> words;
  for (const Json& reason : reasons) {
    const std::string meaning = DarkMeaning(Cell(reason, "reason"));
    words.push_back(reasons.size() == 1 ? meaning
                                        : absl::StrCat(meaning, ": ", Cell(reason, "connections")));
  }
  return absl::StrJoin(words, "; ");
}

// Without a name a row stands for programs that are not known or not told apart.
std::string ProgramCell(const Json& program) {
  const std::string comm = Cell(program, "comm");
  return comm.empty() && Cell(program, "exe").empty() ? "(others)" : comm;
}

std::vector<std::string> CoverageCells(const Json& program) {
  return {Cell(program, "host"),
          ProgramCell(program),
          Cell(program, "exe"),
          PlaceCell(program),
          Cell(program, "tlsConnections"),
          Cell(program, "plaintextSeen"),
          Cell(program, "dark"),
          TimeCell(program, "lastSeen"),
          ReasonsCell(program)};
}

std::vector<std::string> CoverageDetailCells(const Json& program) {
  return {Cell(program, "agent"),
          Cell(program, "host"),
          Cell(program, "comm"),
          Cell(program, "exe"),
          Cell(program, "pid"),
          Cell(program, "containerId"),
          Cell(program, "pod"),
          Cell(program, "namespace"),
          Cell(program, "unit"),
          Cell(program, "tlsConnections"),
          Cell(program, "plaintextSeen"),
          Cell(program, "dark"),
          TimeCell(program, "firstSeen"),
          TimeCell(program, "lastSeen"),
          ReasonsCell(program)};
}

}  // namespace

uint64_t Count(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_number_unsigned() ? at->get<uint64_t>() : 0;
}

std::string Cell(const Json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end() || at->is_null() || at->is_structured()) return "";
  return at->is_string() ? at->get<std::string>() : at->dump();
}

std::vector<Json> ObjectsOf(const Json& object, const char* name) {
  std::vector<Json> objects;
  const auto at = object.find(name);
  if (at == object.end() || !at->is_array()) return objects;
  for (const Json& item : *at) {
    if (item.is_object()) objects.push_back(item);
  }
  return objects;
}

const RowKind& TokenRows() {
  static const RowKind* const kind =
      new RowKind{{{"TOKEN"},
                   Shrinking("PROVIDER", 8),
                   Shrinking("FORMAT", 6),
                   Shrinking("IDENTITY"),
                   Number("ISSUED"),
                   Number("USES"),
                   Number("DENIED"),
                   {.title = "FAILED", .is_number = true, .may_vanish = true},
                   {"LAST USED"},
                   Shrinking("WHO", 4),
                   Shrinking("HOSTS", 5),
                   {.title = "STATE", .may_vanish = true},
                   {.title = "OWNED BY", .may_shrink = true, .least = 8, .may_vanish = true}},
                  TokenCells};
  return *kind;
}

const RowKind& FactRows() {
  static const RowKind* const kind =
      new RowKind{{{"FACT"}, Shrinking("VALUES"), {"FIRST SEEN"}, {"LAST SEEN"}}, FactCells};
  return *kind;
}

const RowKind& TokenDetailRows() {
  static const RowKind* const kind = new RowKind{
      {{"TOKEN"},          {"FORMAT"},          Number("USES"),   Number("DENIED"),
       Number("FAILED"),   {"FIRST USED"},      {"LAST USED"},    Number("WORKLOADS"),
       Number("MACHINES"), Number("RESOURCES"), Shrinking("WHO"), Shrinking("HOSTS"),
       {"CREDENTIAL"},     Number("ISSUED"),    {"PROVIDER"},     {"PUBLIC ID"},
       {"ACCOUNT"},        {"OWNER"},           {"EXPIRES"},      Number("FOREIGN HOST USES"),
       {"ISSUER"},         {"SUBJECT"},         {"CLIENT"},       {"ORGANIZATION"},
       {"OWNED BY"},       {"STATE"},           {"SUCCESSOR"},    Number("OPEN FINDINGS")},
      TokenDetailCells};
  return *kind;
}

const RowKind& UseRows() {
  static const RowKind* const kind = new RowKind{{{"TIME"},
                                                  {"TOKEN"},
                                                  Shrinking("CARRIER"),
                                                  {"METHOD"},
                                                  Shrinking("URL"),
                                                  Number("STATUS"),
                                                  {"OUTCOME"},
                                                  {"DIRECTION"},
                                                  Number("LATENCY us"),
                                                  {"PEER"},
                                                  Number("PID"),
                                                  Shrinking("EXECUTABLE"),
                                                  Shrinking("SCRIPT"),
                                                  Shrinking("USER"),
                                                  Shrinking("MACHINE"),
                                                  Shrinking("WHERE"),
                                                  Shrinking("NOTABLE")},
                                                 UseCells};
  return *kind;
}

const RowKind& UseDetailRows() {
  static const RowKind* const kind = [] {
    auto* const detail = new RowKind{UseRows().columns, UseDetailCells};
    for (const char* title : {"USER ID", "CREDENTIAL", "FORMAT", "PROVIDER", "OWNED BY"}) {
      detail->columns.push_back({title});
    }
    return detail;
  }();
  return *kind;
}

const RowKind& UsageRows() {
  static const RowKind* const kind = new RowKind{{Shrinking("MACHINE"),
                                                  Shrinking("EXECUTABLE"),
                                                  Shrinking("SCRIPT"),
                                                  Shrinking("USER"),
                                                  Shrinking("UNIT"),
                                                  Shrinking("CONTAINER"),
                                                  {"DIRECTION"},
                                                  {"METHOD"},
                                                  Shrinking("HOST"),
                                                  Shrinking("PATH"),
                                                  Number("USES"),
                                                  Number("DENIED"),
                                                  {"FIRST USED"},
                                                  {"LAST USED"},
                                                  Shrinking("WHERE")},
                                                 UsageCells};
  return *kind;
}

const RowKind& TokenPartRows() {
  static const RowKind* const kind = [] {
    auto* const parts =
        new RowKind{{{"KIND"}, {"NAME"}, {"VALUE"}, {"FIRST SEEN"}, {"LAST SEEN"}}, TokenPartCells};
    const std::vector<Column>& usage = UsageRows().columns;
    parts->columns.insert(parts->columns.end(), usage.begin(), usage.end());
    return parts;
  }();
  return *kind;
}

const RowKind& AgentRows() {
  static const RowKind* const kind = new RowKind{{{"AGENT"},
                                                  Shrinking("HOST"),
                                                  {"VERSION"},
                                                  Shrinking("KERNEL"),
                                                  {"SOCKETS BY"},
                                                  {"CONNECTED"},
                                                  {"LAST SEEN"},
                                                  Number("USES"),
                                                  Number("KINDS OF GAPS")},
                                                 AgentCells};
  return *kind;
}

const RowKind& CoverageRows() {
  static const RowKind* const kind = new RowKind{{Shrinking("MACHINE"),
                                                  Shrinking("PROGRAM"),
                                                  Shrinking("EXECUTABLE"),
                                                  Shrinking("WHERE"),
                                                  Number("CONNECTIONS"),
                                                  Number("SEEN"),
                                                  Number("DARK"),
                                                  {"LAST SEEN"},
                                                  Shrinking("WHY DARK")},
                                                 CoverageCells};
  return *kind;
}

const RowKind& CoverageDetailRows() {
  static const RowKind* const kind = new RowKind{{{"AGENT"},
                                                  {"MACHINE"},
                                                  {"PROGRAM"},
                                                  {"EXECUTABLE"},
                                                  Number("LAST PID"),
                                                  {"CONTAINER"},
                                                  {"POD"},
                                                  {"NAMESPACE"},
                                                  {"UNIT"},
                                                  Number("CONNECTIONS"),
                                                  Number("SEEN"),
                                                  Number("DARK"),
                                                  {"FIRST SEEN"},
                                                  {"LAST SEEN"},
                                                  {"WHY DARK"}},
                                                 CoverageDetailCells};
  return *kind;
}

const RowKind& GapRows() {
  static const RowKind* const kind = new RowKind{
      {{"AGENT"}, {"GAP"}, Number("COUNT"), {"FROM"}, {"UNTIL"}, Shrinking("WHAT IS COUNTED")},
      GapCells};
  return *kind;
}

std::vector<Json> TellingsOf(const Json& fact) {
  const std::vector<Json> told = ObjectsOf(fact, "told");
  std::vector<Json> rows;
  for (const bool earlier : {false, true}) {
    Json row = {{"name", Cell(fact, "name") + (earlier ? ", earlier" : "")},
                {"values", Json::array()}};
    for (const Json& value : told) {
      if ((Cell(value, "earlier") == "true") != earlier) continue;
      const std::string first = Cell(value, "firstSeen"), last = Cell(value, "lastSeen");
      row["values"].push_back(Cell(value, "value"));
      if (!row.contains("firstSeen") || first < Cell(row, "firstSeen")) row["firstSeen"] = first;
      if (last > Cell(row, "lastSeen")) row["lastSeen"] = last;
    }
    if (!row["values"].empty()) rows.push_back(std::move(row));
  }
  if (rows.empty()) rows.push_back(fact);
  return rows;
}

std::vector<Json> PartsOf(const Json& detail) {
  std::vector<Json> parts;
  if (const auto token = detail.find("token"); token != detail.end() && token->is_object()) {
    for (const auto& [name, value] : token->items()) {
      std::string text =
          value.is_array() ? Words(*token, name.c_str()) : Cell(*token, name.c_str());
      if (text.empty()) continue;
      parts.push_back({{"kind", "token"}, {"name", name}, {"value", std::move(text)}});
    }
  }
  for (const Json& fact : ObjectsOf(detail, "facts")) {
    for (const Json& told : ObjectsOf(fact, "told")) {
      parts.push_back({{"kind", Cell(told, "earlier") == "true" ? "earlier fact" : "fact"},
                       {"name", Cell(fact, "name")},
                       {"value", Cell(told, "value")},
                       {"firstSeen", Cell(told, "firstSeen")},
                       {"lastSeen", Cell(told, "lastSeen")}});
    }
  }
  if (const auto scopes = detail.find("unneededScopes");
      scopes != detail.end() && scopes->is_array()) {
    for (const Json& scope : *scopes) {
      if (!scope.is_string()) continue;
      parts.push_back({{"kind", "unneeded scope"}, {"name", "scope"}, {"value", scope}});
    }
  }
  for (const Json& usage : ObjectsOf(detail, "usage")) {
    parts.push_back({{"kind", "usage"},
                     {"name", "uses"},
                     {"value", Cell(usage, "uses")},
                     {"firstSeen", Cell(usage, "firstUsed")},
                     {"lastSeen", Cell(usage, "lastUsed")},
                     {"usage", usage}});
  }
  return parts;
}

Table TableOf(const RowKind& kind, const std::vector<Json>& objects) {
  Table table(kind.columns);
  for (const Json& object : objects) table.Add(kind.cells(object));
  return table;
}

}  // namespace tokenwatch
