// One request and its answer, as agent/http hands them on.
//
// An exchange is delivered in two steps, so that the credential can be reduced and wiped as soon as
// the request's header block is complete, however long the answer takes.
#ifndef TOKENWATCH_AGENT_HTTP_EXCHANGE_H_
#define TOKENWATCH_AGENT_HTTP_EXCHANGE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

struct HeaderField {
  std::string_view name;   // as sent; compare without case
  std::string_view value;  // surrounding blanks removed
};

// A complete request header block. Views are valid during the call only; bytes are secret.
struct RequestHead {
  uint64_t exchange = 0;    // unique in this agent's run
  uint64_t connection = 0;  // of the segments
  uint64_t process = 0;     // of the call that sent (or, inbound, received) the first byte
  uint32_t pid = 0;
  uint64_t mono_ns = 0;  // entry of that call
  bool tls = false;      // read at the TLS library; else at the socket
  bool inbound = false;
  // Bytes are missing. The last field is then the one that they cut: its value is what came before
  // them, its name empty where that was cut too. Without fields, the target is what was cut. Every
  // other field is whole, wherever in the block it was.
  bool cut = false;
  int version_minor = 1;  // of HTTP/1
  std::string_view method;
  std::string_view target;  // as sent: origin, absolute, authority or asterisk form
  absl::Span<const HeaderField> fields;
};

enum class PeerCertainty { kUnknown, kInferred, kExact };

struct Peer {
  PeerCertainty certainty = PeerCertainty::kUnknown;
  std::string peer_address;  // textual; empty where unknown
  std::string local_address;
  uint16_t peer_port = 0;
  uint16_t local_port = 0;
};

enum class AnswerKind {
  kAnswered,
  kUnanswered,  // the connection ended, or its framing was lost, before an answer
  kDiscarded,   // the request proved not to be one (late sighting inside a body)
};

// How an exchange ended. Exactly one follows each RequestHead.
struct Answer {
  uint64_t exchange = 0;
  AnswerKind kind = AnswerKind::kUnanswered;
  int status = 0;                        // final status; 0 where unanswered
  uint64_t latency_ns = 0;               // from RequestHead::mono_ns to the answer's first byte
  const Peer* peer = nullptr;            // never null; valid during the call
  absl::Span<const HeaderField> fields;  // of the answer; valid during the call
};

// Receives exchanges. Called on the thread that drains the segments.
class ExchangeSink {
 public:
  virtual ~ExchangeSink() = default;
  virtual void OnRequest(const RequestHead& request) = 0;
  virtual void OnAnswer(const Answer& answer) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_EXCHANGE_H_
