#include <algorithm>
#include <string>

#include "absl/time/time.h"
#include "agent/common/facts.h"
#include "collector/detect/profile.h"

namespace tokenwatch {
namespace {

// Scopes that are told at one time are one telling.
constexpr int64_t kTellingMicros = int64_t{60} * 1'000'000;

}  // namespace

void Profile::LearnFact(const TokenFactRow& fact) {
  const auto time_of = [&fact](int64_t* time_us) {
    absl::Time time;
    std::string error;
    if (absl::ParseTime(absl::RFC3339_full, fact.value, &time, &error)) {
      *time_us = absl::ToUnixMicros(time);
    }
  };
  if (fact.name == fact::kExpires) time_of(&expires_us);
  if (fact.name == fact::kIssuedAt) time_of(&issued_us);
  if (fact.name == fact::kRevoked || fact.name == fact::kInactive) time_of(&revoked_us);
  if (fact.name == fact::kRevokedBy && revoked_us == 0) revoked_us = fact.time_us;
  if (fact.name == fact::kRotatedTo) successor = fact.value;
  if (fact.name == fact::kScope) {
    const auto at = std::lower_bound(scopes.begin(), scopes.end(), fact.value);
    if ((at == scopes.end() || *at != fact.value) && scopes.size() < fact::kPerUseMax) {
      scopes.insert(at, fact.value);
    }
    // All are told at one time: what comes a minute after the first telling is another telling.
    if (scopes_told_us == 0) scopes_told_us = fact.time_us;
    scopes_known = fact.time_us - scopes_told_us > kTellingMicros;
  }
  changed = true;
}

}  // namespace tokenwatch
