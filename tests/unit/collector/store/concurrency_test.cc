// Readers beside a writer: whole commits only, and nobody waits for the other.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "collector/store/sqlite/database.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

TEST(Concurrency, ReadersSeeWholeCommits) {
  StoreFixture fixture;
  constexpr uint64_t kUses = 100;
  constexpr int kCommits = 60;
  const auto context = PlainContext();
  const std::vector<UseRow> uses(kUses, Use(context, Token(1), kNow));
  std::atomic<bool> done{false};
  // More readers than connections.
  std::vector<std::thread> readers;
  for (int i = 0; i < 6; ++i) {
    readers.emplace_back([&, i] {
      uint64_t before = 0;
      std::string cursor = "0";
      uint64_t tailed = 0;
      while (!done) {
        uint64_t seen = 0;
        switch (i % 3) {
          case 0:
            seen = fixture.Stats().uses();
            break;
          case 1: {
            const std::vector<v1::Token> tokens = fixture.Tokens(Filtered("since", "1h"));
            seen = tokens.empty() ? 0 : tokens[0].uses();
            break;
          }
          default:
            tailed += fixture.store().UsesAfter({}, &cursor, 100000).value().size();
            seen = tailed;
        }
        EXPECT_EQ(seen % kUses, 0);
        EXPECT_GE(seen, before);
        before = seen;
      }
    });
  }
  for (int i = 0; i < kCommits; ++i) {
    fixture.Add(uses);
    ASSERT_TRUE(fixture.store().RecordAgent({.agent = "agt_x", .seen_us = kNow + i}).ok());
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(fixture.Stats().uses(), kCommits * kUses);
}

TEST(Concurrency, WritersTakeTurns) {
  StoreFixture fixture;
  std::vector<std::thread> writers;
  for (int agent = 0; agent < 4; ++agent) {
    writers.emplace_back([&fixture, agent] {
      const auto context = PlainContext();
      for (uint64_t i = 1; i <= 30; ++i) {
        const UseRow use = Use(context, Token(i), kNow + static_cast<int64_t>(i));
        EXPECT_TRUE(fixture.store().Commit({Batch(std::to_string(agent), 1, i, {use})}).ok());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(fixture.Stats().uses(), 120);
  EXPECT_EQ(fixture.Stats().tokens(), 30);
  EXPECT_EQ(fixture.Stats().workloads(), 1);
}

TEST(Concurrency, ALongReadHoldsUpNoCommit) {
  StoreFixture fixture;
  fixture.Add({Use(PlainContext(), Token(1), kNow)});
  const auto reader =
      sqlite::Database::Open(fixture.path() + "/tokenwatch.db", sqlite::Database::Mode::kReadOnly)
          .value();
  sqlite::Statement read = reader->Prepare("SELECT * FROM tokens");
  read.Start();
  ASSERT_TRUE(read.Next());
  // The read stays open all the while.
  for (int i = 1; i <= 20; ++i) fixture.Add({Use(PlainContext(), Token(1), kNow + i)});
  EXPECT_EQ(fixture.Uses().size(), 21);
  EXPECT_FALSE(read.Next());
  EXPECT_TRUE(reader->ok());
}

}  // namespace
}  // namespace tokenwatch::testing
