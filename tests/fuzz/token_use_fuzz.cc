// Any request through UseBuilder: nothing of a secret that was found is in the strings of its uses,
// no 12 bytes in a row as they are, percent-encoded or in base64 at any of the three alignments.
//
// The input is text, so that seeds can be read and mutations stay meaningful: a first line of flags
// (letters: t TLS, i inbound, c cut, u no answer, d discarded), then "METHOD target", then fields
// as "Name: value". In it \x01 stands for a made-up secret, \x02 for the base64 of "user:" and the
// secret, \x03 for the secret percent-encoded, \x04 for its first 13 bytes, \x05 for a line end.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "agent/common/clock.h"
#include "agent/token/extract.h"
#include "agent/token/path.h"
#include "agent/token/use_builder.h"

namespace tokenwatch {
namespace {

constexpr size_t kWindow = 12;
constexpr std::string_view kSecret = "q7Rz-0b_9Xw+K/tLm3VhY5uJ8sDf";

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

std::string PercentDecode(std::string_view text) {
  const auto value = [](char c) {
    const size_t at = std::string_view("0123456789abcdef0123456789ABCDEF").find(c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at % 16);
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && value(text[i + 1]) >= 0 &&
        value(text[i + 2]) >= 0) {
      out += static_cast<char>(value(text[i + 1]) * 16 + value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// What base64 of anything that holds `window` behind `before` bytes holds, whatever is around it.
std::string Base64Core(std::string_view window, size_t before) {
  std::string padded(before, 'x');
  padded.append(window).append("xx");
  const std::string encoded = absl::Base64Escape(padded);
  const size_t begin = (before * 8 + 5) / 6;
  const size_t end = (before + window.size()) * 8 / 6;
  return encoded.substr(begin, end - begin);
}

std::string WebSafe(std::string text) {
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

void CheckHidden(std::string_view secret, const std::string& text) {
  // A long secret's ends stand for all of it.
  constexpr size_t kEnd = 24;
  const std::string decoded = PercentDecode(text);
  const std::string plain_base64 = WebSafe(text);
  const std::string decoded_base64 = WebSafe(decoded);
  for (size_t at = 0; at + kWindow <= secret.size(); ++at) {
    if (at == kEnd && secret.size() > 2 * kEnd + kWindow) at = secret.size() - kEnd - kWindow;
    const std::string window(secret.substr(at, kWindow));
    Check(text.find(window) == std::string::npos, "no part of a secret is shown");
    Check(decoded.find(window) == std::string::npos, "none percent-encoded");
    for (size_t before = 0; before < 3; ++before) {
      const std::string core = WebSafe(Base64Core(window, before));
      Check(plain_base64.find(core) == std::string::npos, "none in base64");
      Check(decoded_base64.find(core) == std::string::npos, "none in percent-encoded base64");
    }
  }
}

class CheckingSink : public UseSink {
 public:
  explicit CheckingSink(const Extraction* found) : found_(found) {}

  void OnUse(TokenUse use) override {
    Check(uses < found_->credentials.size(), "one use for a credential");
    Check(found_->credentials[uses].unresolved == use.unresolved, "what was cut is unresolved");
    Check(use.tokens.empty() == use.unresolved, "a token or none");
    ++uses;
    const struct {
      const std::string& text;
      size_t bound;
    } shown[] = {{use.method, 32},       {use.host, kHostMax},  {use.path, kPathMax},
                 {use.query, kQueryMax}, {use.user_agent, 256}, {use.request_id, 128},
                 {use.carrier, 64}};
    for (const auto& [text, bound] : shown) {
      Check(text.size() <= bound, "strings are bounded");
      Check(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }),
            "strings are printable");
    }
    for (const Credential& credential : found_->credentials) {
      // The carrier's words are the table's.
      for (size_t i = 0; i + 1 < std::size(shown); ++i) {
        CheckHidden(credential.secret, shown[i].text);
      }
    }
  }

  size_t uses = 0;

 private:
  const Extraction* found_;
};

std::string Expand(std::string_view input) {
  std::string text;
  for (const char c : input) {
    switch (c) {
      case 1:
        text += kSecret;
        break;
      case 2:
        text += absl::Base64Escape("user:" + std::string(kSecret));
        break;
      case 3:
        text += PercentEncode(kSecret);
        break;
      case 4:
        text += kSecret.substr(0, 13);
        break;
      default:
        text += c;
    }
  }
  return text;
}

std::string_view TakeLine(std::string_view* text) {
  const std::string_view line = text->substr(0, text->find('\n'));
  text->remove_prefix(std::min(line.size() + 1, text->size()));
  return line;
}

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
  std::string text = Expand({reinterpret_cast<const char*>(data), size});
  std::string_view rest = text;
  const std::string_view flags = TakeLine(&rest);
  const auto flag = [flags](char c) { return flags.find(c) != std::string_view::npos; };
  RequestHead head;
  head.exchange = 1;
  head.tls = flag('t');
  head.inbound = flag('i');
  head.cut = flag('c');
  const std::string_view start = TakeLine(&rest);
  head.method = start.substr(0, start.find(' '));
  head.target = start.substr(std::min(head.method.size() + 1, start.size()));
  std::vector<HeaderField> fields;
  while (!rest.empty()) {
    const std::string_view line = TakeLine(&rest);
    const size_t colon = std::min(line.find(": "), line.size());
    fields.push_back({line.substr(0, colon), line.substr(std::min(colon + 2, line.size()))});
  }
  std::replace(text.begin(), text.end(), '\x05', '\n');
  head.fields = fields;

  const FormatShapes shapes(TheFormats());
  const Extraction found = FindCredentials(head, {.shapes = &shapes});
  CheckingSink sink(&found);
  const FakeClock clock(absl::UnixEpoch());
  UseBuilder builder(TheTokens(), {}, &clock, &sink);
  builder.OnRequest(head);
  Check(sink.uses == 0, "uses wait for their answer");
  const Peer peer;
  Answer answer;
  answer.exchange = 1;
  answer.kind = flag('d')   ? AnswerKind::kDiscarded
                : flag('u') ? AnswerKind::kUnanswered
                            : AnswerKind::kAnswered;
  answer.peer = &peer;
  builder.OnAnswer(answer);
  Check(sink.uses == (flag('d') ? 0 : found.credentials.size()), "every credential makes a use");
  return 0;
}
