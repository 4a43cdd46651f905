// Keeps every exchange that it is told, for tests to look at.
#ifndef TOKENWATCH_TESTS_REPLAY_COLLECTING_SINK_H_
#define TOKENWATCH_TESTS_REPLAY_COLLECTING_SINK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/http/exchange.h"

namespace tokenwatch {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct CollectedExchange {
  RequestHead head;  // its views are dead; the copies below are not
  std::string method;
  std::string target;
  Fields fields;

  std::optional<AnswerKind> kind;  // nothing while no answer came
  int status = 0;
  std::optional<int> grpc_status;
  uint64_t latency_ns = 0;
  Peer peer;
  Fields answer_fields;
  std::vector<std::string> bodies;  // "request: TEXT" or "answer: TEXT", "..." behind what is cut
};

class CollectingSink : public ExchangeSink {
 public:
  void OnRequest(const RequestHead& request) override;
  void OnAnswer(const Answer& answer) override;
  void OnBody(const Body& body) override;

  // In the order of their requests.
  const std::vector<CollectedExchange>& Exchanges() const { return exchanges_; }
  // Broken promises of ExchangeSink: an exchange id twice, an answer or a body too many or to
  // nothing.
  const std::vector<std::string>& Complaints() const { return complaints_; }

 private:
  std::vector<CollectedExchange> exchanges_;
  std::map<uint64_t, size_t> index_;
  std::vector<std::string> complaints_;
};

// The value of the first field of that name, compared as it is.
std::optional<std::string> FieldOf(const Fields& fields, std::string_view name);

// "METHOD target -> 200", "... -> 200 grpc 0", "... -> unanswered", "... -> discarded" or
// "... -> open".
std::string Describe(const CollectedExchange& exchange);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_REPLAY_COLLECTING_SINK_H_
