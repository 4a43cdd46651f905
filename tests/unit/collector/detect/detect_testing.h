// Histories of uses for tests of detection: what is sent is said once, when and how often as a
// table.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_DETECT_TESTING_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_DETECT_TESTING_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "collector/detect/country_database.h"
#include "collector/policy/policy.h"
#include "collector/store/committed_use.h"

namespace tokenwatch::testing {

inline constexpr int64_t kSecond = 1'000'000;
inline constexpr int64_t kMinute = 60 * kSecond;
inline constexpr int64_t kHour = 60 * kMinute;
inline constexpr int64_t kDay = 24 * kHour;
inline constexpr int64_t kMonday = int64_t{1'772'409'600} * kSecond;  // 2 March 2026, 00:00 UTC

// One kind of use: a unit's reads of an API, but for what a test says otherwise.
struct Call {
  std::string token = "one";  // any name of at most 16 bytes
  std::string older_token;    // the same token under another fleet key; empty: none
  std::string credential;
  std::string format = "github_pat", provider = "github";
  std::string method = "GET", host = "api.github.com", path = "/repos/acme/shop";
  std::string user_agent = "python-requests/2.31.0";
  std::string machine = "m1", agent_address = "10.1.2.3";
  std::string unit = "billing.service", user, exe = "/usr/bin/billing";
  std::string name_space, pod;
  uint32_t pid = 100;
  std::string peer = "140.82.121.6";
  uint32_t traits = 0, status = 200, count = 1;
  std::string direction = "outbound";
};

// The token's id as text, and its 16 bytes.
std::string IdBytes(const std::string& token);
std::string IdOf(const std::string& token);

// Makes uses with contexts, tokens and sources made once each, as the store gives them.
class UseMaker {
 public:
  // Numbered as they are made.
  CommittedUse Make(const Call& call, int64_t time_us);
  std::shared_ptr<const UseToken> Token(const Call& call);

 private:
  uint64_t number_ = 0;
  std::map<std::vector<std::string>, std::shared_ptr<const UseContext>> contexts_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const UseToken>> tokens_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const UseSource>> sources_;
};

// Hours of the day, and uses in each of them.
struct Hours24 {
  int from = 0, to = 24, uses = 4;
};

class History {
 public:
  explicit History(int64_t start_us = kMonday) : now_us_(start_us) {}

  // So many days of it from now on; weekends too.
  History& Days(int days, const Call& call, const Hours24& hours = {});
  // Several calls side by side.
  History& Days(int days, const std::vector<Call>& calls, const Hours24& hours = {});
  // Uses now, so far apart.
  History& Uses(int count, const Call& call, int64_t apart_us = kSecond);
  History& Wait(int64_t by_us);

  int64_t now_us() const { return now_us_; }
  const std::vector<CommittedUse>& uses() const { return uses_; }
  UseMaker* maker() { return &maker_; }

 private:
  UseMaker maker_;
  int64_t now_us_;
  std::vector<CommittedUse> uses_;
};

// Both clocks stand still until told. Thread safe.
class ManualClock : public Clock {
 public:
  explicit ManualClock(absl::Time now) : wall_us_(absl::ToUnixMicros(now)) {}
  void Advance(absl::Duration by) {
    mono_ns_ += static_cast<uint64_t>(absl::ToInt64Nanoseconds(by));
    wall_us_ += absl::ToInt64Microseconds(by);
  }
  void StepWall(absl::Duration by) { wall_us_ += absl::ToInt64Microseconds(by); }

  absl::Time Now() const override { return absl::FromUnixMicros(wall_us_); }
  uint64_t MonotonicNs() const override { return mono_ns_; }
  absl::Time FromMonotonic(uint64_t mono_ns) const override {
    return Now() + absl::Nanoseconds(static_cast<int64_t>(mono_ns - mono_ns_));
  }
  absl::Time FromBoot(uint64_t boot_ns) const override { return FromMonotonic(boot_ns); }

 private:
  std::atomic<int64_t> wall_us_;
  std::atomic<uint64_t> mono_ns_{uint64_t{3600} * 1'000'000'000};
};

// Countries by an address's beginning.
class CountryTable : public CountryDatabase {
 public:
  explicit CountryTable(std::map<std::string, std::string> table) : table_(std::move(table)) {}
  std::string Country(std::string_view address) const override;

 private:
  const std::map<std::string, std::string> table_;
};

// Fails the test where there is a problem.
std::shared_ptr<const Policy> PolicyOf(const std::string& yaml);

}  // namespace tokenwatch::testing

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_DETECT_TESTING_H_
