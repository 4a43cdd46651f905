// Uses in the order of their time, and what is known to be wrong among them.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_TRAFFIC_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_TRAFFIC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "collector/store/committed_use.h"

namespace tokenwatch {

inline constexpr int64_t kSecondUs = 1'000'000;
inline constexpr int64_t kMinuteUs = 60 * kSecondUs;
inline constexpr int64_t kHourUs = 60 * kMinuteUs;
inline constexpr int64_t kDayUs = 24 * kHourUs;

// A misuse of a token: its first and last use that is none of the token's own.
struct Label {
  std::string token_id;  // "tok_..." or "cred_..."
  int64_t from_us = 0, to_us = 0;
  std::string kind;
  // Further tokens that are in use for this misuse only, such as those that a workload invents.
  std::vector<std::string> others;
};

// Indices into a Traffic.
struct TrafficUse {
  int64_t time_us = 0;
  uint32_t context = 0, source = 0;
  uint32_t token = 0;  // one more than the index; 0: could not be resolved
  uint32_t latency_us = 0, count = 1;
  uint16_t status = 0, grpc_status = 0;
};

class Traffic {
 public:
  // `context`'s id is given here.
  uint32_t AddContext(UseContext context);
  // `id` is a token's id, or any other text that names one. The same text is the same index.
  uint32_t Token(const std::string& id, const std::string& credential);
  uint32_t AddSource(UseSource source);
  void Add(const TrafficUse& use) { uses_.push_back(use); }
  // Calls `keep` with each use, which it may change; those that it refuses are dropped.
  void Edit(absl::FunctionRef<bool(TrafficUse*)> keep);
  // By time; those of one time as they were added.
  void Sort();

  const std::vector<TrafficUse>& uses() const { return uses_; }
  CommittedUse At(size_t index) const;

  // Tokens of one credential are one subject. UINT32_MAX where there is no such token.
  uint32_t SubjectOf(std::string_view token_or_credential) const;
  uint32_t SubjectOfUse(const TrafficUse& use) const {
    return use.token == 0 ? UINT32_MAX : tokens_[use.token - 1].subject;
  }
  size_t subjects() const { return subjects_.size(); }
  // As labels and files have it: the credential's id, or the token's.
  const std::string& subject(uint32_t index) const { return subjects_[index]; }
  const std::string& TokenName(uint32_t token) const { return tokens_[token - 1].name; }
  const UseContext& context(uint32_t index) const { return *contexts_[index]; }
  const UseSource& source(uint32_t index) const { return *sources_[index]; }
  const std::string& CredentialOf(uint32_t token) const;

  std::vector<Label> labels;

 private:
  struct TokenEntry {
    std::shared_ptr<const UseToken> token;
    std::shared_ptr<const std::string> credential;
    std::string name;
    uint32_t subject = 0;
  };
  uint32_t Subject(const std::string& name);

  std::vector<TrafficUse> uses_;
  std::vector<std::shared_ptr<const UseContext>> contexts_;
  std::vector<TokenEntry> tokens_;
  std::vector<std::shared_ptr<const UseSource>> sources_;
  std::vector<std::string> subjects_;
  absl::flat_hash_map<std::string, uint32_t> subject_by_name_;  // also by each token's id text
  absl::flat_hash_map<std::string, uint32_t> token_by_name_;    // one more than the index
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_TRAFFIC_H_
