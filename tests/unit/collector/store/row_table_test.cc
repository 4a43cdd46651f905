#include "collector/store/sqlite/row_table.h"

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "collector/store/sqlite/database.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

using sqlite::Database;
using sqlite::RowTable;
using sqlite::Statement;

class RowTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string file = directory_.path() + "/rows.db";
    std::ofstream(file).flush();
    database_ = Database::Open(file, Database::Mode::kReadWrite).value();
  }

  TemporaryDir directory_;
  std::unique_ptr<Database> database_;
};

TEST_F(RowTableTest, HasItsRowsInTheirOrder) {
  RowTable rows;
  rows.Add(3, uint32_t{4000000000}, int64_t{-5});
  rows.SetBytes("text", /*blob=*/false);
  rows.Add(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
  rows.SetBytes({"\0b", 2}, /*blob=*/true);
  rows.Add(2);
  Statement query = database_->Prepare("SELECT i0, i1, i2, i3, i11, bytes FROM row_table(?)");
  query.Start(rows);
  ASSERT_TRUE(query.Next());
  EXPECT_EQ(query.Int(0), 3);
  EXPECT_EQ(query.Int(1), 4000000000);
  EXPECT_EQ(query.Int(2), -5);
  EXPECT_EQ(query.Int(3), 0);
  EXPECT_EQ(query.Bytes(5), "text");
  EXPECT_FALSE(query.IsBlob(5));
  ASSERT_TRUE(query.Next());
  EXPECT_EQ(query.Int(0), 1);
  EXPECT_EQ(query.Int(4), 12);
  EXPECT_EQ(query.Bytes(5), absl::string_view("\0b", 2));
  EXPECT_TRUE(query.IsBlob(5));
  ASSERT_TRUE(query.Next());
  EXPECT_EQ(query.Int(0), 2);
  EXPECT_TRUE(query.IsNull(5));
  EXPECT_FALSE(query.Next());
  EXPECT_TRUE(database_->ok());

  rows.Clear();
  EXPECT_TRUE(rows.empty());
  query.Start(rows);
  EXPECT_FALSE(query.Next());
  EXPECT_TRUE(database_->ok());
}

TEST_F(RowTableTest, AddsToRowsThatAreThere) {
  database_->Execute("CREATE TABLE sums(id INTEGER PRIMARY KEY, sum INTEGER NOT NULL) STRICT");
  RowTable rows;
  for (const int id : {1, 2, 1}) rows.Add(id, 10);
  Statement add = database_->Prepare(
      "INSERT OR FAIL INTO sums SELECT i0, i1 FROM row_table(?) WHERE true "
      "ON CONFLICT DO UPDATE SET sum = sum + excluded.sum");
  add.Run(rows);
  add.Run(rows);
  Statement query = database_->Prepare("SELECT sum FROM sums ORDER BY id");
  std::vector<int64_t> sums;
  query.Start();
  while (query.Next()) sums.push_back(query.Int(0));
  EXPECT_EQ(sums, (std::vector<int64_t>{40, 20}));
  EXPECT_TRUE(database_->ok());
}

TEST_F(RowTableTest, RefusesWhatIsNoTable) {
  Statement query = database_->Prepare("SELECT i0 FROM row_table(?)");
  ASSERT_TRUE(database_->ok());
  query.Start(5);
  EXPECT_FALSE(query.Next());
  EXPECT_FALSE(database_->TakeStatus().ok());
  database_->Prepare("SELECT i0 FROM row_table");
  EXPECT_FALSE(database_->TakeStatus().ok());
}

}  // namespace
}  // namespace tokenwatch::testing
