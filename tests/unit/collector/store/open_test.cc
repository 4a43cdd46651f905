// Opening: what is made, and one clear sentence for each thing that is wrong.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "collector/store/sqlite/database.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

// An empty directory would have no certificate authority and no enrolments.
constexpr char kBeginAnew[] = "and nothing else: its folder enrol";

absl::Status Open(const std::string& directory) {
  SqliteOptions options;
  options.data_dir = directory;
  return OpenSqliteStore(options).status();
}

mode_t ModeOf(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

void Execute(const std::string& file, const std::string& sql) {
  const auto database = sqlite::Database::Open(file, sqlite::Database::Mode::kReadWrite).value();
  database->Execute(sql);
  ASSERT_TRUE(database->ok()) << database->TakeStatus();
}

void ExpectRefusal(const absl::Status& status, absl::StatusCode code, const std::string& says) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_NE(std::string(status.message()).find(says), std::string::npos) << status;
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
}

TEST(Open, MakesADirectoryForItsOwnerAlone) {
  const TemporaryDir parent;
  const std::string directory = parent.path() + "/data";
  const mode_t before = umask(0);
  SqliteOptions options;
  options.data_dir = directory;
  const auto store = OpenSqliteStore(options);
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)->Commit({Batch("a", 1, 1, {Use(PlainContext(), Token(1), kNow)})}).ok());
  umask(before);
  EXPECT_EQ(ModeOf(directory), 0700);
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    EXPECT_EQ(ModeOf(file.path()) & 0077, 0) << file.path();
  }
}

TEST(Open, LeavesTheModeOfADirectoryThatExists) {
  const TemporaryDir directory;
  ASSERT_EQ(chmod(directory.path().c_str(), 0750), 0);
  EXPECT_TRUE(Open(directory.path()).ok());
  EXPECT_EQ(ModeOf(directory.path()), 0750);
}

TEST(Open, RefusesASecondCollector) {
  const TemporaryDir directory;
  SqliteOptions options;
  options.data_dir = directory.path();
  {
    const auto first = OpenSqliteStore(options);
    ASSERT_TRUE(first.ok());
    ExpectRefusal(Open(directory.path()), absl::StatusCode::kFailedPrecondition,
                  "in use by another collector");
  }
  EXPECT_TRUE(Open(directory.path()).ok());
}

TEST(Open, NamesADirectoryThatItCannotUse) {
  const TemporaryDir parent;
  ExpectRefusal(Open(""), absl::StatusCode::kInvalidArgument, "--data-dir");
  ExpectRefusal(Open(parent.path() + "/no/where"), absl::StatusCode::kNotFound, "cannot be made");
  std::ofstream(parent.path() + "/file") << "x";
  ExpectRefusal(Open(parent.path() + "/file"), absl::StatusCode::kFailedPrecondition,
                "cannot be opened");
  const std::string locked = parent.path() + "/locked";
  ASSERT_EQ(mkdir(locked.c_str(), 0555), 0);
  ASSERT_EQ(chmod(parent.path().c_str(), 0755), 0);
  // Root may write everywhere.
  constexpr uid_t kNobody = 65534;
  const uid_t self = geteuid();
  ASSERT_EQ(seteuid(self == 0 ? kNobody : self), 0);
  const absl::Status refused = Open(locked);
  ASSERT_EQ(seteuid(self), 0);
  ExpectRefusal(refused, absl::StatusCode::kPermissionDenied, "cannot be written");
}

TEST(Open, RefusesWhatIsNoDatabase) {
  const TemporaryDir directory;
  std::ofstream(directory.path() + "/tokenwatch.db") << std::string(8192, 'x');
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kDataLoss, "no SQLite database");
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kDataLoss, kBeginAnew);
}

TEST(Open, RefusesAnotherProgramsDatabase) {
  const TemporaryDir directory;
  std::ofstream(directory.path() + "/tokenwatch.db").flush();
  Execute(directory.path() + "/tokenwatch.db",
          "CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kFailedPrecondition, "another program");
}

TEST(Open, RefusesANewerSchema) {
  const TemporaryDir directory;
  ASSERT_TRUE(Open(directory.path()).ok());
  Execute(directory.path() + "/tokenwatch.db", "PRAGMA user_version = 99");
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kFailedPrecondition,
                "newer tokenwatch (schema 99");
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kFailedPrecondition, kBeginAnew);
}

TEST(Open, GoesOnWhereItWasClosed) {
  StoreFixture fixture;
  for (int i = 0; i < 5; ++i) {
    fixture.Add({Use(PlainContext(), Token(1), kNow + i)});
    fixture.Reopen();
  }
  EXPECT_EQ(fixture.Uses().size(), 5);
  EXPECT_EQ(fixture.Stats().uses(), 5);
}

TEST(Health, NoticesThatTheFileIsGone) {
  StoreFixture fixture;
  EXPECT_TRUE(fixture.store().CheckHealth().ok());
  fixture.SetNow(kNow + kMinute);
  EXPECT_TRUE(fixture.store().CheckHealth().ok());
  std::filesystem::rename(fixture.path() + "/tokenwatch.db", fixture.path() + "/moved");
  EXPECT_EQ(fixture.store().CheckHealth().code(), absl::StatusCode::kUnavailable);
}

TEST(Open, RefusesAnEmptyOrMissingDatabaseWhereOneWas) {
  const TemporaryDir directory;
  const std::string file = directory.path() + "/tokenwatch.db";
  ASSERT_TRUE(Open(directory.path()).ok());
  std::filesystem::resize_file(file, 0);
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kDataLoss, "empty or missing");
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kDataLoss, kBeginAnew);
  EXPECT_EQ(std::filesystem::file_size(file), 0u) << "nothing is begun anew";
  std::filesystem::remove(file);
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kDataLoss, "empty or missing");
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(Open, RefusesALogWithoutItsDatabase) {
  const TemporaryDir directory;
  std::ofstream(directory.path() + "/tokenwatch.db-wal") << std::string(4096, 'x');
  ExpectRefusal(Open(directory.path()), absl::StatusCode::kDataLoss, "empty or missing");
}

TEST(Open, GoesOnWhereAFirstStartWasCutShort) {
  const TemporaryDir directory;
  std::ofstream(directory.path() + "/lock").flush();
  std::ofstream(directory.path() + "/tokenwatch.db").flush();
  EXPECT_TRUE(Open(directory.path()).ok());
}

}  // namespace
}  // namespace tokenwatch::testing
