#include "agent/token/secret/fleet_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

class FleetKeyFile : public testing::Test {
 protected:
  FleetKeyFile() : path_(testing::TempDir() + "fleet_key." + std::to_string(getpid())) {}
  ~FleetKeyFile() override { std::remove(path_.c_str()); }

  absl::StatusOr<FleetKey> Load(const std::string& contents, mode_t mode) {
    std::remove(path_.c_str());
    std::ofstream(path_) << contents;
    EXPECT_EQ(chmod(path_.c_str(), mode), 0);
    return FleetKey::Load(path_);
  }

  // One line that names the file, says what to do and repeats none of the contents.
  void ExpectSentence(const absl::Status& status, absl::StatusCode code, const std::string& advice,
                      const std::string& contents) {
    EXPECT_EQ(status.code(), code) << status;
    const std::string message(status.message());
    EXPECT_NE(message.find(path_), std::string::npos) << message;
    EXPECT_NE(message.find(advice), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (size_t i = 0; i + 8 <= contents.size(); ++i) {
      EXPECT_EQ(message.find(contents.substr(i, 8)), std::string::npos) << message;
    }
  }

  const std::string path_;
  const std::string digits_ = MadeUp(64, "0123456789abcdefABCDEF");
};

TEST_F(FleetKeyFile, LoadsDigitsWithBlanksAroundThem) {
  const auto wanted = FleetKey::FromHex(digits_);
  ASSERT_TRUE(wanted.ok());
  EXPECT_EQ(wanted->Bytes().size(), FleetKey::kBytes);
  for (const mode_t mode : {0600, 0400}) {
    for (const std::string& contents : {digits_, digits_ + "\n", " " + digits_ + "\r\n\n"}) {
      const auto key = Load(contents, mode);
      ASSERT_TRUE(key.ok()) << key.status();
      EXPECT_TRUE(key->Bytes() == wanted->Bytes());
    }
  }
}

TEST_F(FleetKeyFile, FollowsLinks) {
  ASSERT_TRUE(Load(digits_, 0600).ok());
  const std::string link = path_ + ".link";
  ASSERT_EQ(symlink(path_.c_str(), link.c_str()), 0);
  EXPECT_TRUE(FleetKey::Load(link).ok());
  std::remove(link.c_str());
}

TEST_F(FleetKeyFile, RefusesOtherContents) {
  const std::string cases[] = {"",
                               "\n",
                               digits_.substr(1),
                               digits_ + "0",
                               digits_.substr(0, 63) + "g",
                               digits_ + "\n" + digits_,
                               digits_.substr(0, 32) + " " + digits_.substr(32),
                               "0x" + digits_.substr(2),
                               std::string(1000, 'a')};
  for (const std::string& contents : cases) {
    ExpectSentence(Load(contents, 0600).status(), absl::StatusCode::kInvalidArgument,
                   "openssl rand -hex 32", contents);
  }
}

TEST_F(FleetKeyFile, RefusesWhatOthersCanUse) {
  for (const mode_t mode : {0644, 0640, 0604, 0660, 0602, 0601, 0700, 04600}) {
    ExpectSentence(Load(digits_, mode).status(), absl::StatusCode::kPermissionDenied,
                   "chmod 600 " + path_, digits_);
  }
}

TEST_F(FleetKeyFile, RefusesAnotherOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: root, to give a file away";
  ASSERT_TRUE(Load(digits_, 0600).ok());
  ASSERT_EQ(chown(path_.c_str(), 12345, 0), 0);
  ExpectSentence(FleetKey::Load(path_).status(), absl::StatusCode::kPermissionDenied,
                 "chown 0 " + path_, digits_);
}

TEST_F(FleetKeyFile, RefusesWhatIsNoFile) {
  ExpectSentence(FleetKey::Load(path_).status(), absl::StatusCode::kNotFound,
                 "openssl rand -hex 32", "");
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  ExpectSentence(FleetKey::Load(path_).status(), absl::StatusCode::kFailedPrecondition,
                 "--key-file", "");
  ASSERT_EQ(rmdir(path_.c_str()), 0);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  ExpectSentence(FleetKey::Load(path_).status(), absl::StatusCode::kFailedPrecondition,
                 "--key-file", "");
}

}  // namespace
}  // namespace tokenwatch
