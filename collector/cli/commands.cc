#include "collector/cli/commands.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/common/exit_status.h"
#include "agent/common/http_target.h"
#include "agent/common/secret_buffer.h"
#include "agent/common/token_id.h"
#include "agent/token/extract.h"
#include "agent/token/fingerprint.h"
#include "agent/token/fleet_key.h"
#include "collector/cli/table.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kPage = 1000;
constexpr auto kTailPause = std::chrono::milliseconds(500);
constexpr absl::Duration kTailWindow = absl::Minutes(1);

// A member as text; empty where it is absent or null.
std::string Cell(const Json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end() || at->is_null()) return "";
  return at->is_string() ? at->get<std::string>() : at->dump();
}

// 2026-11-22T10:11:12.123456Z to 2026-11-22 10:11:12.123, as tables show it.
std::string TimeCell(const Json& object, const char* name) {
  std::string time = Cell(object, name);
  if (time.size() < 23) return time;
  time[10] = ' ';
  return time.substr(0, 23);
}

std::string Words(const Json& object, const char* name) {
  std::vector<std::string> words;
  const auto at = object.find(name);
  if (at != object.end() && at->is_array()) {
    for (const Json& word : *at) {
      if (word.is_string()) words.push_back(word.get<std::string>());
    }
  }
  return absl::StrJoin(words, " ");
}

Parameters FilterParameters(const Filters& filters) {
  return {{"since", filters.since},       {"until", filters.until},
          {"token", filters.token},       {"host", filters.host},
          {"provider", filters.provider}, {"workload", filters.workload},
          {"endpoint", filters.endpoint}, {"status", filters.status}};
}

// Follows pages until the limit.
absl::StatusOr<std::vector<Json>> ListAll(const CliOptions& options, const std::string& path,
                                          const char* member) {
  const Client client(options.server);
  std::vector<Json> items;
  std::string page_token;
  const uint64_t limit = options.filters.limit == 0 ? UINT64_MAX : options.filters.limit;
  do {
    Parameters parameters = FilterParameters(options.filters);
    parameters.emplace_back("limit", absl::StrCat(std::min<uint64_t>(kPage, limit - items.size())));
    parameters.emplace_back("pageToken", page_token);
    absl::StatusOr<Json> page = client.Get(path, parameters);
    if (!page.ok()) return page.status();
    for (Json& item : (*page)[member]) items.push_back(std::move(item));
    page_token = Cell(*page, "nextPageToken");
  } while (!page_token.empty() && items.size() < limit);
  return items;
}

// JSON for a terminal: what is not ASCII is \u-escaped.
void PrintJson(const Json& item, std::ostream& out) {
  out << item.dump(-1, ' ', true, Json::error_handler_t::replace) << "\n";
}

int Print(const CliOptions& options, const std::vector<Json>& items, const Table& table,
          const char* none, std::ostream& out) {
  if (options.output == "json") {
    for (const Json& item : items) PrintJson(item, out);
  } else if (options.output == "csv") {
    out << table.Csv();
  } else if (items.empty()) {
    out << none << "\n";
  } else {
    out << table.Text();
  }
  out.flush();
  return items.empty() ? kExitNothing : kExitOk;
}

Table TokensTable(const std::vector<Json>& tokens) {
  Table table({{"TOKEN"},
               {"FORMAT"},
               {"USES", true},
               {"DENIED", true},
               {"FAILED", true},
               {"FIRST USED"},
               {"LAST USED"},
               {"WORKLOADS", true},
               {"MACHINES", true},
               {"RESOURCES", true},
               {"HOSTS"}});
  for (const Json& token : tokens) {
    table.Add({Cell(token, "tokenId"), Cell(token, "format"), Cell(token, "uses"),
               Cell(token, "denied"), Cell(token, "failed"), TimeCell(token, "firstUsed"),
               TimeCell(token, "lastUsed"), Cell(token, "workloads"), Cell(token, "machines"),
               Cell(token, "resources"), Words(token, "hosts")});
  }
  return table;
}

std::vector<Column> UseColumns() {
  return {{"TIME"}, {"TOKEN"},        {"CARRIER"},    {"METHOD"},
          {"URL"},  {"STATUS", true}, {"OUTCOME"},    {"LATENCY us", true},
          {"PEER"}, {"PID", true},    {"EXECUTABLE"}, {"SCRIPT"},
          {"USER"}, {"MACHINE"}};
}

std::vector<std::string> UseCells(const Json& use) {
  const auto at = use.find("workload");
  const Json workload = at != use.end() && at->is_object() ? *at : Json::object();
  const std::string address = Cell(use, "peerAddress");
  const bool is_v6 = address.find(':') != std::string::npos;
  const std::string peer =
      address.empty()
          ? "unknown"
          : absl::StrCat(is_v6 ? "[" : "", address, is_v6 ? "]:" : ":", Cell(use, "peerPort"),
                         Cell(use, "peerCertainty") == "exact" ? "" : "?");
  const std::string token = Cell(use, "tokenId");
  return {TimeCell(use, "time"),
          token.empty() ? "unresolved" : token,
          Cell(use, "carrier"),
          Cell(use, "method"),
          absl::StrCat(Cell(use, "scheme"), "://", Cell(use, "host"), Cell(use, "path")),
          Cell(use, "status"),
          Cell(use, "outcome"),
          Cell(use, "latencyUs"),
          peer,
          Cell(workload, "pid"),
          Cell(workload, "exe"),
          Cell(workload, "script"),
          Cell(workload, "user"),
          Cell(workload, "host")};
}

Table UsageTable(const Json& usage) {
  Table table({{"MACHINE"},
               {"EXECUTABLE"},
               {"SCRIPT"},
               {"USER"},
               {"UNIT"},
               {"CONTAINER"},
               {"METHOD"},
               {"HOST"},
               {"PATH"},
               {"USES", true},
               {"DENIED", true},
               {"FIRST USED"},
               {"LAST USED"}});
  for (const Json& row : usage) {
    table.Add({Cell(row, "machine"), Cell(row, "exe"), Cell(row, "script"), Cell(row, "user"),
               Cell(row, "unit"), Cell(row, "containerId").substr(0, 12), Cell(row, "method"),
               Cell(row, "host"), Cell(row, "path"), Cell(row, "uses"), Cell(row, "denied"),
               TimeCell(row, "firstUsed"), TimeCell(row, "lastUsed")});
  }
  return table;
}

void PrintDetail(const CliOptions& options, const Json& detail, std::ostream& out) {
  if (options.output == "json") return PrintJson(detail, out);
  const Table usage = UsageTable(detail.value("usage", Json::array()));
  if (options.output == "csv") {
    out << usage.Csv();
    return;
  }
  out << TokensTable({detail.value("token", Json::object())}).Text() << "\n" << usage.Text();
}

// Reads all of `fd`, at most what a secret may be long.
absl::Status ReadSecret(int fd, SecretBuffer* secret) {
  char part[4096];
  absl::Status status;
  while (true) {
    const ssize_t got = read(fd, part, sizeof(part));
    if (got == 0) break;
    if (got < 0 || secret->size() + static_cast<size_t>(got) > kSecretMax) {
      status = absl::InvalidArgumentError(got < 0 ? "cannot read the secret from standard input"
                                                  : "that is too long for a secret");
      break;
    }
    secret->Append({part, static_cast<size_t>(got)});
  }
  OPENSSL_cleanse(part, sizeof(part));
  return status;
}

absl::StatusOr<std::vector<std::string>> IdsOf(const WhoOptions& who, std::string_view secret) {
  std::vector<std::string> ids;
  if (!who.agent.empty()) {
    const absl::StatusOr<Json> answer = Client(who.agent).Post("/v1/fingerprint", secret);
    if (!answer.ok()) return answer.status();
    for (const Json& pair : answer->value("ids", Json::array()))
      ids.push_back(Cell(pair, "tokenId"));
    return ids;
  }
  const absl::StatusOr<FleetKey> key = FleetKey::Load(who.key_file);
  if (!key.ok()) return absl::InvalidArgumentError(key.status().message());
  const absl::StatusOr<std::unique_ptr<Fingerprinter>> fingerprinter =
      Fingerprinter::Create(absl::MakeConstSpan(&*key, 1));
  if (!fingerprinter.ok()) return fingerprinter.status();
  for (const TokenPair& pair : (*fingerprinter)->Token(secret)) {
    ids.push_back(TokenIdText(pair.token_id));
  }
  return ids;
}

}  // namespace

absl::StatusOr<int> ListTokens(const CliOptions& options, std::ostream& out) {
  const absl::StatusOr<std::vector<Json>> tokens = ListAll(options, "/v1/tokens", "tokens");
  if (!tokens.ok()) return tokens.status();
  return Print(options, *tokens, TokensTable(*tokens), "no token was used", out);
}

absl::StatusOr<int> ShowToken(const CliOptions& options, const std::string& id, std::ostream& out) {
  const absl::StatusOr<Json> detail =
      Client(options.server).Get(absl::StrCat("/v1/tokens/", PercentEncode(id)), {});
  if (!detail.ok()) return detail.status();
  PrintDetail(options, *detail, out);
  return kExitOk;
}

absl::StatusOr<int> ListUses(const CliOptions& options, std::ostream& out) {
  const absl::StatusOr<std::vector<Json>> uses = ListAll(options, "/v1/uses", "uses");
  if (!uses.ok()) return uses.status();
  Table table(UseColumns());
  for (const Json& use : *uses) table.Add(UseCells(use));
  return Print(options, *uses, table, "no use was found", out);
}

absl::StatusOr<int> ListAgents(const CliOptions& options, std::ostream& out) {
  const absl::StatusOr<std::vector<Json>> agents = ListAll(options, "/v1/agents", "agents");
  if (!agents.ok()) return agents.status();
  Table table({{"AGENT"},
               {"HOST"},
               {"VERSION"},
               {"KERNEL"},
               {"SOCKETS BY"},
               {"CONNECTED"},
               {"LAST SEEN"},
               {"USES", true},
               {"NEWEST GAP"},
               {"GAP COUNT", true}});
  for (const Json& agent : *agents) {
    const Json gaps = agent.value("gaps", Json::array());
    table.Add(
        {Cell(agent, "agent"), Cell(agent, "host"), Cell(agent, "version"), Cell(agent, "kernel"),
         Cell(agent, "capture"), Cell(agent, "connected") == "true" ? "yes" : "no",
         TimeCell(agent, "lastSeen"), Cell(agent, "uses"),
         gaps.empty() ? "none"
                      : absl::StrCat(Cell(gaps[0], "kind"), " until ", TimeCell(gaps[0], "until")),
         gaps.empty() ? "0" : Cell(gaps[0], "count")});
  }
  return Print(options, *agents, table, "no agent has reported", out);
}

absl::StatusOr<int> TailUses(const CliOptions& options, uint64_t polls, std::ostream& out) {
  // Identity of a use; kept for as long as the window may show it again.
  using Key = std::tuple<std::string, std::string, std::string>;
  std::set<Key> before, now;
  const absl::Time started = absl::Now();
  CliOptions asked = options;
  asked.filters.limit = 0;
  bool heading = options.output != "json";
  for (uint64_t poll = 0; polls == 0 || poll < polls; ++poll) {
    if (poll != 0) std::this_thread::sleep_for(kTailPause);
    asked.filters.since =
        absl::FormatTime(std::max(started, absl::Now() - kTailWindow), absl::UTCTimeZone());
    absl::StatusOr<std::vector<Json>> uses = ListAll(asked, "/v1/uses", "uses");
    if (!uses.ok()) return uses.status();
    now.clear();
    Table table(UseColumns());
    std::vector<Json> fresh;
    // The newest comes first; people read downwards.
    for (auto use = uses->rbegin(); use != uses->rend(); ++use) {
      Key key(Cell(*use, "agent"), Cell(*use, "stream"),
              absl::StrCat(Cell(*use, "sequence"), "/", Cell(*use, "tokenId")));
      now.insert(key);
      if (before.contains(key)) continue;
      table.Add(UseCells(*use));
      fresh.push_back(std::move(*use));
    }
    before.swap(now);
    if (!fresh.empty()) {
      std::string text = options.output == "csv" ? table.Csv() : table.Text();
      if (!heading) text.erase(0, text.find('\n') + 1);
      heading = false;
      if (options.output == "json") {
        for (const Json& use : fresh) PrintJson(use, out);
      } else {
        out << text;
      }
      out.flush();
      if (!out) return kExitOk;
    }
  }
  return kExitOk;
}

absl::StatusOr<int> Who(const CliOptions& options, const WhoOptions& who, int in_fd,
                        std::ostream& out) {
  if (who.agent.empty() == who.key_file.empty()) {
    return absl::InvalidArgumentError(
        "who needs either --agent unix:PATH, the local agent's socket, or --key-file FILE");
  }
  SecretBuffer pasted;
  const absl::Status read = ReadSecret(in_fd, &pasted);
  if (!read.ok()) return read;
  const std::string_view secret = NormalisePasted(pasted.view());
  if (secret.empty()) {
    return absl::InvalidArgumentError("standard input is empty: paste the secret there");
  }
  const absl::StatusOr<std::vector<std::string>> ids = IdsOf(who, secret);
  if (!ids.ok()) return ids.status();
  for (const std::string& id : *ids) {
    const absl::StatusOr<Json> detail =
        Client(options.server).Get(absl::StrCat("/v1/tokens/", id), {});
    if (detail.ok()) {
      PrintDetail(options, *detail, out);
      return kExitOk;
    }
    if (!absl::IsNotFound(detail.status())) return detail.status();
  }
  if (options.output == "json") {
    for (const std::string& id : *ids) PrintJson(Json{{"tokenId", id}, {"uses", 0}}, out);
  } else {
    out << absl::StrJoin(*ids, "\n") << "\nnever seen\n";
  }
  return kExitNothing;
}

}  // namespace tokenwatch
