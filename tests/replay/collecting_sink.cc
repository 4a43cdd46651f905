#include "tests/replay/collecting_sink.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

Fields Copy(absl::Span<const HeaderField> fields) {
  Fields copy;
  for (const HeaderField& field : fields) copy.emplace_back(field.name, field.value);
  return copy;
}

}  // namespace

void CollectingSink::OnRequest(const RequestHead& request) {
  if (!index_.emplace(request.exchange, exchanges_.size()).second) {
    complaints_.push_back(absl::StrCat("exchange ", request.exchange, " began twice"));
    return;
  }
  CollectedExchange& exchange = exchanges_.emplace_back();
  exchange.head = request;
  exchange.method = request.method;
  exchange.target = request.target;
  exchange.fields = Copy(request.fields);
}

void CollectingSink::OnAnswer(const Answer& answer) {
  const auto found = index_.find(answer.exchange);
  if (found == index_.end() || exchanges_[found->second].kind.has_value()) {
    complaints_.push_back(absl::StrCat("answer to exchange ", answer.exchange, " out of place"));
    return;
  }
  CollectedExchange& exchange = exchanges_[found->second];
  exchange.kind = answer.kind;
  exchange.status = answer.status;
  exchange.grpc_status = answer.grpc_status;
  exchange.latency_ns = answer.latency_ns;
  exchange.peer = *answer.peer;
  exchange.answer_fields = Copy(answer.fields);
}

void CollectingSink::OnBody(const Body& body) {
  const auto found = index_.find(body.exchange);
  const std::string whose = body.answer ? "answer: " : "request: ";
  if (found != index_.end() && (!body.answer || exchanges_[found->second].kind.has_value())) {
    std::vector<std::string>& bodies = exchanges_[found->second].bodies;
    const bool again = std::any_of(bodies.begin(), bodies.end(), [&](const std::string& known) {
      return known.starts_with(whose);
    });
    bodies.push_back(absl::StrCat(whose, std::string(body.bytes), body.complete ? "" : "..."));
    if (!again) return;
  }
  complaints_.push_back(absl::StrCat("body of exchange ", body.exchange, " out of place"));
}

std::optional<std::string> FieldOf(const Fields& fields, std::string_view name) {
  for (const auto& [field_name, value] : fields) {
    if (field_name == name) return value;
  }
  return std::nullopt;
}

std::string Describe(const CollectedExchange& exchange) {
  const std::string request = exchange.method + " " + exchange.target + " -> ";
  if (!exchange.kind.has_value()) return request + "open";
  switch (*exchange.kind) {
    case AnswerKind::kAnswered:
      return exchange.grpc_status.has_value()
                 ? absl::StrCat(request, exchange.status, " grpc ", *exchange.grpc_status)
                 : absl::StrCat(request, exchange.status);
    case AnswerKind::kUnanswered:
      return request + "unanswered";
    case AnswerKind::kDiscarded:
      return request + "discarded";
  }
  return request + "?";
}

}  // namespace tokenwatch
