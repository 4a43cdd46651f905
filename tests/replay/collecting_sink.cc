#include "tests/replay/collecting_sink.h"

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
