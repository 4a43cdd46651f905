#include "collector/enrol/commands.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>

#include "agent/common/enrol_secret.h"
#include "agent/token/secret/fleet_key.h"
#include "collector/enrol/enrol_directory.h"
#include "collector/enrol/registry.h"
#include "tests/unit/collector/enrol/temporary_directory.h"

namespace tokenwatch {
namespace {

class EnrolCommandsTest : public testing::Test {
 protected:
  EnrolCommandsTest() {
    options_.data_dir = directory_ / "data";
    options_.out_dir = directory_ / "out";
    options_.server_names = {"collector.example"};
  }

  absl::Status Run(const std::string& command) {
    told_.str("");
    return RunEnrolCommand(command, options_, clock_, &told_);
  }

  // Every file below the directory with what it holds.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      if (entry.is_regular_file()) files[entry.path()] = ReadAll(entry.path());
    }
    return files;
  }

  static unsigned Mode(const std::string& path) {
    struct stat file;
    return stat(path.c_str(), &file) == 0 ? file.st_mode & 07777 : 0;
  }

  TemporaryDirectory directory_;
  FakeClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  EnrolCommandOptions options_;
  std::ostringstream told_;
};

TEST_F(EnrolCommandsTest, InitMakesWhatIsHandedOut) {
  ASSERT_TRUE(Run("init").ok());
  const auto key = FleetKey::Load(directory_ / "out/fleet.key");
  EXPECT_TRUE(key.ok()) << key.status();
  const auto secret = LoadEnrolSecret(directory_ / "out/enrol.secret");
  ASSERT_TRUE(secret.ok()) << secret.status();
  const EnrolDirectory made(options_.data_dir);
  EXPECT_TRUE(made.IsMade());
  EXPECT_EQ(secret->ca_sha256, made.LoadAuthority()->certificate().Sha256());
  EXPECT_EQ(ReadAll(directory_ / "out/ca.pem"), made.LoadAuthority()->certificate().ToPem());
  ASSERT_TRUE(Run("ca").ok());
  EXPECT_EQ(told_.str(), ReadAll(directory_ / "out/ca.pem"));
  const std::vector<std::string> names = made.LoadServer()->Names();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()),
            (std::set<std::string>{"collector.example", "localhost", "127.0.0.1", "::1"}));
  for (const char* name : {"out/fleet.key", "out/enrol.secret", "out/query.credential",
                           "data/enrol/ca.key", "data/enrol/server.pem", "data/enrol/registry"}) {
    EXPECT_EQ(Mode(directory_ / name), 0600u) << name;
  }
  EXPECT_EQ(Mode(directory_ / "data/enrol"), 0700u);
  EXPECT_EQ(Mode(directory_ / "out"), 0700u);
}

TEST_F(EnrolCommandsTest, TheCollectorKeepsNoSecret) {
  ASSERT_TRUE(Run("init").ok());
  const std::string key = ReadAll(directory_ / "out/fleet.key").substr(0, 64);
  const std::string credential = ReadAll(directory_ / "out/query.credential").substr(4, 40);
  const std::string secret = ReadAll(directory_ / "out/enrol.secret").substr(56, 25);
  for (const auto& [path, text] : Files()) {
    if (path.find("/out/") != std::string::npos) continue;
    for (const std::string& each : {key, credential, secret}) {
      EXPECT_EQ(text.find(each), std::string::npos) << path;
    }
  }
  for (const std::string& each : {key, credential, secret}) {
    EXPECT_EQ(told_.str().find(each), std::string::npos);
  }
}

TEST_F(EnrolCommandsTest, InitTwiceChangesNothing) {
  ASSERT_TRUE(Run("init").ok());
  const auto before = Files();
  options_.server_names.clear();  // those of before
  ASSERT_TRUE(Run("init").ok());
  EXPECT_EQ(Files(), before);
  EXPECT_EQ(told_.str().find(" made, "), std::string::npos) << told_.str();
}

TEST_F(EnrolCommandsTest, InitWithAnotherNameKeepsTheKeyAndTheNames) {
  ASSERT_TRUE(Run("init").ok());
  const EnrolDirectory made(options_.data_dir);
  const std::string key = made.LoadServer()->KeySha256();
  options_.server_names = {"other.example"};
  ASSERT_TRUE(Run("init").ok());
  EXPECT_EQ(made.LoadServer()->KeySha256(), key);
  const std::vector<std::string> names = made.LoadServer()->Names();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()),
            (std::set<std::string>{"collector.example", "other.example", "localhost", "127.0.0.1",
                                   "::1"}));
  const auto before = Files();
  options_.server_names = {"collector.example"};  // it has that one
  ASSERT_TRUE(Run("init").ok());
  EXPECT_EQ(Files(), before);
}

// Whatever a run that was cut short left, the next one completes.
TEST_F(EnrolCommandsTest, InitGoesOnWhereItWasCutShort) {
  const char* const files[] = {"data/enrol/server.pem", "data/enrol/registry", "out/ca.pem"};
  for (const char* file : files) {
    ASSERT_TRUE(Run("init").ok()) << file;
    std::filesystem::remove(directory_ / file);
    ASSERT_TRUE(Run("init").ok()) << file << told_.str();
    EXPECT_TRUE(std::filesystem::exists(directory_ / file)) << file;
    std::filesystem::remove_all(directory_ / "data");
    std::filesystem::remove_all(directory_ / "out");
  }
  ASSERT_TRUE(Run("init").ok());
  std::filesystem::remove(directory_ / "data/enrol/ca.key");
  EXPECT_TRUE(absl::IsFailedPrecondition(Run("init")));
}

TEST_F(EnrolCommandsTest, AFleetKeyThatIsThereIsTakenAsItIs) {
  std::filesystem::create_directory(directory_ / "out");
  const std::string digits(64, 'a');
  {
    std::ofstream(directory_ / "out/fleet.key") << digits;
    chmod((directory_ / "out/fleet.key").c_str(), 0600);
  }
  ASSERT_TRUE(Run("init").ok());
  EXPECT_EQ(ReadAll(directory_ / "out/fleet.key"), digits);
  EXPECT_NE(told_.str().find("taken as it is"), std::string::npos);
}

TEST_F(EnrolCommandsTest, WhatIsWrongIsSaid) {
  options_.out_dir = directory_ / "data/out";
  EXPECT_TRUE(absl::IsInvalidArgument(Run("init")));
  options_.out_dir = directory_ / "data/../data";
  EXPECT_TRUE(absl::IsInvalidArgument(Run("init")));
  options_.out_dir = directory_ / "out";
  EXPECT_TRUE(absl::IsFailedPrecondition(Run("enrol-secret")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Run("agents list")));
  EXPECT_FALSE(Run("ca").ok());
  options_.server_names = {"not a name"};
  EXPECT_TRUE(absl::IsInvalidArgument(Run("init")));
  options_.server_names = {"collector.example"};
  ASSERT_TRUE(Run("init").ok());
  EXPECT_TRUE(absl::IsNotFound(Run("agents list")));
  options_.agent = "agt_00000000000000000000000001";
  EXPECT_TRUE(absl::IsNotFound(Run("agents revoke")));
  EXPECT_TRUE(absl::IsInvalidArgument(Run("fleet-key")));
  options_.out_file = directory_ / "data/key";
  EXPECT_TRUE(absl::IsInvalidArgument(Run("fleet-key")));
  options_.out_file = directory_ / "out/fleet.key";
  const std::string key = ReadAll(options_.out_file);
  EXPECT_TRUE(absl::IsAlreadyExists(Run("fleet-key")));
  EXPECT_TRUE(absl::IsAlreadyExists(Run("enrol-secret")));
  EXPECT_EQ(ReadAll(options_.out_file), key);
  options_.name = "bad name";
  EXPECT_TRUE(absl::IsInvalidArgument(Run("credentials add")));
  options_.name = "operator";
  EXPECT_TRUE(absl::IsAlreadyExists(Run("credentials add")));
  // What could not be shown to anybody does not count.
  options_.name = "unseen";
  options_.out_file.clear();
  const auto before = Files();
  std::ofstream full("/dev/full");
  for (const char* command : {"credentials add", "enrol-secret"}) {
    full.clear();
    EXPECT_TRUE(absl::IsInternal(RunEnrolCommand(command, options_, clock_, &full))) << command;
  }
  EXPECT_EQ(Files(), before);
  EXPECT_TRUE(Run("credentials add").ok());
  // Another collector's hand-out.
  options_.data_dir = directory_ / "data2";
  EXPECT_TRUE(absl::IsAlreadyExists(Run("init")));
}

// Root runs commands in the directory of the collector's user.
class EnrolAsRootTest : public EnrolCommandsTest {
 protected:
  static constexpr uid_t kNobody = 65534;

  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: root, to work in another user's directory";
    ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
    ASSERT_EQ(mkdir(options_.data_dir.c_str(), 0700), 0);
    ASSERT_EQ(chown(options_.data_dir.c_str(), kNobody, kNobody), 0);
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(geteuid(), 0u) << "the caller's rights are back";
  }

  // What that user could have put in place of something of its own.
  void Link(const std::string& name, const std::string& target) {
    std::filesystem::remove_all(directory_ / name);
    std::filesystem::create_symlink(target, directory_ / name);
    ASSERT_EQ(lchown((directory_ / name).c_str(), kNobody, kNobody), 0);
  }
};

TEST_F(EnrolAsRootTest, FilesBelongToWhomTheirFolderDoes) {
  ASSERT_TRUE(Run("init").ok()) << told_.str();
  options_.name = "prometheus";
  options_.out_file = directory_ / "out/prometheus.credential";
  ASSERT_TRUE(Run("credentials add").ok());
  options_.out_file = directory_ / "out/second.secret";
  ASSERT_TRUE(Run("enrol-secret").ok());
  for (const auto& [path, text] : Files()) {
    struct stat file;
    ASSERT_EQ(stat(path.c_str(), &file), 0);
    EXPECT_EQ(file.st_uid, path.find("/data/") == std::string::npos ? 0u : kNobody) << path;
  }
}

TEST_F(EnrolAsRootTest, LinksLeadToNothingThatOnlyRootMayTouch) {
  ASSERT_TRUE(Run("init").ok()) << told_.str();
  const std::string secrets = directory_ / "of-root";
  ASSERT_EQ(mkdir(secrets.c_str(), 0700), 0);
  // Each would have written there, or have said what is there.
  for (const char* file : {"server.pem", "registry"}) {
    std::filesystem::copy(directory_ / (std::string("data/enrol/") + file), secrets + "/" + file);
  }
  const auto before = Files();
  Link("data/enrol/registry", secrets + "/registry");
  options_.agent = "agt_00000000000000000000000001";
  for (const char* command : {"agents list", "agents revoke", "enrol-secret", "credentials list"}) {
    EXPECT_FALSE(Run(command).ok()) << command;
  }
  Link("data/enrol/server.pem", secrets + "/server.pem");
  options_.server_names = {"other.example"};
  EXPECT_FALSE(Run("init").ok());
  Link("data/enrol", secrets);
  EXPECT_FALSE(Run("init").ok());
  auto after = Files();
  std::erase_if(after,
                [](const auto& file) { return file.first.find("of-root") == std::string::npos; });
  size_t kept = 0;
  for (const auto& [path, text] : after) {
    const auto found = before.find(path);
    ASSERT_NE(found, before.end()) << path << " is new";
    EXPECT_EQ(found->second, text) << path;
    ++kept;
  }
  EXPECT_EQ(kept, 2u);
  struct stat info;
  ASSERT_EQ(stat(secrets.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
}

TEST_F(EnrolCommandsTest, AnotherFleetKeyGoesToAFile) {
  ASSERT_TRUE(Run("init").ok());
  options_.out_file = directory_ / "second.key";
  ASSERT_TRUE(Run("fleet-key").ok());
  EXPECT_TRUE(FleetKey::Load(options_.out_file).ok());
  EXPECT_NE(ReadAll(options_.out_file), ReadAll(directory_ / "out/fleet.key"));
  EXPECT_EQ(told_.str().find(ReadAll(options_.out_file).substr(0, 64)), std::string::npos);
}

TEST(ParseLifetime, ReadsWhatPeopleWrite) {
  EXPECT_EQ(*ParseLifetime("90s"), absl::Seconds(90));
  EXPECT_EQ(*ParseLifetime("15m"), absl::Minutes(15));
  EXPECT_EQ(*ParseLifetime("24h"), absl::Hours(24));
  EXPECT_EQ(*ParseLifetime("7d"), absl::Hours(7 * 24));
  for (const char* text : {"", "7", "d", "0s", "-1h", "1w", "1.5h", "3651d", "99999999999d"}) {
    EXPECT_FALSE(ParseLifetime(text).ok()) << text;
  }
}

TEST(EnrolSecret, ReadsWhatItWrites) {
  EnrolSecret secret{.ca_sha256 = std::string(32, '\xfe')};
  secret.secret.Append(std::string(16, '\x01'));
  const SecretBuffer text = secret.Text();
  EXPECT_EQ(text.size(), 81u);
  const auto read = ParseEnrolSecret(" \n" + std::string(text.view()) + "\n");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->ca_sha256, secret.ca_sha256);
  EXPECT_EQ(read->secret.view(), secret.secret.view());
  for (const std::string& wrong :
       {std::string(), std::string("twe_"), std::string(text.view()) + "0",
        std::string(text.view().substr(1)), "tok_" + std::string(text.view().substr(4)),
        std::string(200, 'z')}) {
    const auto refused = ParseEnrolSecret(wrong);
    EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << wrong;
  }
}

}  // namespace
}  // namespace tokenwatch
