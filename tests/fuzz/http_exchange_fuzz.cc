// Any segments through ExchangeReader: every exchange ends exactly once, and no byte outside of a
// piece is read.
//
// The input is text with commands, so that seeds can be read and mutations stay meaningful. Text is
// gathered; a back-tick and a letter use it or change what follows:
//   q p    a whole request / answer block        s c e  start, middle, end piece of a request
//   S C E  likewise of an answer                 k      the next piece is flagged TW_CUT
//   l i    late, inbound: on or off              n N    answers are to the next request / to none
//   m      the next request has the last one's ordinal
//   j J    lose B pieces sent / received         r      the last sequence once more
//   o B    connection B                          w B    process B
//   a B    peer of certainty B                   g B    gap of reason B
//   x X    close, finally / a reference          Q      the process exits
//   t B    B squared tenths of a second pass     `      a back-tick
// B is the next byte. What is left at the end is one whole request.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/http/exchange_reader.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kTenth = 100'000'000;

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

class CheckingSink : public ExchangeSink {
 public:
  void OnRequest(const RequestHead& request) override {
    Check(request.exchange > last_, "exchange ids ascend");
    last_ = request.exchange;
    open_.insert(request.exchange);
    Check(!request.method.empty() && !request.target.empty(), "a request has method and target");
    Touch(request.method);
    Touch(request.target);
    for (size_t i = 0; i < request.fields.size(); ++i) {
      const bool may_be_cut = request.cut && i + 1 == request.fields.size();
      Check(may_be_cut || !request.fields[i].name.empty(), "only a cut field has no name");
      Touch(request.fields[i].name);
      Touch(request.fields[i].value);
    }
  }
  void OnAnswer(const Answer& answer) override {
    Check(open_.erase(answer.exchange) == 1, "one answer ends one open exchange");
    Check(answer.peer != nullptr, "an answer has a peer");
    const bool is_final = answer.status == 101 || (answer.status >= 200 && answer.status <= 999);
    Check(answer.kind == AnswerKind::kAnswered ? is_final : answer.status == 0,
          "a status is final, and only where there is an answer");
    for (const HeaderField& field : answer.fields) {
      Check(!field.name.empty(), "a field of an answer has a name");
      Touch(field.name);
      Touch(field.value);
    }
  }
  size_t Open() const { return open_.size(); }

 private:
  // Reads every byte, for the sanitizer.
  void Touch(std::string_view text) { sum_ = std::accumulate(text.begin(), text.end(), sum_); }

  std::set<uint64_t> open_;
  uint64_t last_ = 0;
  volatile int sum_ = 0;
};

struct Channel {
  std::array<uint32_t, 2> sequence{};
  uint32_t requests = 0;
  uint32_t answers = 0;
};

class Interpreter {
 public:
  explicit Interpreter(ExchangeReader* reader) : reader_(reader) {}

  void Run(std::string_view input) {
    for (size_t at = 0; at < input.size(); ++at) {
      if (input[at] != '`' || at + 1 == input.size()) {
        text_ += input[at];
        continue;
      }
      const char command = input[++at];
      if (std::string_view("jJowagt").find(command) == std::string_view::npos) {
        Do(command, 0);
      } else if (at + 1 < input.size()) {
        Do(command, static_cast<uint8_t>(input[++at]));
      }
    }
    Request(TW_BLOCK_START | TW_BLOCK_END);
  }

 private:
  void Do(char command, uint8_t byte) {
    switch (command) {
      case '`':
        text_ += '`';
        break;
      case 'q':
        Request(TW_BLOCK_START | TW_BLOCK_END);
        break;
      case 's':
        Request(TW_BLOCK_START);
        break;
      case 'c':
        Request(0);
        break;
      case 'e':
        Request(TW_BLOCK_END);
        break;
      case 'p':
        Answer(TW_BLOCK_START | TW_BLOCK_END);
        break;
      case 'S':
        Answer(TW_BLOCK_START);
        break;
      case 'C':
        Answer(0);
        break;
      case 'E':
        Answer(TW_BLOCK_END);
        break;
      case 'k':
        once_ = TW_CUT;
        break;
      case 'l':
        always_ ^= TW_LATE;
        break;
      case 'i':
        always_ ^= TW_INBOUND;
        break;
      case 'n':
        ++Current().answers;
        break;
      case 'N':
        Current().answers = TW_NO_MESSAGE;
        break;
      case 'm':
        --Current().requests;
        break;
      case 'j':
        Current().sequence[TW_SENT] += byte;
        break;
      case 'J':
        Current().sequence[TW_RECEIVED] += byte;
        break;
      case 'r':
        --Current().sequence[TW_SENT];
        --Current().sequence[TW_RECEIVED];
        break;
      case 'o':
        connection_ = byte;
        break;
      case 'w':
        process_ = byte;
        break;
      default:
        Tell(command, byte);
    }
  }

  void Tell(char command, uint8_t byte) {
    switch (command) {
      case 'a': {
        tw_peer peer{};
        peer.connection = connection_;
        peer.family = byte % 3 == 0 ? 6 : 4;
        peer.certainty = byte % 4;
        peer.peer[0] = byte;
        reader_->OnSegment(peer);
        break;
      }
      case 'g': {
        tw_gap gap{};
        gap.connection = connection_;
        gap.reason = byte % 16;
        reader_->OnSegment(gap);
        break;
      }
      case 'x':
      case 'X': {
        tw_close close{};
        close.connection = connection_;
        close.is_final = command == 'x' ? 1 : 0;
        reader_->OnSegment(close);
        break;
      }
      case 'Q': {
        tw_exit exit{};
        exit.process = process_;
        reader_->OnSegment(exit);
        break;
      }
      case 't':
        now_ += kTenth * byte * byte;
        reader_->Sweep(now_);
        break;
      default:
        break;
    }
  }

  void Request(uint8_t flags) {
    Channel& channel = Current();
    if ((flags & TW_BLOCK_START) != 0) ++channel.requests;
    Piece(Inbound() ? TW_RECEIVED : TW_SENT, flags, channel.requests);
  }
  void Answer(uint8_t flags) {
    Piece(Inbound() ? TW_SENT : TW_RECEIVED, flags | TW_RESPONSE, Current().answers);
  }
  bool Inbound() const { return (always_ & TW_INBOUND) != 0; }
  Channel& Current() { return channels_[connection_ % channels_.size()]; }

  void Piece(uint8_t direction, uint8_t flags, uint32_t message) {
    // A block of exactly the piece's size, gone after the call.
    const std::vector<char> bytes(text_.begin(), text_.end());
    text_.clear();
    DataSegment data{};
    data.meta.h.mono_ns = now_ += 1000;
    data.meta.connection = connection_ % channels_.size();
    data.meta.process = process_;
    data.meta.sequence = Current().sequence[direction]++;
    data.meta.direction = direction;
    data.meta.layer = TW_LAYER_TLS;
    data.meta.flags = flags | always_ | once_;
    data.meta.message = message;
    data.bytes = {bytes.data(), bytes.size()};
    once_ = 0;
    reader_->OnSegment(data);
  }

  ExchangeReader* const reader_;
  std::array<Channel, 6> channels_;
  std::string text_;
  uint64_t now_ = 1000;
  uint8_t connection_ = 0;
  uint8_t process_ = 0;
  uint8_t always_ = 0;
  uint8_t once_ = 0;
};

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT(google-build-using-namespace)
  CheckingSink sink;
  ExchangeReader reader(&sink, {.connections = 4,
                                .pending = 8,
                                .pending_per_connection = 3,
                                .block_bytes = 512,
                                .assembly_bytes = 1024,
                                .held_bytes = 256,
                                .exits = 2});
  Interpreter(&reader).Run({reinterpret_cast<const char*>(data), size});
  Check(sink.Open() <= 8, "exchanges are bounded");
  reader.Finish();
  Check(sink.Open() == 0, "every exchange has ended");
  Counters totals;
  reader.AddCounters(&totals);
  Check(totals.at("exchanges") == totals.at("exchanges_answered") +
                                      totals.at("exchanges_unanswered") +
                                      totals.at("exchanges_discarded"),
        "the counters add up");
  return 0;
}
