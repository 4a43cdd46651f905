// What is read of tokens and answers: nothing of a JWT's signature or of a claim without a row, and
// no mail address, is in what is shown; what is shown is bounded and printable.
//
// The input is text. Its first line says what the rest is:
//   j   a JWT: a line of header JSON, then payload JSON; base64 and a signature are added
//   t   a line with a format's id, then a token
//   d   a DPoP proof: a line of header JSON, then payload JSON
//   a   an answer: a line with its status, one with its host and provider, then fields as
//       "Name: value"
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "agent/token/answers/answer_facts.h"
#include "agent/token/identity/dpop.h"
#include "agent/token/identity/identity.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

using nlohmann::literals::operator""_json_pointer;

constexpr size_t kWindow = 12;
constexpr std::string_view kSignature = "q7Rz-0b_9XwKtLm3VhY5uJ8sDfQ2nPaGc4";

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

std::string_view TakeLine(std::string_view* text) {
  const std::string_view line = text->substr(0, text->find('\n'));
  text->remove_prefix(std::min(line.size() + 1, text->size()));
  return line;
}

std::string Base64Url(std::string_view text) {
  return absl::WebSafeBase64Escape(absl::string_view(text.data(), text.size()));
}

std::string Masked(std::string_view /*person*/) { return "usr"; }

bool NoToken(std::string_view /*text*/) { return false; }

Fingerprinter* TheFingerprinter() {
  static const auto made = [] {
    std::vector<FleetKey> keys;
    keys.push_back(*FleetKey::FromHex(std::string(2 * FleetKey::kBytes, '5')));
    return *Fingerprinter::Create(keys);
  }();
  return made.get();
}

void CheckFacts(const std::vector<TokenFact>& facts, size_t most) {
  Check(facts.size() <= most, "facts are few");
  for (const TokenFact& fact : facts) {
    Check(!fact.value.empty() && fact.value.size() <= fact::kValueMax, "values are bounded");
    Check(std::all_of(fact.value.begin(), fact.value.end(),
                      [](char c) { return c >= 0x20 && c <= 0x7e; }),
          "values are printable");
  }
}

// Strings of a JSON document by whether a row of the table leads to them.
struct Strings {
  std::vector<std::string> with_row, without_row, of_persons;
};

const ClaimRow* RowOf(const std::vector<std::string>& path) {
  for (const ClaimRow& row : ClaimRows()) {
    if (row.in_header) continue;
    size_t depth = 0;
    while (depth < row.path.size() && !row.path[depth].empty()) ++depth;
    if (depth == path.size() && std::equal(path.begin(), path.end(), row.path.begin())) return &row;
  }
  return nullptr;
}

void Sort(const nlohmann::json& json, std::vector<std::string>* path, bool in_list,
          Strings* strings) {
  if (json.is_object() && path->size() < 40) {
    for (const auto& [name, value] : json.items()) {
      if (RowOf(*path) != nullptr) path->emplace_back("inside");
      path->push_back(name);
      if (RowOf(*path) == nullptr) strings->without_row.push_back(name);
      Sort(value, path, false, strings);
      path->pop_back();
      if (!path->empty() && path->back() == "inside") path->pop_back();
    }
  } else if (json.is_array() && !in_list) {
    for (const auto& item : json) {
      if (item.is_object()) path->emplace_back("list");
      Sort(item, path, true, strings);
      if (item.is_object()) path->pop_back();
    }
  } else if (json.is_string()) {
    const ClaimRow* row = RowOf(*path);
    const bool shown = row != nullptr &&
                       (row->treatment == Treatment::kKept || row->treatment == Treatment::kHashed);
    const auto& text = json.get_ref<const std::string&>();
    (shown ? strings->with_row : strings->without_row).push_back(text);
    if (shown) strings->of_persons.push_back(text);
  }
}

size_t Depth(std::string_view json) {
  size_t depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (quoted && json[i] == '\\') {
      ++i;
    } else if (json[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && (json[i] == '{' || json[i] == '[')) {
      deepest = std::max(deepest, ++depth);
    } else if (!quoted && (json[i] == '}' || json[i] == ']')) {
      --depth;
    }
  }
  return deepest;
}

bool IsMachine(std::string_view text) {
  return text.starts_with("arn:aws") || text.starts_with("service-account-") ||
         std::any_of(MachineSubjectRows().begin(), MachineSubjectRows().end(),
                     [text](const MachineSubjectRow& row) {
                       return text.starts_with(row.prefix) && text.ends_with(row.suffix);
                     });
}

bool Shows(const std::string& all, std::string_view text) {
  return all.find(Printable(text, fact::kValueMax)) != std::string::npos;
}

// Where another parser reads the payload too, it tells what may be shown of it.
void CheckAgainstOther(std::string_view header, std::string_view payload, const std::string& all,
                       const JwtFacts& jwt) {
  const auto json = nlohmann::json::parse(payload, nullptr, false);
  if (json.is_discarded() || payload.starts_with('\xef')) return;
  if (!json.is_object() || Depth(payload) > 32) return;
  Check(jwt.payload == JwtFacts::Payload::kRead, "what another parser reads is read");
  const struct {
    const std::string& shown;
    nlohmann::json::json_pointer path;
  } claims[] = {{jwt.issuer, "/iss"_json_pointer},
                {jwt.jwt_id, "/jti"_json_pointer},
                {jwt.tenant, "/tid"_json_pointer},
                {jwt.dpop_thumbprint, "/cnf/jkt"_json_pointer},
                {jwt.pod, "/kubernetes.io/pod/name"_json_pointer}};
  for (const auto& [shown, where] : claims) {
    const bool there = json.contains(where) && json[where].is_string();
    const std::string text = there ? json[where].get<std::string>() : "";
    const bool person = text.find('@') != std::string::npos || text.find(".SHA256:") < text.size();
    Check(person || shown == Printable(text, fact::kValueMax), "a claim is the last of its name");
  }
  Strings strings;
  std::vector<std::string> path;
  Sort(json, &path, false, &strings);
  // What of the header is shown may be anything that the payload holds as well.
  const auto parameters = nlohmann::json::parse(header, nullptr, false);
  for (const auto& value : parameters) {
    if (value.is_string()) strings.with_row.push_back(value.get<std::string>());
  }
  size_t looked_at = 0;
  for (const std::string& secret : strings.without_row) {
    for (size_t at = 0; at + kWindow <= secret.size() && at < 64; ++at) {
      if (++looked_at > 512) return;
      const std::string window = secret.substr(at, kWindow);
      if (!Shows(all, window)) continue;
      // Also in what may be shown, or in what is shown anyway.
      const bool elsewhere = std::any_of(
          strings.with_row.begin(), strings.with_row.end(),
          [&window](const std::string& text) { return text.find(window) != std::string::npos; });
      Check(elsewhere || window.find("usr") != std::string::npos,
            "no claim without a row is shown");
    }
  }
  for (const std::string& person : strings.of_persons) {
    const size_t at = person.find('@');
    if (at == std::string::npos || at == 0 || at + 1 == person.size() || IsMachine(person) ||
        person.size() < kWindow || person.size() > 100 || person.find(' ') != std::string::npos) {
      continue;
    }
    const bool elsewhere = std::any_of(
        strings.with_row.begin(), strings.with_row.end(), [&person](const std::string& text) {
          return text != person && (text.find(person) != std::string::npos || IsMachine(text) ||
                                    text.find(' ') != std::string::npos);
        });
    Check(elsewhere || !Shows(all, person), "no mail address is shown");
  }
}

void ReadJwtOf(std::string_view header, std::string_view payload) {
  const std::string token =
      Base64Url(header) + "." + Base64Url(payload) + "." + std::string(kSignature);
  const std::optional<JwtFacts> jwt = ReadJwt(token, Masked);
  const TokenIdentity identity =
      IdentifyToken("jwt", false, {token, ""}, TheFingerprinter(), Masked, NoToken);
  // Header and audiences, scopes and a dozen others.
  CheckFacts(identity.facts, 3 * ClaimSet::kItemsMax + 32);
  Check(jwt.has_value() || identity.facts.empty(), "what is no JWT tells nothing");
  if (!jwt.has_value()) return;
  std::string all;
  for (const TokenFact& fact : identity.facts) {
    if (fact.name != fact::kCredential) all += fact.value + "\n";
  }
  if (header.find(kSignature.substr(0, 4)) == std::string_view::npos &&
      payload.find(kSignature.substr(0, 4)) == std::string_view::npos) {
    for (size_t at = 0; at + kWindow <= kSignature.size(); ++at) {
      Check(all.find(kSignature.substr(at, kWindow)) == std::string::npos,
            "nothing of a signature is shown");
    }
  }
  if (header.size() < 100) CheckAgainstOther(header, payload, all, *jwt);
}

void ReadAnswer(std::string_view rest) {
  TokenAnswer answer;
  const std::string_view status = TakeLine(&rest);
  if (!absl::SimpleAtoi(absl::string_view(status.data(), status.size()), &answer.status)) {
    answer.status = 401;
  }
  const std::string_view where = TakeLine(&rest);
  answer.host = where.substr(0, where.find(' '));
  answer.provider = where.substr(std::min(answer.host.size() + 1, where.size()));
  std::vector<HeaderField> fields;
  while (!rest.empty()) {
    const std::string_view line = TakeLine(&rest);
    const size_t colon = std::min(line.find(": "), line.size());
    fields.push_back({line.substr(0, colon), line.substr(std::min(colon + 2, line.size()))});
  }
  answer.fields = fields;
  std::vector<TokenFact> facts;
  AddAnswerFacts(answer, Masked, [](std::string_view /*value*/) { return false; }, &facts);
  CheckFacts(facts, 64 * (fields.size() + 1));
  Check(facts.empty() || AnswerDigest(answer) != 0, "what tells something has a digest");
  Check(AnswerDigest(answer) == AnswerDigest(answer), "a digest is always the same");
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT: the whole of this function is ours
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view kind = TakeLine(&rest);
  if (kind == "a") {
    ReadAnswer(rest);
    return 0;
  }
  const std::string_view first = TakeLine(&rest);
  if (kind == "t") {
    const TokenText token{rest, rest.substr(0, rest.find('\n'))};
    CheckFacts(IdentifyToken(first, false, token, TheFingerprinter(), Masked, NoToken).facts,
               3 * ClaimSet::kItemsMax + 32);
  } else if (kind == "d") {
    const std::string proof = Base64Url(first) + "." + Base64Url(rest) + ".c2ln";
    const std::string binding = BindingByProof(proof, "token");
    Check(binding.empty() || binding.size() == 5 + 43, "a thumbprint or nothing");
    BindingByProof(rest, first);
  } else {
    ReadJwtOf(first, rest);
  }
  return 0;
}
