// Which uses a row of a policy is about.
#ifndef TOKENWATCH_COLLECTOR_POLICY_MATCH_H_
#define TOKENWATCH_COLLECTOR_POLICY_MATCH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// What a use says of itself, as far as rows of a policy ask. Views into what the caller holds; of a
// token without a use the workload is null and the texts are empty.
struct PolicySubject {
  const v1::Workload* workload = nullptr;
  std::string_view token_id, credential_id, format, provider, carrier;
  std::string_view method, host, path;
};

// A word with '*' for any text and '?' for one character.
bool GlobMatches(std::string_view pattern, std::string_view text);
// Whether every text that `other` matches is matched by `pattern`. May say no where it is so.
bool GlobCovers(std::string_view pattern, std::string_view other);

enum class MatchField : uint8_t {
  kWorkload,  // any of its names, as the API's filter takes them
  kNamespace,
  kPod,
  kServiceAccount,
  kUnit,
  kUser,
  kMachine,
  kExe,
  kContainer,
  kImage,
  kLabel,  // "name=value"
  kToken,  // a token's or credential's id
  kFormat,
  kProvider,
  kCarrier,
  kMethod,
  kHost,
  kPath,
};

// Keys of a `match` map, in the order of MatchField.
absl::Span<const std::string_view> MatchFieldNames();
std::optional<MatchField> MatchFieldByName(std::string_view name);

// All conditions hold; of one condition's patterns any. Without conditions it is about every use.
class Match {
 public:
  struct Condition {
    MatchField field;
    std::vector<std::string> patterns;
  };

  // One condition a field.
  void Add(Condition condition) { conditions_.push_back(std::move(condition)); }

  bool Fits(const PolicySubject& subject) const;
  // Whether every use that `other` is about is one that this is about. May say no where it is so.
  bool Covers(const Match& other) const;

  const std::vector<Condition>& conditions() const { return conditions_; }

 private:
  std::vector<Condition> conditions_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_POLICY_MATCH_H_
