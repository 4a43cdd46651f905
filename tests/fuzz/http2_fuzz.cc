// Any HTTP/2 frames through ExchangeReader: every exchange ends exactly once, memory stays bounded,
// and no byte outside of a piece is read.
//
// The input is a row of records: a byte that says what it is, a byte with its size, and so many
// bytes, or those that are left. The low three bits:
//   0 1  a frame of the client, of the server     2 3  likewise, its first piece
//   4 5  its last piece; with bit 3 a middle one  6    a gap of the reason in the first byte
//   0 to 3 with bit 3: a piece of a body, of the client or the server; the first byte has its
//        stream and, in bits 5 and 6, whether it is the first, the last
//   7    by the first byte: seal, sweep, close, forget a direction's sequence, another connection
// and further bits of a piece: 0x10 it is late, 0x20 it is cut, 0x40 one before it is missing, 0x80
// the process is the server.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/http/exchange_reader.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxFields = 600;
constexpr size_t kMaxPending = 8;

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
    Check(request.fields.size() <= kMaxFields, "fields are bounded");
    Check(request.unknown_fields <= request.fields.size(), "an unknown field is a field");
    for (std::string_view text : {request.method, request.target, request.scheme}) Touch(text);
    uint32_t unknown = 0;
    for (const HeaderField& field : request.fields) {
      unknown += field.name.empty() ? 1 : 0;
      Touch(field.name);
      Touch(field.value);
    }
    Check(unknown == request.unknown_fields + (request.cut ? 1 : 0), "unknown fields are counted");
  }
  void OnAnswer(const Answer& answer) override {
    Check(open_.erase(answer.exchange) == 1, "one answer ends one open exchange");
    Check(answer.peer != nullptr, "an answer has a peer");
    const bool is_final = answer.status >= 200 && answer.status <= 999;
    Check(answer.kind == AnswerKind::kAnswered ? is_final : answer.status == 0,
          "a status is final, and only where there is an answer");
    Check(answer.grpc_status.value_or(0) >= 0 && answer.grpc_status.value_or(0) <= 16,
          "a gRPC status is one");
    for (const HeaderField& field : answer.fields) {
      Touch(field.name);
      Touch(field.value);
    }
  }
  void OnBody(const Body& body) override {
    Check(body.bytes.size() <= TW_BODY_MAX, "a body is bounded");
    Check(body.exchange != 0 && body.exchange <= last_, "a body is a known exchange's");
    Check(bodies_.insert({body.exchange, body.answer}).second, "there is one of each");
    Touch(body.bytes);
  }
  size_t Open() const { return open_.size(); }

 private:
  // Reads every byte, for the sanitizer.
  void Touch(std::string_view text) { sum_ = std::accumulate(text.begin(), text.end(), sum_); }

  std::set<uint64_t> open_;
  std::set<std::pair<uint64_t, bool>> bodies_;
  uint64_t last_ = 0;
  volatile int sum_ = 0;
};

class Interpreter {
 public:
  explicit Interpreter(ExchangeReader* reader) : reader_(reader) {}

  void Run(std::string_view input) {
    while (input.size() >= 2) {
      const auto op = static_cast<uint8_t>(input[0]);
      const size_t size = static_cast<uint8_t>(input[1]);
      const std::string_view bytes = input.substr(2, size);
      input.remove_prefix(2 + bytes.size());
      const uint8_t first = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
      switch (op & 7) {
        case 6:
          Gap(first);
          break;
        case 7:
          Other(first);
          break;
        default:
          Piece(op, bytes);
      }
    }
  }

 private:
  void Piece(uint8_t op, std::string_view text) {
    // A block of exactly the piece's size, gone after the call.
    const std::vector<char> bytes(text.begin(), text.end());
    const bool by_server = (op & 1) != 0;
    const bool inbound = (op & 0x80) != 0;
    DataSegment data{};
    data.meta.h.mono_ns = now_ += 1000;
    data.meta.connection = connection_;
    data.meta.process = 1;
    data.meta.direction = by_server == inbound ? TW_SENT : TW_RECEIVED;
    data.meta.layer = TW_LAYER_TLS;
    uint32_t& sequence = sequences_[connection_ % sequences_.size()][data.meta.direction];
    if ((op & 0x40) != 0) ++sequence;
    data.meta.sequence = sequence++;
    data.meta.flags = TW_HTTP2;
    if (by_server) data.meta.flags |= TW_RESPONSE;
    if (inbound) data.meta.flags |= TW_INBOUND;
    if ((op & 0x10) != 0) data.meta.flags |= TW_LATE;
    if ((op & 0x20) != 0) data.meta.flags |= TW_CUT;
    const int kind = op & 6;
    if (kind == 0 || kind == 2) data.meta.flags |= TW_BLOCK_START;
    if (kind == 0 || (kind == 4 && (op & 8) == 0)) data.meta.flags |= TW_BLOCK_END;
    data.bytes = {bytes.data(), bytes.size()};
    if (kind < 4 && (op & 8) != 0) {
      const uint8_t first = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
      data.meta.message = first & 31;
      data.meta.flags &= ~(TW_BLOCK_START | TW_BLOCK_END);
      data.meta.flags |=
          TW_BODY | (first & 32 ? TW_BLOCK_START : 0) | (first & 64 ? TW_BLOCK_END : 0);
    }
    reader_->OnSegment(data);
  }

  void Gap(uint8_t byte) {
    tw_gap gap{};
    gap.connection = connection_;
    gap.reason = byte % 16;
    gap.direction = byte / 16 % 3;
    reader_->OnSegment(gap);
  }

  void Other(uint8_t byte) {
    switch (byte % 6) {
      case 0:
        reader_->Seal();
        break;
      case 1:
        now_ += uint64_t{1'000'000'000} * byte;
        reader_->Sweep(now_);
        break;
      case 2:
      case 3: {
        tw_close close{};
        close.connection = connection_;
        close.is_final = byte % 6 == 2 ? 1 : 0;
        reader_->OnSegment(close);
        break;
      }
      case 4:
        sequences_[connection_ % sequences_.size()][byte / 6 % 2] -= 3;
        break;
      default:
        connection_ = byte / 6 % 5;
    }
  }

  ExchangeReader* const reader_;
  std::array<std::array<uint32_t, 2>, 5> sequences_{};
  uint64_t connection_ = 0;
  uint64_t now_ = 1000;
};

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT(google-build-using-namespace)
  CheckingSink sink;
  ExchangeReader reader(&sink, {.connections = 4,
                                .pending = kMaxPending,
                                .streams_per_connection = 3,
                                .hpack_bytes = 65536,
                                .block_bytes = 2048,
                                .assembly_bytes = 4096});
  Interpreter(&reader).Run({reinterpret_cast<const char*>(data), size});
  Check(sink.Open() <= kMaxPending, "exchanges are bounded");
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
