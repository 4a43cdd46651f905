#include "agent/workload/users.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

namespace tokenwatch {
namespace {

class FakeDatabase : public UserDatabase {
 public:
  std::optional<std::string> Name(uint32_t uid) override {
    ++asked;
    const auto known = names.find(uid);
    if (known == names.end()) return std::nullopt;
    return known->second;
  }
  std::map<uint32_t, std::string> names;
  int asked = 0;
};

TEST(UserNames, AsksOnceForNamesAndForTheLackOfOne) {
  FakeDatabase database;
  database.names[33] = "www-data";
  FakeClock clock(absl::UnixEpoch());
  UserNames names(&database, &clock);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(names.Of(33), "www-data");
    EXPECT_EQ(names.Of(4294967294), "4294967294");
  }
  EXPECT_EQ(database.asked, 2);
  database.names[33] = "web";
  clock.Advance(UserNames::kFresh);
  EXPECT_EQ(names.Of(33), "web");
  EXPECT_EQ(database.asked, 3);
}

TEST(UserNames, StaysBounded) {
  FakeDatabase database;
  FakeClock clock(absl::UnixEpoch());
  UserNames names(&database, &clock);
  for (uint32_t uid = 0; uid < 2 * UserNames::kRemembered; ++uid) {
    EXPECT_EQ(names.Of(uid), std::to_string(uid));
  }
  EXPECT_EQ(names.Of(0), "0");
  EXPECT_EQ(database.asked, 2 * static_cast<int>(UserNames::kRemembered) + 1);
}

TEST(SystemUserDatabase, KnowsRootAndNotNobodyKnows) {
  SystemUserDatabase database;
  EXPECT_EQ(database.Name(0), "root");
  EXPECT_EQ(database.Name(4294967290), std::nullopt);
}

}  // namespace
}  // namespace tokenwatch
