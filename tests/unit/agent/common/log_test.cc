#include "agent/common/log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(LogTest, OnlyTheJournalGetsPriorities) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  struct stat stream;
  ASSERT_EQ(fstat(ends[1], &stream), 0);
  const std::string name = std::to_string(stream.st_dev) + ":" + std::to_string(stream.st_ino);
  EXPECT_TRUE(IsJournal(ends[1], name.c_str()));
  // A program's output that was sent elsewhere keeps the variable of its service.
  EXPECT_FALSE(IsJournal(ends[1], "1:2"));
  EXPECT_FALSE(IsJournal(ends[1], ""));
  EXPECT_FALSE(IsJournal(ends[1], nullptr));
  close(ends[0]);
  close(ends[1]);
  EXPECT_FALSE(IsJournal(ends[1], name.c_str()));
}

}  // namespace
}  // namespace tokenwatch
