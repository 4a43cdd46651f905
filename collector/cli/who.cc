#include "collector/cli/who.h"

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"
#include "agent/common/text.h"
#include "agent/common/token_id.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/carriers/pasted.h"
#include "agent/token/formats/formats.h"
#include "agent/token/secret/fingerprint.h"
#include "agent/token/secret/fleet_key.h"
#include "collector/cli/rows.h"

namespace tokenwatch {
namespace {

struct Id {
  std::string key, token;
};

// Reads until the end, or on a terminal until the line's end; at most what a secret may be long.
absl::Status ReadAll(int fd, bool one_line, SecretBuffer* secret) {
  char part[4096];
  const absl::Cleanup wipe = [&part] { OPENSSL_cleanse(part, sizeof(part)); };
  while (true) {
    const ssize_t got = read(fd, part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::InvalidArgumentError("cannot read the secret from standard input");
    if (got == 0) return absl::OkStatus();
    // A line end or two may follow the secret itself.
    if (secret->size() + static_cast<size_t>(got) > kSecretMax + 2) {
      return absl::InvalidArgumentError("that is too long for a secret");
    }
    secret->Append({part, static_cast<size_t>(got)});
    if (one_line && part[got - 1] == '\n') return absl::OkStatus();
  }
}

absl::Status ReadSecret(int fd, SecretBuffer* secret) {
  termios shown{};
  if (tcgetattr(fd, &shown) != 0) return ReadAll(fd, false, secret);
  std::fputs("secret (not shown): ", stderr);
  termios hidden = shown;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(fd, TCSAFLUSH, &hidden);
  const absl::Status status = ReadAll(fd, true, secret);
  tcsetattr(fd, TCSAFLUSH, &shown);
  std::fputs("\n", stderr);
  return status;
}

// Whether `secret` is a token of a known format: by its shape alone, or, of a weak shape, with an
// id that the format makes public, as `digits:x` of Telegram has.
bool HasKnownFormat(std::string_view secret) {
  const auto table = FormatTable::Create();
  if (!table.ok()) return false;
  if ((*table)->Classify(secret, "", "").format != nullptr) return true;
  const std::vector<Format>& formats = (*table)->formats();
  return std::any_of(formats.begin(), formats.end(), [&](const Format& format) {
    if (!format.weak) return false;
    std::string host = format.hosts.empty() ? "" : format.hosts.front();
    std::replace(host.begin(), host.end(), '*', 'x');
    const FormatMatch match =
        (*table)->Classify(secret, host, format.carriers.empty() ? "" : format.carriers.front());
    return match.format == &format && !match.public_part.empty();
  });
}

// Whether all of `secret` is a user and a password, of which agents look up the password; a token
// of a known format that holds a colon is none.
bool IsUserAndPassword(std::string_view secret) {
  constexpr size_t kUserMax = 64;
  const size_t colon = secret.find(':');
  if (colon == std::string_view::npos || colon > kUserMax || colon + 1 == secret.size()) {
    return false;
  }
  const std::string_view user = secret.substr(0, colon);
  const bool is_user = std::all_of(user.begin(), user.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("._-+@").find(c) != std::string_view::npos;
  });
  return is_user && !HasKnownFormat(secret);
}

absl::StatusOr<std::vector<Id>> IdsOf(const WhoOptions& who, std::string_view secret) {
  std::vector<Id> ids;
  if (!who.agent.empty()) {
    const absl::StatusOr<Json> answer = Client({.url = who.agent}).Post("/v1/fingerprint", secret);
    if (!answer.ok()) return answer.status();
    for (const Json& pair : ObjectsOf(*answer, "ids")) {
      ids.push_back({Cell(pair, "keyId"), Cell(pair, "tokenId")});
    }
  } else {
    const absl::StatusOr<FleetKey> key = FleetKey::Load(who.key_file);
    if (!key.ok()) return absl::InvalidArgumentError(key.status().message());
    const absl::StatusOr<std::unique_ptr<Fingerprinter>> fingerprinter =
        Fingerprinter::Create(absl::MakeConstSpan(&*key, 1));
    if (!fingerprinter.ok()) return fingerprinter.status();
    for (const TokenPair& pair : (*fingerprinter)->Token(secret)) {
      ids.push_back({pair.key_id, TokenIdText(pair.token_id)});
    }
  }
  if (ids.empty()) return absl::InternalError("the secret's id could not be computed");
  return ids;
}

// The keys that agents report under; none where the collector does not say.
absl::StatusOr<std::set<std::string>> KeysInUse(const Client& client) {
  std::set<std::string> keys;
  std::string page_token;
  do {
    const absl::StatusOr<Json> answer =
        client.Get("/v1/agents", {{"limit", "1000"}, {"pageToken", page_token}});
    if (!answer.ok()) return answer.status();
    for (const Json& agent : ObjectsOf(*answer, "agents")) {
      const auto ids = agent.find("keyIds");
      if (ids == agent.end() || !ids->is_array()) continue;
      for (const Json& id : *ids) {
        if (id.is_string()) keys.insert(id.get<std::string>());
      }
    }
    page_token = Cell(*answer, "nextPageToken");
  } while (!page_token.empty());
  return keys;
}

// What was not read may have carried it.
std::string Darkness(const Client& client) {
  const absl::StatusOr<Json> answer = client.Get("/v1/agents", {{"limit", "10000"}});
  if (!answer.ok()) return "";
  const auto agents = answer->find("agents");
  if (agents == answer->end() || !agents->is_array()) return "";
  uint64_t dark = 0;
  for (const Json& agent : *agents) {
    const auto coverage = agent.find("coverage");
    if (coverage != agent.end() && coverage->is_object()) dark += Count(*coverage, "dark");
  }
  if (dark == 0) return "";
  return absl::StrCat("; ", dark, dark == 1 ? " TLS connection was" : " TLS connections were",
                      " not read, which may have carried it: tokenwatch agents --coverage");
}

// Under a key that no agent uses every token looks as if nobody used it.
absl::Status NeverSeen(const Client& client, const std::vector<Id>& ids) {
  const absl::StatusOr<std::set<std::string>> in_use = KeysInUse(client);
  if (!in_use.ok()) return absl::NotFoundError("this token was never seen");
  if (in_use->empty()) {
    return absl::NotFoundError("this token was never seen, and no agent has reported yet");
  }
  std::set<std::string> asked;
  for (const Id& id : ids) asked.insert(id.key);
  const bool is_used = std::any_of(asked.begin(), asked.end(),
                                   [&](const std::string& key) { return in_use->contains(key); });
  if (is_used)
    return absl::NotFoundError(absl::StrCat("this token was never seen", Darkness(client)));
  return absl::NotFoundError(absl::StrCat(
      "no agent reports under ", absl::StrJoin(asked, " or "), "; agents use ",
      absl::StrJoin(*in_use, ", "), ": ask with that key, as under another nothing can be found"));
}

void PrintIds(const CliOptions& options, const std::vector<Id>& ids, std::ostream* out) {
  static const RowKind kind = {{{"TOKEN"}, {"KEY"}}, [](const Json& id) {
                                 return std::vector<std::string>{Cell(id, "tokenId"),
                                                                 Cell(id, "keyId")};
                               }};
  std::vector<Json> rows;
  for (const Id& id : ids) {
    rows.push_back({{"tokenId", id.token}, {"keyId", id.key}, {"uses", 0}});
  }
  Printer(options.output, kind, out).Print(rows);
}

}  // namespace

absl::Status Who(const CliOptions& options, const WhoOptions& who, int in_fd, std::ostream* out) {
  if (who.agent.empty() == who.key_file.empty()) {
    return absl::InvalidArgumentError(
        "who needs either --agent unix:PATH, the local agent's socket, or --key-file FILE");
  }
  if (!who.agent.empty() && !who.agent.starts_with("unix:")) {
    // A secret is never sent to where another machine could read it.
    return absl::InvalidArgumentError("--agent takes unix:PATH, the local agent's socket");
  }
  SecretBuffer pasted;
  if (absl::Status status = ReadSecret(in_fd, &pasted); !status.ok()) return status;
  if (TrimBlanks(pasted.view()).empty()) {
    return absl::InvalidArgumentError("standard input is empty: paste the secret there");
  }
  absl::StatusOr<Pasted> read = ReadPasted(pasted.view());
  if (!read.ok()) return read.status();
  pasted.Clear();
  if (read->taken.empty() && IsUserAndPassword(read->secret.view())) {
    return absl::InvalidArgumentError(
        "this looks like user:password, of which agents look up the password: paste that alone, or "
        "TOKEN=... where the colon is part of a token");
  }
  const absl::StatusOr<std::vector<Id>> ids = IdsOf(who, read->secret.view());
  if (!ids.ok()) return ids.status();
  read->secret.Clear();
  if (!read->taken.empty() && who.notice) who.notice(absl::StrCat("looked up ", read->taken));
  // The collector has joined what it saw under several keys: the first that it knows is enough.
  for (const Id& id : *ids) {
    const absl::StatusOr<Json> detail =
        Client(options.server).Get(absl::StrCat("/v1/tokens/", id.token), {});
    if (detail.ok()) {
      PrintToken(options, *detail, out);
      return absl::OkStatus();
    }
    if (absl::IsNotFound(detail.status())) continue;
    PrintIds(options, *ids, out);
    return detail.status();
  }
  PrintIds(options, *ids, out);
  return NeverSeen(Client(options.server), *ids);
}

}  // namespace tokenwatch
