#include "agent/common/log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

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

TEST(LogTest, AnEventHasFieldsThatNoValueCanForge) {
  const std::vector<std::string> entry =
      JournalEntry(LogLevel::kWarning, LogEvent::kGap, "a gap\nPRIORITY=0",
                   {{"KIND", "agent_stopped"}, {"PROGRAM", "x\nMESSAGE=y"}});
  ASSERT_EQ(entry.size(), 7U);
  EXPECT_EQ(entry[0], "MESSAGE=a gap\\x0aPRIORITY=0");
  EXPECT_EQ(entry[1], "PRIORITY=4");
  EXPECT_EQ(entry[2], "MESSAGE_ID=" + std::string(EventMessageId(LogEvent::kGap)));
  EXPECT_EQ(entry[4], "TOKENWATCH_EVENT=gap");
  EXPECT_EQ(entry[5], "TOKENWATCH_KIND=agent_stopped");
  EXPECT_EQ(entry[6], "TOKENWATCH_PROGRAM=x\\x0aMESSAGE=y");
}

TEST(LogTest, EventsAreTold) {
  std::set<std::string_view> names, ids;
  for (const LogEvent event : {LogEvent::kReady, LogEvent::kGap, LogEvent::kDegraded,
                               LogEvent::kConnected, LogEvent::kConnectionLost}) {
    EXPECT_TRUE(names.insert(EventName(event)).second);
    EXPECT_TRUE(ids.insert(EventMessageId(event)).second);
    EXPECT_EQ(std::string_view(EventMessageId(event)).size(), 32U);
  }
}

}  // namespace
}  // namespace tokenwatch
