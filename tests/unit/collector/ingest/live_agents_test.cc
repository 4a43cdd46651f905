#include "collector/ingest/live_agents.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace tokenwatch {
namespace {

class TestAgent : public LiveAgent {
 public:
  TestAgent(std::string id, std::string instance)
      : id_(std::move(id)), instance_(std::move(instance)), admitted_({.id = id_}) {}
  const std::string& agent_id() const override { return id_; }
  const std::string& instance() const override { return instance_; }
  const AdmittedAgent& admitted() const override { return admitted_; }
  std::string Describe() const override { return "host here"; }
  void OnReplaced() override { ++replaced; }
  void OnShutdown() override { ++shut_down; }
  void OnRefused(const absl::Status&) override { ++refused; }

  int replaced = 0;
  int shut_down = 0;
  int refused = 0;

 private:
  const std::string id_;
  const std::string instance_;
  const AdmittedAgent admitted_;
};

TEST(LiveAgents, RefusesAnotherProcessAndReplacesTheSame) {
  LiveAgents live;
  const auto first = std::make_shared<TestAgent>("agt_1", "one");
  const auto clone = std::make_shared<TestAgent>("agt_1", "two");
  const auto again = std::make_shared<TestAgent>("agt_1", "one");
  const auto other = std::make_shared<TestAgent>("agt_2", "three");
  EXPECT_TRUE(live.Enter(first).ok());
  EXPECT_TRUE(live.Enter(other).ok());
  EXPECT_EQ(live.size(), 2u);
  const absl::Status refused = live.Enter(clone);
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(std::string(refused.message()).find("host here"), std::string::npos);
  EXPECT_TRUE(live.Enter(again).ok());
  EXPECT_EQ(first->replaced, 1);
  live.Leave(first.get());  // late: its place is taken
  EXPECT_TRUE(live.Contains("agt_1"));
  live.Leave(clone.get());
  EXPECT_TRUE(live.Contains("agt_1"));
  live.Leave(again.get());
  EXPECT_FALSE(live.Contains("agt_1"));
  EXPECT_TRUE(live.Enter(clone).ok());
}

TEST(LiveAgents, TakesNobodyInOnceItStops) {
  LiveAgents live;
  const auto agent = std::make_shared<TestAgent>("agt_1", "one");
  ASSERT_TRUE(live.Enter(agent).ok());
  live.Shutdown();
  EXPECT_EQ(agent->shut_down, 1);
  EXPECT_EQ(live.Enter(std::make_shared<TestAgent>("agt_2", "two")).code(),
            absl::StatusCode::kUnavailable);
}

TEST(LiveAgents, RefusesThoseThatMayNotReportAnyMore) {
  LiveAgents live;
  const auto revoked = std::make_shared<TestAgent>("agt_1", "one");
  const auto other = std::make_shared<TestAgent>("agt_2", "two");
  ASSERT_TRUE(live.Enter(revoked).ok());
  ASSERT_TRUE(live.Enter(other).ok());
  const auto check = [](const AdmittedAgent& agent) {
    return agent.id == "agt_1" ? absl::PermissionDeniedError("revoked") : absl::OkStatus();
  };
  EXPECT_EQ(live.RefuseAll(check), 1u);
  EXPECT_EQ(revoked->refused, 1);
  EXPECT_EQ(other->refused, 0);
}

}  // namespace
}  // namespace tokenwatch
