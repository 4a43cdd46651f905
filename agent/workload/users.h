// User names.
#ifndef TOKENWATCH_AGENT_WORKLOAD_USERS_H_
#define TOKENWATCH_AGENT_WORKLOAD_USERS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"
#include "agent/common/clock.h"

namespace tokenwatch {

// The user database.
class UserDatabase {
 public:
  virtual ~UserDatabase() = default;
  // Nothing where there is no such user or the database cannot be asked.
  virtual std::optional<std::string> Name(uint32_t uid) = 0;
};

// getpwuid_r(3), that is whatever nsswitch.conf names; may take as long as that does.
class SystemUserDatabase : public UserDatabase {
 public:
  std::optional<std::string> Name(uint32_t uid) override;
};

// Remembers answers, also that there is none, for ten minutes. Not thread safe.
class UserNames {
 public:
  static constexpr size_t kRemembered = 4096;
  static constexpr absl::Duration kFresh = absl::Minutes(10);

  // Both outlive this object.
  UserNames(UserDatabase* database, const Clock* clock) : database_(database), clock_(clock) {}

  // The name, or the number in digits.
  std::string Of(uint32_t uid);

 private:
  struct Answer {
    std::string name;
    uint64_t asked_ns = 0;
  };

  UserDatabase* database_;
  const Clock* clock_;
  std::unordered_map<uint32_t, Answer> answers_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_USERS_H_
