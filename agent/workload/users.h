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

// Who can be asked on a thread that must not wait. Any thread.
class UserLookup {
 public:
  struct Answer {
    bool is_pending = false;  // is being asked for: ask again soon
    std::optional<std::string> name;
  };

  virtual ~UserLookup() = default;
  // Never waits. The first call for a user begins the search.
  virtual Answer Find(uint32_t uid) = 0;
};

// Knows nobody: users are told by number.
class NoUsers : public UserLookup {
 public:
  Answer Find(uint32_t /*uid*/) override { return {}; }
};

// Remembers answers, also that there is none, for ten minutes. Not thread safe.
class UserNames {
 public:
  static constexpr size_t kRemembered = 4096;
  static constexpr absl::Duration kFresh = absl::Minutes(10);
  static constexpr absl::Duration kPendingFor = absl::Milliseconds(10);  // then asks again

  struct Name {
    std::string text;  // the name, or the number in digits
    bool is_pending = false;
  };

  // Both outlive this object.
  UserNames(UserLookup* lookup, const Clock* clock) : lookup_(lookup), clock_(clock) {}

  Name Of(uint32_t uid);

 private:
  struct Known {
    Name name;
    uint64_t until_ns = 0;
  };

  UserLookup* lookup_;
  const Clock* clock_;
  std::unordered_map<uint32_t, Known> known_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_USERS_H_
