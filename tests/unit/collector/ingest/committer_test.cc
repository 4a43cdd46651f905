#include "collector/ingest/committer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "collector/store/fake_store.h"
#include "tests/unit/agent/report/wait_for.h"

namespace tokenwatch {
namespace {

class TestSource : public CommitSource {
 public:
  void OnCommitted(const std::string& stream, uint64_t last_sequence) override {
    const absl::MutexLock lock(&mutex_);
    committed_.emplace_back(stream, last_sequence);
  }
  void OnCommitFailed(const absl::Status& /*status*/) override { ++failures; }
  void OnRoom() override { ++rooms; }

  std::vector<std::pair<std::string, uint64_t>> committed() const {
    const absl::MutexLock lock(&mutex_);
    return committed_;
  }

  std::atomic<int> failures = 0;
  std::atomic<int> rooms = 0;

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::pair<std::string, uint64_t>> committed_;
};

IngestBatch Batch(const std::string& agent, uint64_t first_sequence, size_t uses = 1) {
  IngestBatch batch;
  batch.agent = agent;
  batch.stream = "0123456789abcdef";
  batch.first_sequence = first_sequence;
  batch.uses.resize(uses);
  for (UseRow& row : batch.uses) row.context = std::make_shared<UseContext>();
  return batch;
}

// Holds the committer inside its first commit.
class HeldCommit {
 public:
  explicit HeldCommit(FakeStore* store) {
    store->SetCommitHook([this](absl::Span<const IngestBatch> batches) {
      sizes.push_back(batches.size());
      if (sizes.size() > 1) return absl::OkStatus();
      entered.Notify();
      go_on.WaitForNotification();
      return result;
    });
  }

  absl::Notification entered;
  absl::Notification go_on;
  absl::Status result;
  std::vector<size_t> sizes;  // of commits, in batches; read it when the committer has stopped
};

TEST(Committer, AnswersAfterTheCommitAndInOrder) {
  FakeStore store;
  HeldCommit held(&store);
  const auto source = std::make_shared<TestSource>();
  {
    Committer committer(&store, {});
    EXPECT_TRUE(committer.Submit(source, Batch("agt_1", 1)));
    held.entered.WaitForNotification();
    EXPECT_TRUE(committer.Submit(source, Batch("agt_1", 2, 3)));
    EXPECT_TRUE(committer.Submit(source, Batch("agt_1", 5)));
    EXPECT_TRUE(source->committed().empty());
    held.go_on.Notify();
  }
  const std::string stream = "0123456789abcdef";
  EXPECT_EQ(source->committed(),
            (std::vector<std::pair<std::string, uint64_t>>{{stream, 1}, {stream, 4}, {stream, 5}}));
  EXPECT_EQ(store.uses().size(), 5u);
}

TEST(Committer, WhatWaitsGoesIntoOneCommit) {
  FakeStore store;
  HeldCommit held(&store);
  {
    Committer committer(&store, {.max_commit_records = 150});
    const auto source = std::make_shared<TestSource>();
    committer.Submit(source, Batch("agt_1", 1));
    held.entered.WaitForNotification();
    for (uint64_t i = 0; i < 20; ++i) {
      committer.Submit(std::make_shared<TestSource>(), Batch("agt_" + std::to_string(i), 2, 10));
    }
    held.go_on.Notify();
  }
  EXPECT_EQ(held.sizes, (std::vector<size_t>{1, 15, 5}));
}

TEST(Committer, AFailureEndsItsSourcesAndDropsWhatTheySubmittedSince) {
  FakeStore store;
  HeldCommit held(&store);
  held.result = absl::InternalError("disk is full");
  const auto failing = std::make_shared<TestSource>();
  const auto other = std::make_shared<TestSource>();
  Committer committer(&store, {});
  committer.Submit(failing, Batch("agt_1", 1));
  held.entered.WaitForNotification();
  committer.Submit(failing, Batch("agt_1", 2));
  committer.Submit(other, Batch("agt_2", 1));
  held.go_on.Notify();
  ASSERT_TRUE(WaitFor([&] { return failing->failures == 1 && !other->committed().empty(); }));
  committer.Submit(failing, Batch("agt_1", 3));
  committer.Stop();
  EXPECT_TRUE(failing->committed().empty());
  EXPECT_EQ(failing->failures, 1);
  EXPECT_EQ(other->failures, 0);
  EXPECT_EQ(store.uses().size(), 1u) << "2 after 1 was lost would make 1 look like a retry";
  std::map<std::string, uint64_t> counters;
  committer.AddCounters(&counters);
  EXPECT_EQ(counters["ingest_commit_failures"], 1u);
  EXPECT_EQ(counters["ingest_uses"], 1u);
  EXPECT_EQ(counters["ingest_pending_bytes"], 0u);
}

TEST(Committer, StopsReadingWhereTooMuchWaits) {
  const struct {
    const char* what;
    CommitterOptions options;
  } cases[] = {{"in all", {.max_pending_bytes = 2000}}, {"of one", {.max_source_bytes = 2000}}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.what);
    FakeStore store;
    HeldCommit held(&store);
    const auto greedy = std::make_shared<TestSource>();
    const auto modest = std::make_shared<TestSource>();
    Committer committer(&store, test.options);
    EXPECT_TRUE(committer.Submit(modest, Batch("agt_1", 1)));
    held.entered.WaitForNotification();
    EXPECT_FALSE(committer.Submit(greedy, Batch("agt_2", 1, 100)));
    EXPECT_EQ(committer.Submit(modest, Batch("agt_1", 2)), test.options.max_pending_bytes > 2000);
    EXPECT_EQ(greedy->rooms, 0);
    held.go_on.Notify();
    ASSERT_TRUE(WaitFor([&] { return greedy->rooms == 1; }));
    ASSERT_TRUE(WaitFor([&] { return modest->committed().size() == 2; }));
    committer.Stop();
    EXPECT_EQ(modest->rooms, test.options.max_pending_bytes > 2000 ? 0 : 1);
  }
}

TEST(Committer, RecordsTheLatestOfEachAgent) {
  FakeStore store;
  {
    Committer committer(&store, {});
    for (int64_t i = 1; i <= 1000; ++i) {
      committer.Record({.agent = "agt_" + std::to_string(i % 200), .seen_us = i});
    }
  }
  const auto agents = store.agents();
  ASSERT_EQ(agents.size(), 200u);
  EXPECT_EQ(agents.at("agt_0").seen_us, 1000);
  EXPECT_EQ(agents.at("agt_199").seen_us, 999);
}

TEST(Committer, StopCommitsWhatWaits) {
  FakeStore store;
  Committer committer(&store, {});
  const auto source = std::make_shared<TestSource>();
  for (uint64_t i = 1; i <= 100; ++i) committer.Submit(source, Batch("agt_1", i));
  committer.Stop();
  EXPECT_EQ(store.uses().size(), 100u);
  EXPECT_TRUE(committer.Submit(source, Batch("agt_1", 101)));
  committer.Stop();
  EXPECT_EQ(store.uses().size(), 100u);
}

}  // namespace
}  // namespace tokenwatch
