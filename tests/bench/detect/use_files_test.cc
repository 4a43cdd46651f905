#include "tests/bench/detect/use_files.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "tests/bench/detect/generator.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch {
namespace {

Traffic Read(const std::string& text, ReadProblems* problems) {
  std::istringstream in(text);
  Traffic traffic;
  ReadUses(in, &traffic, problems);
  return traffic;
}

TEST(UseFiles, ReadsWhatTheApiWrites) {
  ReadProblems problems;
  const Traffic traffic = Read(
      R"({"time":"2026-03-02T08:15:30.25Z","tokenId":"tok_35602yf42tr1pnyk1wrynxw9gd",)"
      R"("credentialId":"cred_x","method":"GET","host":"h","path":"/p","userAgent":"ua",)"
      R"("status":"403","count":3,"foreignHost":true,"inQuery":false,"agentAddress":"10.0.0.1",)"
      R"("unheardOf":[1],"workload":{"host":"vm","pid":"7","labels":{"app":"x"},"uid":1}})"
      "\n\n",
      &problems);
  EXPECT_EQ(problems.lines, 0u);
  ASSERT_EQ(traffic.uses().size(), 1u);
  const CommittedUse use = traffic.At(0);
  EXPECT_EQ(use.row.time_us, 1'772'439'330'250'000);
  EXPECT_EQ(use.row.status, 403u);
  EXPECT_EQ(use.row.count, 3u);
  EXPECT_EQ(*use.credential, "cred_x");
  EXPECT_EQ(use.source->agent_address, "10.0.0.1");
  EXPECT_EQ(use.row.context->traits, v1::USE_TRAIT_FOREIGN_HOST);
  EXPECT_EQ(use.row.context->direction, "outbound");
  EXPECT_EQ(use.row.context->workload.pid(), 7u);
  EXPECT_EQ(use.row.context->workload.labels().at("app"), "x");
  EXPECT_EQ(traffic.SubjectOf("tok_35602yf42tr1pnyk1wrynxw9gd"), traffic.SubjectOf("cred_x"));
}

TEST(UseFiles, LeavesOutWhatCannotBeReadAndSaysWhere) {
  struct Row {
    const char* line;
    bool read;
  };
  constexpr Row kRows[] = {
      {R"({"time":"2026-03-02T08:00:00Z"})", true},
      {R"({"time":"2026-03-02T08:00:00+02:00","status":-4,"count":1e300,"pid":"no"})", true},
      {R"({"time":"2026-03-02T08:00:00Z","workload":7,"host":{},"method":null})", true},
      {R"({"time":"9999-03-02T08:00:00Z"})", false},
      {R"({"time":"1970-01-01T00:00:00Z"})", false},
      {R"({"time":"infinite-future"})", false},
      {R"({"time":1772439330})", false},
      {R"({"tokenId":"tok_x"})", false},
      {R"([1])", false},
      {R"({"time":"2026-03-02T08:0)", false},
      {"{\"time\":\"2026-03-02T08:00:00Z\",\"host\":\"\xff\"}", false},
      {"nonsense", false},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.line);
    ReadProblems problems;
    const Traffic traffic = Read(std::string("\n") + row.line + "\n", &problems);
    EXPECT_EQ(traffic.uses().size(), row.read ? 1u : 0u);
    EXPECT_EQ(problems.lines, row.read ? 0u : 1u);
    if (!row.read) {
      EXPECT_EQ(problems.first.at(0).line, 2u);
    }
  }
}

TEST(UseFiles, BoundsTextsAndNumbers) {
  const std::string path(100'000, '/');
  ReadProblems problems;
  const Traffic traffic =
      Read(R"({"time":"2026-03-02T08:00:00Z","status":70000,"count":-1,"latencyUs":1e30,"path":")" +
               path + R"(","userAgent":")" + std::string(4'095, 'a') + "\u00e4\"}\n",
           &problems);
  ASSERT_EQ(traffic.uses().size(), 1u);
  const CommittedUse use = traffic.At(0);
  EXPECT_EQ(use.row.status, 999u);
  EXPECT_EQ(use.row.count, 1u);
  EXPECT_EQ(use.row.latency_us, UINT32_MAX);
  EXPECT_EQ(use.row.context->path.size(), 4'096u);
  EXPECT_EQ(use.row.context->user_agent.size(), 4'095u);
  EXPECT_EQ(use.row.token, nullptr);
}

TEST(UseFiles, SortsAndSharesContexts) {
  ReadProblems problems;
  const Traffic traffic = Read(R"({"time":"2026-03-02T09:00:00Z","tokenId":"b","host":"h"})"
                               "\n"
                               R"({"time":"2026-03-02T08:00:00Z","tokenId":"a","host":"h"})"
                               "\n",
                               &problems);
  ASSERT_EQ(traffic.uses().size(), 2u);
  EXPECT_EQ(traffic.TokenName(traffic.uses()[0].token), "a");
  EXPECT_EQ(traffic.At(0).row.context, traffic.At(1).row.context);
  EXPECT_NE(traffic.At(0).row.token->ids, traffic.At(1).row.token->ids);
}

TEST(UseFiles, ReadsOutcomesWithoutStatus) {
  struct Row {
    const char* fields;
    uint32_t status, grpc_status;
  };
  constexpr Row kRows[] = {
      {R"("outcome":"denied")", 403, 0},
      {R"("outcome":"ok")", 200, 0},
      {R"("outcome":"unanswered")", 0, 0},
      {R"("status":401,"outcome":"denied")", 401, 0},
      {R"("status":200,"outcome":"denied")", 200, 8},
      {R"("status":200,"outcome":"whatever")", 200, 0},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.fields);
    ReadProblems problems;
    const Traffic traffic =
        Read(std::string(R"({"time":"2026-03-02T09:00:00Z",)") + row.fields + "}\n", &problems);
    ASSERT_EQ(traffic.uses().size(), 1u);
    EXPECT_EQ(traffic.At(0).row.status, row.status);
    EXPECT_EQ(traffic.At(0).row.grpc_status, row.grpc_status);
  }
}

TEST(UseFiles, ReadsLabels) {
  std::istringstream in(
      R"({"tokenId":"cred_x","from":"2026-03-02T09:00:00Z","to":"2026-03-02T10:00:00Z",)"
      R"("kind":"odd","tokenIds":["a","b",3]})"
      "\n"
      R"({"tokenId":"a","from":"2026-03-02T09:00:00Z","to":"2026-03-02T09:00:00Z"})"
      "\n"
      R"({"from":"2026-03-02T09:00:00Z","to":"2026-03-02T10:00:00Z","kind":"odd"})"
      "\n"
      R"({"tokenId":"a","from":"2026-03-02T11:00:00Z","to":"2026-03-02T10:00:00Z","kind":"odd"})"
      "\n"
      R"({"tokenId":"a","from":"yesterday","to":"2026-03-02T10:00:00Z","kind":"odd"})"
      "\n");
  Traffic traffic;
  ReadProblems problems;
  ReadLabels(in, &traffic, &problems);
  ASSERT_EQ(traffic.labels.size(), 2u);
  EXPECT_EQ(traffic.labels[0].kind, "odd");
  EXPECT_EQ(traffic.labels[0].others, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(traffic.labels[0].to_us - traffic.labels[0].from_us, kHourUs);
  EXPECT_EQ(traffic.labels[1].kind, "unknown");
  EXPECT_EQ(problems.lines, 3u);
}

TEST(UseFiles, WhatIsWrittenIsReadAgain) {
  FleetOptions options;
  options.tokens = 30;
  options.workloads = 8;
  options.days = 14;
  options.misuses = 1;
  const Traffic made = Generate(options);
  std::stringstream uses, labels;
  WriteUses(made, uses);
  WriteLabels(made, labels);
  Traffic read;
  ReadProblems problems;
  ReadUses(uses, &read, &problems);
  ReadLabels(labels, &read, &problems);
  EXPECT_EQ(problems.lines, 0u);
  ASSERT_EQ(read.uses().size(), made.uses().size());
  for (size_t i = 0; i < read.uses().size(); ++i) {
    const CommittedUse a = made.At(i), b = read.At(i);
    ASSERT_EQ(a.row.time_us, b.row.time_us);
    ASSERT_EQ(a.row.token->ids, b.row.token->ids);
    ASSERT_EQ(a.row.status, b.row.status);
    ASSERT_EQ(a.row.context->workload.SerializeAsString(),
              b.row.context->workload.SerializeAsString());
    ASSERT_EQ(a.row.context->path, b.row.context->path);
    ASSERT_EQ(a.row.context->traits, b.row.context->traits);
    ASSERT_EQ(a.source->agent_address, b.source->agent_address);
  }
  ASSERT_EQ(read.labels.size(), made.labels.size());
  for (size_t i = 0; i < read.labels.size(); ++i) {
    EXPECT_EQ(read.labels[i].token_id, made.labels[i].token_id);
    EXPECT_EQ(read.labels[i].from_us, made.labels[i].from_us);
    EXPECT_EQ(read.labels[i].others, made.labels[i].others);
  }
}

}  // namespace
}  // namespace tokenwatch
