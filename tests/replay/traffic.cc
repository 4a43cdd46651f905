#include "tests/replay/traffic.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "tests/replay/conversation.h"

namespace tokenwatch {

Traffic::Traffic(uint64_t seed, const TrafficOptions& options) : random_(seed) {
  for (int i = 1; i <= options.connections; ++i) AddConnection(i, options);
  std::vector<size_t> next(streams_.size());
  size_t left = 0;
  for (const auto& stream : streams_) left += stream.size();
  while (left > 0) {
    const size_t stream = Below(streams_.size());
    // A few at a time, as the connections of one busy thread come.
    for (uint64_t n = 1 + Below(4); n > 0 && next[stream] < streams_[stream].size(); --n, --left) {
      records_.push_back(streams_[stream][next[stream]++]);
    }
  }
}

std::vector<size_t> Traffic::Splits(size_t size, const TrafficOptions& options) {
  std::vector<size_t> splits;
  if (options.every_byte) {
    splits.resize(size - 1);
    std::iota(splits.begin(), splits.end(), 1);
  } else {
    splits.resize(Below(options.max_pieces));
    for (size_t& split : splits) split = Below(size + 1);
    std::sort(splits.begin(), splits.end());
  }
  return splits;
}

void Traffic::AddConnection(uint64_t connection, const TrafficOptions& options) {
  std::vector<Record>& records = streams_.emplace_back();
  Conversation client(connection, &records);
  client.inbound = Below(4) == 0;
  struct Awaited {
    uint32_t message;
    Truth* truth;
    uint64_t sent;
  };
  std::vector<Awaited> awaited;
  const auto answer = [&] {
    const Awaited request = awaited.front();
    awaited.erase(awaited.begin());
    if (Below(5) == 0) {
      const std::string interim = "HTTP/1.1 100 Continue\r\nX-Reply: no\r\n\r\n";
      client.Response(request.message, interim, {.splits = Splits(interim.size(), options)});
    }
    Truth& truth = *request.truth;
    truth.reply = truth.target;
    truth.status = static_cast<int>(200 + Below(399));
    client.now = next_time_ += 1 + Below(1000);
    truth.latency_ns = client.now - request.sent;
    client.tick = 0;
    const std::string block =
        absl::StrCat("HTTP/1.1 ", truth.status, " Some Reason\r\nServer: s\r\n",
                     "X-Reply: ", truth.reply, "\r\nX-More: 1\r\n\r\n");
    client.Response(request.message, block, {.splits = Splits(block.size(), options)});
  };
  for (uint64_t i = 0, requests = 1 + Below(options.requests); i < requests; ++i) {
    client.now = next_time_ += 1 + Below(1000);
    client.tick = 0;
    Truth& truth = truths_[client.now];
    truth.target = absl::StrCat("/", connection, "/", i);
    truth.token = absl::StrCat("Bearer made-up-", connection, "-", i, "-", Below(1'000'000'000));
    const std::string line_end = Below(8) == 0 ? "\n" : "\r\n";
    const std::string fold = Below(8) == 0 ? line_end + " " : " ";
    const std::string block =
        absl::StrCat("POST ", truth.target, " HTTP/1.1", line_end, "Host: example.test", line_end,
                     "X-First:", fold, "a", line_end, "Authorization: ", truth.token, line_end,
                     "X-Last:", fold, "b", line_end, line_end);
    const uint64_t sent = client.now;
    const uint32_t message = client.Request(block, {.splits = Splits(block.size(), options)});
    awaited.push_back({message, &truth, sent});
    while (!awaited.empty() && Below(4) != 0) answer();
  }
  const bool answers_all = Below(4) != 0;
  while (answers_all && !awaited.empty()) answer();
  client.now = next_time_ += 1;
  if (Below(4) != 0) client.Close(true);
}

std::string Traffic::Contradiction(const CollectedExchange& exchange) const {
  const auto found = truths_.find(exchange.head.mono_ns);
  if (found == truths_.end()) return "no such request";
  const Truth& truth = found->second;
  if (!truth.target.starts_with(exchange.target)) return "wrong target " + exchange.target;
  if (exchange.target != truth.target && !(exchange.head.cut && exchange.fields.empty())) {
    return "half a target " + exchange.target;
  }
  for (size_t i = 0; i < exchange.fields.size(); ++i) {
    const auto& [name, value] = exchange.fields[i];
    if (name != "Authorization" || value == truth.token) continue;
    const bool may_be_cut = exchange.head.cut && i + 1 == exchange.fields.size();
    if (!may_be_cut || !truth.token.starts_with(value)) return "wrong token " + value;
  }
  if (exchange.kind != AnswerKind::kAnswered) return "";
  if (exchange.status != truth.status) return absl::StrCat("wrong status ", exchange.status);
  if (exchange.latency_ns != truth.latency_ns) return "wrong latency";
  const std::string reply = FieldOf(exchange.answer_fields, "X-Reply").value_or(truth.reply);
  if (reply != truth.reply) return "answer of another request: " + reply;
  return "";
}

}  // namespace tokenwatch
