// Any request through UseBuilder: nothing of a secret that was found is in the strings of its uses,
// no 12 bytes in a row as they are, percent-encoded or in base64 at any of the three alignments.
//
// The input is that of hidden_secret.h, with two more flags: u no answer, d discarded.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "agent/common/clock.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/paths/path.h"
#include "agent/token/use_builder.h"
#include "tests/fuzz/hidden_secret.h"

namespace tokenwatch {
namespace {

class CheckingSink : public UseSink {
 public:
  explicit CheckingSink(const Extraction* found) : found_(found) {}

  // Uses of requests that `found` is not of.
  void Ignore(bool ignore) { ignore_ = ignore; }

  void OnUse(const TokenUse& use) override {
    if (ignore_) return;
    Check(uses < found_->credentials.size(), "one use for a credential");
    Check(found_->credentials[uses].unresolved == use.credential->unresolved,
          "what was cut is unresolved");
    Check(use.credential->tokens.empty() == use.credential->unresolved, "a token or none");
    ++uses;
    const struct {
      const std::string& text;
      size_t bound;
    } shown[] = {{use.request->method, 32},      {use.request->host, kHostMax},
                 {use.request->path, kPathMax},  {use.request->query, kQueryMax},
                 {use.request->user_agent, 256}, {use.request_id, 128},
                 {use.credential->carrier, 64}};
    for (const auto& [text, bound] : shown) {
      Check(text.size() <= bound, "strings are bounded");
      Check(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }),
            "strings are printable");
    }
    for (const Credential& credential : found_->credentials) {
      // The id of a key that signed the request is shown, and is no secret.
      if (credential.secret_is_public) continue;
      // The carrier's words are the table's.
      for (size_t i = 0; i + 1 < std::size(shown); ++i) {
        CheckHidden(credential.secret, shown[i].text);
      }
    }
  }

  size_t uses = 0;

 private:
  const Extraction* found_;
  bool ignore_ = false;
};

const FormatTable* TheFormats() {
  static const auto made = *FormatTable::Create();
  return made.get();
}

TokenReader* TheTokens() {
  static const auto fingerprinter = [] {
    std::vector<FleetKey> keys;
    keys.push_back(*FleetKey::FromHex(std::string(2 * FleetKey::kBytes, '5')));
    return *Fingerprinter::Create(keys);
  }();
  static const auto made = *TokenReader::Create(fingerprinter.get(), TheFormats(), Privacy(), 64);
  return made.get();
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT: the whole of this function is ours
  const RequestText request({reinterpret_cast<const char*>(data), size});
  const RequestHead& head = request.head();
  const FormatShapes shapes(TheFormats());
  const Extraction found = FindCredentials(head, {.shapes = &shapes});
  CheckingSink sink(&found);
  const FakeClock clock(absl::UnixEpoch());
  UseBuilder builder(TheTokens(), {}, &clock, &sink);
  builder.SetPatience(false);  // no bodies come
  const Peer peer;
  Answer answer;
  answer.peer = &peer;
  RequestHead again = head;
  const auto ask = [&] {
    ++again.exchange;
    builder.OnRequest(again);
    Check(sink.uses == 0, "uses wait for their answer");
    answer.exchange = again.exchange;
    answer.kind = request.Has('d')   ? AnswerKind::kDiscarded
                  : request.Has('u') ? AnswerKind::kUnanswered
                                     : AnswerKind::kAnswered;
    builder.OnAnswer(answer);
    Check(sink.uses == (request.Has('d') ? 0 : found.credentials.size()),
          "every credential makes a use");
    sink.uses = 0;
  };
  // What is remembered of requests that ask for the same with another token may hold a part of this
  // one's; then what is remembered with this one.
  std::vector<HeaderField> fields;
  for (const HeaderField& field : head.fields) {
    const FormatShapes none(TheFormats());
    RequestHead alone;
    alone.fields = absl::MakeConstSpan(&field, 1);
    if (FindCredentials(alone, {.shapes = &none}).credentials.empty()) fields.push_back(field);
  }
  fields.push_back({"x-api-key", "another-token-0123456789"});
  RequestHead other = head;
  other.fields = fields;
  sink.Ignore(true);
  for (int i = 0; i < 3; ++i) {
    other.exchange = ++again.exchange;
    builder.OnRequest(other);
    answer.exchange = other.exchange;
    answer.kind = AnswerKind::kUnanswered;
    builder.OnAnswer(answer);
  }
  sink.Ignore(false);
  for (int i = 0; i < 3; ++i) ask();
  return 0;
}
