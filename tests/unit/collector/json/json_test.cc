#include "collector/json/json.h"

#include <gtest/gtest.h>

#include "collector/api/queries.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {
namespace {

void SetTime(int64_t seconds, int32_t nanos, google::protobuf::Timestamp* time) {
  time->set_seconds(seconds);
  time->set_nanos(nanos);
}

TEST(JsonTest, AUseHasEveryFieldOfTheDesign) {
  v1::Use use;
  SetTime(1795372101, 123456000, use.mutable_time());
  use.set_token_id("tok_35602yf42tr1pnyk1wrynxw9gd");
  use.set_key_id("key_862n1q9x");
  use.set_method("GET");
  use.set_status(403);
  use.set_latency_us(18446744073709551615U);
  use.set_count(1);
  use.mutable_workload()->set_pid(42);
  SetTime(0, 0, use.mutable_workload()->mutable_start_time());
  EXPECT_EQ(DumpJson(ToJson(use)),
            R"({"time":"2026-11-22T18:28:21.123456Z","tokenId":"tok_35602yf42tr1pnyk1wrynxw9gd",)"
            R"("keyId":"key_862n1q9x","format":"","provider":"","carrier":"","tokenLength":0,)"
            R"("method":"GET","scheme":"","host":"","path":"","query":"","httpVersion":"",)"
            R"("userAgent":"","requestId":"","status":403,"outcome":"",)"
            R"("latencyUs":18446744073709551615,"peerAddress":"","peerPort":0,)"
            R"("peerCertainty":"","localAddress":"","localPort":0,"agentAddress":"",)"
            R"("direction":"","probe":"","count":1,"agent":"","stream":"","sequence":0,)"
            R"("unresolved":false,"workload":{"host":"","pid":42,)"
            R"("startTime":"1970-01-01T00:00:00.000000Z","comm":"","exe":"","script":"",)"
            R"("parentExe":"","uid":0,"user":"","loginUser":"","cgroup":"","containerId":"",)"
            R"("pod":"","namespace":"","serviceAccount":"","unit":"","containerName":"",)"
            R"("image":"","labels":{}},"foreignHost":false,"inQuery":false,"cleartext":false,)"
            R"("expired":false,"algNone":false,"redirected":false,"byContext":false,)"
            R"("badChecksum":false,"userId":"","owner":""})");
}

TEST(JsonTest, AnUnresolvedUseHasNoTokenId) {
  v1::Use use;
  use.set_unresolved(true);
  const Json json = ToJson(use);
  EXPECT_FALSE(json.contains("tokenId"));
  EXPECT_EQ(json["unresolved"], true);
  EXPECT_EQ(json["time"], nullptr) << "a message that is not set";
}

TEST(JsonTest, WhatStandsForItselfHasNoCredential) {
  v1::Use use;
  v1::Token token;
  EXPECT_FALSE(ToJson(use).contains("credentialId"));
  EXPECT_FALSE(ToJson(token).contains("credentialId"));
  EXPECT_EQ(ToJson(token)["publicId"], "");
  EXPECT_EQ(ToJson(token)["expires"], nullptr);
  use.set_credential_id("cred_x");
  token.set_credential_id("cred_x");
  EXPECT_EQ(ToJson(use)["credentialId"], "cred_x");
  EXPECT_EQ(ToJson(token)["credentialId"], "cred_x");
}

TEST(JsonTest, ListsMapsAndNestedMessages) {
  v1::ListAgentsResponse response;
  EXPECT_EQ(DumpJson(ToJson(response)), R"({"agents":[],"nextPageToken":"","coverage":[]})");
  v1::Agent* agent = response.add_agents();
  agent->add_key_ids("key_a");
  agent->add_key_ids("key_b");
  (*agent->mutable_counters())["ring_full_lost"] = 7;
  (*agent->mutable_counters())["a"] = 1;
  agent->add_gaps()->set_kind("agent_down");
  const Json json = ToJson(response)["agents"][0];
  EXPECT_EQ(DumpJson(json["keyIds"]), R"(["key_a","key_b"])");
  EXPECT_EQ(DumpJson(json["counters"]), R"({"a":1,"ring_full_lost":7})");
  EXPECT_EQ(json["gaps"][0]["kind"], "agent_down");
  EXPECT_EQ(json["connected"], false);
}

TEST(JsonTest, TimesOutsideOfRfc3339AreClamped) {
  const std::pair<int64_t, std::string> rows[] = {
      {253402300799, "9999-12-31T23:59:59.000000Z"},
      {253402300800, "9999-12-31T23:59:59.999999Z"},
      {9000000000000000000, "9999-12-31T23:59:59.999999Z"},
      {-9000000000000000000, "0001-01-01T00:00:00.000000Z"},
      {-1, "1969-12-31T23:59:59.000000Z"},
  };
  for (const auto& [seconds, text] : rows) {
    v1::Token token;
    SetTime(seconds, 0, token.mutable_first_used());
    EXPECT_EQ(ToJson(token)["firstUsed"], text) << seconds;
  }
}

TEST(JsonTest, AnyBytesBecomeValidJson) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  v1::ListAgentsResponse response;
  v1::Agent* agent = response.add_agents();
  agent->set_host(all);
  agent->add_key_ids("\xff");
  (*agent->mutable_counters())["\xfe"] = 1;
  for (const bool ascii : {false, true}) {
    const std::string text = DumpJson(ToJson(response), ascii);
    const Json read = Json::parse(text, nullptr, false);
    ASSERT_FALSE(read.is_discarded()) << text;
    EXPECT_EQ(read["agents"][0]["keyIds"][0], "\xef\xbf\xbd");
    EXPECT_TRUE(read["agents"][0]["counters"].contains("\xef\xbf\xbd"));
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
  }
}

TEST(JsonTest, MessagesBecomeFitForProtobuf) {
  v1::TokenDetail detail;
  detail.mutable_token()->add_hosts("a\xff");
  detail.mutable_token()->set_format("\xc3(");
  detail.add_usage()->set_exe("\x80");
  MakeUtf8Valid(&detail);
  EXPECT_EQ(detail.token().hosts(0), "a\xef\xbf\xbd");
  EXPECT_EQ(detail.token().format(), "\xef\xbf\xbd(");
  EXPECT_EQ(detail.usage(0).exe(), "\xef\xbf\xbd");
  v1::TokenDetail read;
  EXPECT_TRUE(read.ParseFromString(detail.SerializeAsString()));
}

}  // namespace
}  // namespace tokenwatch
