#include "agent/workload/users.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

namespace tokenwatch {
namespace {

class FakeLookup : public UserLookup {
 public:
  Answer Find(uint32_t uid) override {
    ++asked;
    const auto known = names.find(uid);
    if (known == names.end()) return {is_pending, std::nullopt};
    return {is_pending, known->second};
  }
  std::map<uint32_t, std::string> names;
  bool is_pending = false;
  int asked = 0;
};

TEST(UserNames, AsksOnceForNamesAndForTheLackOfOne) {
  FakeLookup lookup;
  lookup.names[33] = "www-data";
  FakeClock clock(absl::UnixEpoch());
  UserNames names(&lookup, &clock);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(names.Of(33).text, "www-data");
    EXPECT_EQ(names.Of(4294967294).text, "4294967294");
  }
  EXPECT_EQ(lookup.asked, 2);
  lookup.names[33] = "web";
  clock.Advance(UserNames::kFresh);
  EXPECT_EQ(names.Of(33).text, "web");
  EXPECT_EQ(lookup.asked, 3);
}

TEST(UserNames, IsANumberUntilItIsKnown) {
  FakeLookup lookup;
  lookup.is_pending = true;
  FakeClock clock(absl::UnixEpoch());
  UserNames names(&lookup, &clock);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(names.Of(33).text, "33");
    EXPECT_TRUE(names.Of(33).is_pending);
  }
  EXPECT_EQ(lookup.asked, 1);
  lookup.is_pending = false;
  lookup.names[33] = "web";
  clock.Advance(UserNames::kPendingFor);
  EXPECT_EQ(names.Of(33).text, "web");
  EXPECT_FALSE(names.Of(33).is_pending);
  EXPECT_EQ(lookup.asked, 2);
}

TEST(UserNames, StaysBounded) {
  FakeLookup lookup;
  FakeClock clock(absl::UnixEpoch());
  UserNames names(&lookup, &clock);
  for (uint32_t uid = 0; uid < 2 * UserNames::kRemembered; ++uid) {
    EXPECT_EQ(names.Of(uid).text, std::to_string(uid));
  }
  EXPECT_EQ(names.Of(0).text, "0");
  EXPECT_EQ(lookup.asked, 2 * static_cast<int>(UserNames::kRemembered) + 1);
}

TEST(SystemUserDatabase, KnowsRootAndNotNobodyKnows) {
  SystemUserDatabase database;
  EXPECT_EQ(database.Name(0), "root");
  EXPECT_EQ(database.Name(4294967290), std::nullopt);
}

}  // namespace
}  // namespace tokenwatch
