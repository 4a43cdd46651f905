// One request and its answer, as agent/http hands them on.
//
// An exchange is delivered in two steps, so that the credential can be reduced and wiped as soon as
// the request's header block is complete, however long the answer takes.
#ifndef TOKENWATCH_AGENT_HTTP_EXCHANGE_H_
#define TOKENWATCH_AGENT_HTTP_EXCHANGE_H_

#include <cstdint>
#include <optional>
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
  uint32_t tag = 0;         // likewise
  uint32_t message = 0;     // ordinal on its connection, HTTP/2: stream
  uint64_t process = 0;     // of the call that sent (or, inbound, received) the first byte
  uint32_t pid = 0;
  uint64_t mono_ns = 0;  // entry of that call
  bool tls = false;      // read at the TLS library; else at the socket
  bool inbound = false;
  // Bytes are missing. The last field is then the one that they cut: its value is what came before
  // them, its name empty where that was cut too. Without fields, the target is what was cut. Every
  // other field is whole, wherever in the block it was.
  bool cut = false;
  int version_major = 1;
  int version_minor = 1;
  // HTTP/2: fields whose name an older entry of the compression table holds that was not seen. Each
  // has an empty name in `fields`, and an empty value where that was not seen either.
  uint32_t unknown_fields = 0;
  std::string_view method;  // empty where it is unknown
  // As sent: origin, absolute, authority or asterisk form. HTTP/2: ":path", of CONNECT without one
  // ":authority"; empty where it is unknown.
  std::string_view target;
  std::string_view scheme;  // HTTP/2: ":scheme"; else empty
  // HTTP/2: the regular fields, behind ":authority" named "host".
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

// UNKNOWN, which a client reports of a call that ends without a status.
inline constexpr int kGrpcUnknown = 2;

// How an exchange ended. Exactly one follows each RequestHead.
struct Answer {
  uint64_t exchange = 0;
  AnswerKind kind = AnswerKind::kUnanswered;
  int status = 0;  // final status; 0 where unanswered
  // Of a gRPC call: 0 to 16; kGrpcUnknown where the call broke without one. Nothing where the
  // answer is no gRPC, or its end was not seen.
  std::optional<int> grpc_status;
  uint64_t latency_ns = 0;     // from RequestHead::mono_ns to the answer's first byte
  const Peer* peer = nullptr;  // never null; valid during the call
  // Valid during the call. Of a gRPC call those of its end; empty where an HTTP/2 answer came
  // before its request.
  absl::Span<const HeaderField> fields;
};

// A body of an exchange whose bodies the kernel side was asked for (agent/capture/body_targets.h):
// of a call that obtains, renews or ends tokens. As sent: no chunk sizes, but any content coding.
// Valid during the call; secret.
struct Body {
  uint64_t exchange = 0;
  bool answer = false;    // the answer's, else the request's
  bool complete = false;  // else bytes are missing at its end or before, or it was cut
  std::string_view bytes;
};

// Receives exchanges. Called on the thread that drains the segments.
class ExchangeSink {
 public:
  virtual ~ExchangeSink() = default;
  virtual void OnRequest(const RequestHead& request) = 0;
  virtual void OnAnswer(const Answer& answer) = 0;
  // A request's body comes between the two, or after OnAnswer where the answer was quicker; an
  // answer's body after OnAnswer, over HTTP/1 before the next exchange of its connection ends; but
  // that of a gRPC call before it. Neither is sure to come. At most one of each.
  virtual void OnBody(const Body& /*body*/) {}
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_EXCHANGE_H_
