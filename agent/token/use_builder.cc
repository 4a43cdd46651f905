#include "agent/token/use_builder.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/text.h"
#include "agent/token/path.h"
#include "agent/token/redact.h"

namespace tokenwatch {
namespace {

constexpr size_t kMethodMax = 32;
constexpr size_t kUserAgentMax = 256;
constexpr size_t kRequestIdMax = 128;

std::string_view FirstField(const RequestHead& request, std::string_view name) {
  for (const HeaderField& field : request.fields) {
    if (EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return {};
}

}  // namespace

UseBuilder::UseBuilder(Fingerprinter* fingerprinter, const Clock* clock, UseSink* sink,
                       Limits limits)
    : fingerprinter_(fingerprinter), clock_(clock), sink_(sink), limits_(limits) {}

void UseBuilder::OnRequest(const RequestHead& request) {
  const Extraction found = FindCredentials(request);
  Count(request, found);
  if (found.credentials.empty() && request.unknown_fields == 0) return;
  if (drafts_.size() >= limits_.exchanges) {
    ++counts_.answers_unseen;
    Draft oldest = std::move(drafts_.front());
    by_exchange_.erase(oldest.exchange);
    drafts_.pop_front();
    const Peer unknown;
    Answer none;
    none.peer = &unknown;
    Deliver(std::move(oldest), none);
  }
  drafts_.push_back({request.exchange, Build(request, found)});
  by_exchange_[request.exchange] = std::prev(drafts_.end());
  counts_.waiting = drafts_.size();
}

void UseBuilder::OnAnswer(const Answer& answer) {
  const auto known = by_exchange_.find(answer.exchange);
  if (known == by_exchange_.end()) return;  // the request had no credential
  Draft draft = std::move(*known->second);
  drafts_.erase(known->second);
  by_exchange_.erase(known);
  counts_.waiting = drafts_.size();
  if (answer.kind == AnswerKind::kDiscarded) {
    counts_.discarded += draft.uses.size();
    return;
  }
  Deliver(std::move(draft), answer);
}

void UseBuilder::Deliver(Draft draft, const Answer& answer) {
  for (TokenUse& use : draft.uses) {
    if (answer.kind == AnswerKind::kAnswered) {
      use.status = answer.status;
      use.grpc_status = answer.grpc_status;
      use.latency_us = answer.latency_ns / 1000;
    }
    use.peer = *answer.peer;
    ++counts_.uses;
    if (use.unresolved) ++counts_.unresolved;
    sink_->OnUse(std::move(use));
  }
}

std::vector<TokenUse> UseBuilder::Build(const RequestHead& request, const Extraction& found) {
  std::vector<std::string_view> secret_bytes;
  secret_bytes.reserve(found.credentials.size());
  for (const Credential& credential : found.credentials) secret_bytes.push_back(credential.secret);
  const SecretFinder secrets(secret_bytes);

  Resource resource = DescribeResource(request, secrets);
  TokenUse common;
  common.exchange = request.exchange;
  common.time = clock_->FromMonotonic(request.mono_ns);
  common.format = "opaque";
  common.method = SafeText(request.method, kMethodMax, secrets);
  common.scheme = std::move(resource.scheme);
  common.host = std::move(resource.host);
  common.path = std::move(resource.path);
  common.query = std::move(resource.query);
  common.http_version = request.version_major == 1 ? absl::StrCat("1.", request.version_minor)
                                                   : absl::StrCat(request.version_major);
  common.user_agent = SafeText(FirstField(request, "user-agent"), kUserAgentMax, secrets);
  common.request_id = SafeText(FirstField(request, "x-request-id"), kRequestIdMax, secrets);
  common.process = request.process;
  common.pid = request.pid;
  common.inbound = request.inbound;
  common.probe = request.tls ? "openssl" : "socket";

  std::vector<TokenUse> uses;
  uses.reserve(found.credentials.size());
  for (const Credential& credential : found.credentials) {
    TokenUse use = common;
    use.carrier = credential.carrier;
    if (!credential.unresolved) use.tokens = fingerprinter_->Token(credential.secret);
    use.unresolved = use.tokens.empty();
    if (!use.unresolved) {
      use.token_length = static_cast<uint32_t>(credential.secret.size());
      if (!credential.user.empty()) use.user_ids = fingerprinter_->User(credential.user);
    }
    uses.push_back(std::move(use));
  }
  // One of the fields that are unknown may hold a credential: counted, never guessed.
  if (uses.empty()) {
    common.unresolved = true;
    uses.push_back(std::move(common));
  }
  return uses;
}

void UseBuilder::Count(const RequestHead& request, const Extraction& found) {
  ++counts_.requests;
  counts_.per_request += found.per_request;
  counts_.empty += found.empty;
  counts_.dropped += found.dropped;
  if (!found.credentials.empty()) return;
  if (request.unknown_fields != 0) {
    ++counts_.fields_unknown;
    return;
  }
  ++counts_.requests_without_token;
  // A credential may have stood where bytes are missing.
  if (request.cut) ++counts_.cut_without_token;
}

absl::Time UseBuilder::WaitingSince() const {
  return drafts_.empty() ? absl::InfiniteFuture() : drafts_.front().uses.front().time;
}

size_t UseBuilder::WaitingBefore(absl::Time time) const {
  return static_cast<size_t>(std::count_if(drafts_.begin(), drafts_.end(), [&](const Draft& draft) {
    return draft.uses.front().time < time;
  }));
}

void UseBuilder::AddCounters(Counters* counters) const {
  (*counters)["requests"] += counts_.requests;
  (*counters)["requests_without_token"] += counts_.requests_without_token;
  (*counters)["requests_with_unknown_fields"] += counts_.fields_unknown;
  (*counters)["requests_cut_token_unseen"] += counts_.cut_without_token;
  (*counters)["uses"] += counts_.uses;
  (*counters)["uses_unresolved"] += counts_.unresolved;
  (*counters)["uses_discarded"] += counts_.discarded;
  (*counters)["uses_waiting"] += counts_.waiting;
  (*counters)["credentials_per_request"] += counts_.per_request;
  (*counters)["credentials_empty"] += counts_.empty;
  (*counters)["credentials_dropped"] += counts_.dropped;
  (*counters)["answers_unseen"] += counts_.answers_unseen;
}

}  // namespace tokenwatch
