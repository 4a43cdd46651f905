#include "tests/bench/detect/traffic.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <string>

#include "agent/common/token_id.h"

namespace tokenwatch {

uint32_t Traffic::AddContext(UseContext context) {
  context.id = contexts_.size() + 1;
  contexts_.push_back(std::make_shared<const UseContext>(std::move(context)));
  return static_cast<uint32_t>(contexts_.size() - 1);
}

uint32_t Traffic::AddSource(UseSource source) {
  sources_.push_back(std::make_shared<const UseSource>(std::move(source)));
  return static_cast<uint32_t>(sources_.size() - 1);
}

uint32_t Traffic::Subject(const std::string& name) {
  const auto [entry, added] =
      subject_by_name_.try_emplace(name, static_cast<uint32_t>(subjects_.size()));
  if (added) subjects_.push_back(name);
  return entry->second;
}

uint32_t Traffic::Token(const std::string& id, const std::string& credential) {
  const auto [entry, added] =
      token_by_name_.try_emplace(id, static_cast<uint32_t>(tokens_.size() + 1));
  if (!added) return entry->second;
  std::array<uint8_t, 16> bytes;
  if (!ParseTokenIdText(id, &bytes)) {
    std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
    SHA256(reinterpret_cast<const uint8_t*>(id.data()), id.size(), digest.data());
    std::copy_n(digest.begin(), bytes.size(), bytes.begin());
  }
  auto token = std::make_shared<UseToken>();
  token->id = tokens_.size() + 1;
  token->ids.emplace_back("key_00000000", std::string(bytes.begin(), bytes.end()));
  TokenEntry made;
  made.token = std::move(token);
  made.name = id;
  if (!credential.empty()) made.credential = std::make_shared<const std::string>(credential);
  made.subject = Subject(credential.empty() ? id : credential);
  subject_by_name_.try_emplace(id, made.subject);
  subject_by_name_.try_emplace(TokenIdText(bytes), made.subject);
  tokens_.push_back(std::move(made));
  return entry->second;
}

void Traffic::Edit(absl::FunctionRef<bool(TrafficUse*)> keep) {
  std::erase_if(uses_, [&](TrafficUse& use) { return !keep(&use); });
}

void Traffic::Sort() {
  std::stable_sort(uses_.begin(), uses_.end(),
                   [](const TrafficUse& a, const TrafficUse& b) { return a.time_us < b.time_us; });
}

CommittedUse Traffic::At(size_t index) const {
  const TrafficUse& use = uses_[index];
  CommittedUse committed;
  committed.number = index + 1;
  committed.sequence = index + 1;
  committed.source = sources_[use.source];
  if (use.token != 0) {
    committed.credential = tokens_[use.token - 1].credential;
    committed.row.token = tokens_[use.token - 1].token;
  }
  committed.row.context = contexts_[use.context];
  committed.row.time_us = use.time_us;
  committed.row.status = use.status;
  committed.row.grpc_status = use.grpc_status;
  committed.row.latency_us = use.latency_us;
  committed.row.count = use.count;
  return committed;
}

const std::string& Traffic::CredentialOf(uint32_t token) const {
  static const auto* const none = new std::string;
  const auto& credential = tokens_[token - 1].credential;
  return credential == nullptr ? *none : *credential;
}

uint32_t Traffic::SubjectOf(std::string_view token_or_credential) const {
  const auto found = subject_by_name_.find(std::string(token_or_credential));
  return found == subject_by_name_.end() ? UINT32_MAX : found->second;
}

}  // namespace tokenwatch
