// A whole exchange through UseBuilder, with bodies: nothing of a secret that was found in its head
// or its bodies is in any string or fact of its uses, nor in those of a later use of the tokens
// that its answer gave; facts are bounded.
//
// The input is in four parts, each ended by \x08: a request as hidden_secret.h has it, with flags
// 2 (HTTP/2), l (the body comes behind the answer), p and q (the request's and the answer's body
// lack their end); an answer, as a line with its status, then fields; the two bodies.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "agent/common/clock.h"
#include "agent/common/facts.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/lives/life_bodies.h"
#include "agent/token/paths/path.h"
#include "agent/token/request_text.h"
#include "agent/token/use_builder.h"
#include "tests/fuzz/hidden_secret.h"

namespace tokenwatch {
namespace {

std::string_view TakePart(std::string_view* input) {
  const std::string_view part = input->substr(0, input->find('\x08'));
  input->remove_prefix(std::min(part.size() + 1, input->size()));
  return part;
}

class CheckingSink : public UseSink {
 public:
  // Secrets of the exchange; whether the made-up one is in one of them.
  std::vector<std::string> secrets;
  bool has_made_up = false;
  size_t uses = 0;

  void OnUse(const TokenUse& use) override {
    ++uses;
    for (const std::string* text :
         {&use.request->method, &use.request->host, &use.request->path, &use.request->query,
          &use.request->user_agent, &use.request_id}) {
      for (const std::string& secret : secrets) CheckHidden(secret, *text);
    }
    Check(use.facts.size() <= fact::kPerUseMax, "facts are few");
    for (const TokenFact& fact : use.facts) {
      Check(!fact.value.empty() && fact.value.size() <= fact::kValueMax, "values are bounded");
      Check(std::all_of(fact.value.begin(), fact.value.end(),
                        [](char c) { return c >= 0x20 && c <= 0x7e; }),
            "values are printable");
      // Of other secrets a part may be public, such as the id of a key.
      if (has_made_up) CheckHidden(kSecret, fact.value);
    }
  }

  void Add(std::string_view secret) {
    has_made_up = has_made_up || secret.find(kSecret) != std::string_view::npos;
    secrets.emplace_back(secret);
  }
};

const FormatTable* TheFormats() {
  static const auto made = *FormatTable::Create();
  return made.get();
}

Fingerprinter* TheFingerprinter() {
  static const auto made = [] {
    std::vector<FleetKey> keys;
    keys.push_back(*FleetKey::FromHex(std::string(2 * FleetKey::kBytes, '5')));
    return *Fingerprinter::Create(keys);
  }();
  return made.get();
}

// What of the bodies is a secret, by the parts that UseBuilder reads them with.
void AddSecretsOfBodies(const RequestHead& head, const Body& asked, const Body& given, bool gives,
                        std::string_view asked_coding, std::string_view given_coding,
                        CheckingSink* sink, std::vector<std::string>* tokens) {
  if (FirstField(head.fields, "content-type").starts_with("application/grpc")) return;
  const std::vector<std::string_view> of_head(sink->secrets.begin(), sink->secrets.end());
  const Resource resource = DescribeResource(head, SecretFinder(of_head));
  const std::string_view target = head.target.substr(0, head.target.find('#'));
  const size_t question = std::min(target.find('?'), target.size());
  const LifeCallRow* const row =
      FindLifeCall(head.method, WithoutPort(resource.host), PathOfTarget(head.target),
                   target.substr(std::min(question + 1, target.size())));
  if (row == nullptr) return;
  const std::optional<AskedBody> of_request = ReadAskedBody(*row, asked_coding, asked);
  if (of_request.has_value()) {
    for (const AskedSecret& one : of_request->secrets) sink->Add(one.secret.view());
    if (!of_request->is_call) return;
  }
  if (!gives) return;
  const std::optional<GivenBody> of_answer =
      ReadGivenBody(*row, given_coding, given, absl::UnixEpoch(),
                    [](std::string_view /*person*/) { return std::string(); });
  if (!of_answer.has_value()) return;
  for (const GivenSecret& one : of_answer->secrets) {
    tokens->emplace_back(one.secret.view());
    sink->Add(one.secret.view());
  }
}

void Run(std::string_view input) {
  const RequestText request(TakePart(&input));
  RequestHead head = request.head();
  if (request.Has('2')) head.version_major = 2;

  const std::string answer_text = Expand(TakePart(&input));
  std::string_view rest = answer_text;
  Answer answer;
  const std::string_view status = TakeLine(&rest);
  if (!absl::SimpleAtoi(absl::string_view(status.data(), status.size()), &answer.status)) {
    answer.status = 200;
  }
  std::vector<HeaderField> fields;
  while (!rest.empty()) {
    const std::string_view line = TakeLine(&rest);
    const size_t colon = std::min(line.find(": "), line.size());
    fields.push_back({line.substr(0, colon), line.substr(std::min(colon + 2, line.size()))});
  }
  const std::string asked_text = Expand(TakePart(&input)), given_text = Expand(TakePart(&input));

  CheckingSink sink;
  const FormatShapes shapes(TheFormats());
  const Extraction found = FindCredentials(head, {.shapes = &shapes});
  for (const Credential& credential : found.credentials) {
    if (!credential.secret_is_public) sink.Add(credential.secret);
  }
  Body asked{.exchange = head.exchange, .complete = !request.Has('p'), .bytes = asked_text};
  Body given{.exchange = head.exchange,
             .answer = true,
             .complete = !request.Has('q'),
             .bytes = given_text};
  std::vector<std::string> tokens;
  const bool gives = answer.status / 100 == 2 && answer.status != 204 &&
                     FirstField(fields, "content-length") != "0";
  AddSecretsOfBodies(head, asked, given, gives,
                     FirstField(head.fields, "content-encoding").substr(0, 32),
                     FirstField(fields, "content-encoding").substr(0, 32), &sink, &tokens);

  const auto reader = *TokenReader::Create(TheFingerprinter(), TheFormats(), Privacy(), 64);
  FakeClock clock(absl::FromUnixSeconds(1'700'000'000));
  UseBuilder builder(reader.get(), {}, &clock, &sink);
  const Peer peer;
  answer.exchange = head.exchange;
  answer.kind = AnswerKind::kAnswered;
  answer.peer = &peer;
  answer.fields = fields;
  builder.OnRequest(head);
  if (!request.Has('l')) builder.OnBody(asked);
  builder.OnAnswer(answer);
  if (request.Has('l')) builder.OnBody(asked);
  builder.OnBody(given);
  clock.Advance(2 * UseBuilder::kBodyPatience);
  builder.Sweep();
  Check(builder.waiting() == 0, "nothing waits for ever");

  // What the new tokens tell with their first use.
  const std::string host(FirstField(head.fields, "host"));
  for (const std::string& token : tokens) {
    sink.secrets = {token};
    const std::string bearer = "Bearer " + token;
    const HeaderField later[] = {{"host", host}, {"authorization", bearer}};
    RequestHead use;
    use.exchange = ++answer.exchange;
    use.method = "GET";
    use.target = "/";
    use.tls = true;
    use.fields = later;
    builder.OnRequest(use);
    answer.fields = {};
    builder.OnAnswer(answer);
  }
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tokenwatch::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
