// What is kept of what requests say beside their tokens: one table of settings with two profiles.
#ifndef TOKENWATCH_AGENT_TOKEN_PRIVACY_H_
#define TOKENWATCH_AGENT_TOKEN_PRIVACY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tokenwatch {

// Secrets are never kept, whatever these say.
struct Privacy {
  // The other part of Basic, which is mostly a user name.
  enum class BasicUser : uint8_t { kNone, kHash, kClear };
  // kProduct: the first product's name and version, without comments (RFC 9110 section 10.1.5).
  enum class UserAgent : uint8_t { kNone, kProduct, kFull };
  // kTop: the first two segments of a template.
  enum class Paths : uint8_t { kNone, kTop, kTemplate };
  // Of JWTs. kMachines: no person's, not even as hashes.
  enum class Claims : uint8_t { kNone, kMachines, kHashed };

  BasicUser basic_user = BasicUser::kHash;
  UserAgent user_agent = UserAgent::kFull;
  Paths paths = Paths::kTemplate;
  Claims claims = Claims::kHashed;
  bool query_names = true;  // names of query parameters
  bool user_names = true;   // of processes; numbers are always told
};

// The words of the settings. Empty ones take what the profile, "default" or "strict", says.
struct PrivacySettings {
  std::string profile = "default";
  std::string basic_user;   // none, hash, clear
  std::string user_agent;   // none, product, full
  std::string paths;        // none, top, template
  std::string claims;       // none, machines, hashed
  std::string query_names;  // none, names
  std::string user_names;   // none, names
};

// InvalidArgument names the setting and its words.
absl::StatusOr<Privacy> ReadPrivacy(const PrivacySettings& settings);

// A User-Agent as far as it is kept.
std::string_view KeptUserAgent(std::string_view user_agent, Privacy::UserAgent keep);
// A path template as far as it is kept; "/..." stands for segments that are left out.
std::string KeptPath(std::string path, Privacy::Paths keep);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_PRIVACY_H_
