#include "collector/notify/ocsf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/unit/collector/notify/example_finding.h"
#include "tests/unit/collector/notify/ocsf_schema_check.h"

namespace tokenwatch {
namespace {

void ExpectHas(const Json& event, const std::vector<const char*>& pointers) {
  for (const char* pointer : pointers) {
    EXPECT_TRUE(event.contains(Json::json_pointer(pointer))) << pointer << " in " << event.dump(2);
  }
}

// What schema 1.5.0 requires of every class.
void ExpectBase(const Json& event) {
  ExpectHas(event, {"/activity_id", "/category_uid", "/class_uid", "/metadata/product/vendor_name",
                    "/metadata/version", "/severity_id", "/time", "/type_uid"});
  EXPECT_EQ(event["type_uid"],
            event["class_uid"].get<int>() * 100 + event["activity_id"].get<int>());
  EXPECT_EQ(event["class_uid"].get<int>() / 1000, event["category_uid"]);
  const std::vector<std::string> problems = OcsfProblems(event);
  EXPECT_TRUE(problems.empty()) << absl::StrJoin(problems, "\n") << "\n" << DumpJson(event);
}

TEST(OcsfTest, AFindingIsADetectionFinding) {
  const Json event = OcsfOfFinding(ExampleFinding(), "fnd_x:1");
  ExpectBase(event);
  ExpectHas(event, {"/finding_info/uid", "/finding_info/title", "/finding_info/analytic/type_id",
                    "/evidences/0/actor/process/pid", "/evidences/0/api/operation",
                    "/evidences/0/src_endpoint/ip", "/evidences/0/dst_endpoint/ip",
                    "/resources/0/owner/email_addr", "/remediation/desc"});
  EXPECT_EQ(event["class_uid"], 2004);
  EXPECT_EQ(event["type_uid"], 200401);
  EXPECT_EQ(event["severity_id"], 4);
  EXPECT_EQ(event["severity"], "High");
  EXPECT_EQ(event["status_id"], 1);
  EXPECT_EQ(event["is_alert"], true);
  EXPECT_EQ(event["confidence_id"], 3);
  EXPECT_EQ(event["confidence_score"], 80);
  EXPECT_EQ(event["time"], (kExampleSeconds + 61) * 1000 + 250);
  EXPECT_EQ(event["metadata"]["uid"], "fnd_x:1");
  EXPECT_EQ(event["finding_info"]["uid"], "fnd_35602yf42tr1pnyk1wrynxw9gd");
  EXPECT_EQ(event["resources"][0]["uid"], "tok_35602yf42tr1pnyk1wrynxw9gd");
  EXPECT_EQ(event["evidences"][0]["data"]["status"], 403);
  // One line that a parser takes, whatever was captured.
  const std::string line = DumpJson(event);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_TRUE(Json::accept(line));
}

TEST(OcsfTest, StateAndRevisionChooseActivityAndStatus) {
  struct Case {
    const char* state;
    uint32_t revision;
    int activity, status;
    bool alert;
  };
  for (const Case& each : std::vector<Case>{{"open", 1, 1, 1, true},
                                            {"open", 4, 2, 1, true},
                                            {"suppressed", 1, 1, 3, false},
                                            {"closed", 3, 3, 4, false},
                                            {"odd", 1, 1, 99, false}}) {
    v1::Finding finding = ExampleFinding();
    finding.set_state(each.state);
    finding.set_revision(each.revision);
    const Json event = OcsfOfFinding(finding, "k");
    EXPECT_EQ(event["activity_id"], each.activity) << each.state;
    EXPECT_EQ(event["status_id"], each.status) << each.state;
    EXPECT_EQ(event["is_alert"], each.alert) << each.state;
  }
}

TEST(OcsfTest, EverySeverityHasItsNumber) {
  const std::vector<std::pair<const char*, int>> cases = {
      {"info", 1}, {"low", 2}, {"medium", 3}, {"high", 4}, {"critical", 5}, {"", 99}, {"odd", 99}};
  for (const auto& [severity, id] : cases) {
    v1::Finding finding;
    finding.set_severity(severity);
    EXPECT_EQ(OcsfOfFinding(finding, "k")["severity_id"], id) << severity;
  }
}

TEST(OcsfTest, AnEmptyFindingStillHasWhatIsRequired) {
  const Json event = OcsfOfFinding(v1::Finding(), "k");
  ExpectBase(event);
  EXPECT_FALSE(event.contains("evidences"));
  EXPECT_FALSE(event.contains("resources"));
}

TEST(OcsfTest, AnOutboundUseIsAnApiActivityOfItsWorkload) {
  const Json event = OcsfOfUse(ExampleUse());
  ExpectBase(event);
  ExpectHas(event, {"/actor/process/file/type_id", "/api/operation", "/src_endpoint",
                    "/http_request/url/url_string", "/http_response/code", "/device/type_id"});
  EXPECT_EQ(event["class_uid"], 6003);
  EXPECT_EQ(event["activity_id"], 2);
  EXPECT_EQ(event["status_id"], 2);
  EXPECT_EQ(event["status_code"], "403");
  EXPECT_EQ(event["duration"], 2);
  EXPECT_EQ(event["count"], 3);
  EXPECT_EQ(event["metadata"]["uid"], "agt_1/00ff/42");
  EXPECT_EQ(event["actor"]["user"]["credential_uid"], "tok_35602yf42tr1pnyk1wrynxw9gd");
  EXPECT_EQ(event["actor"]["process"]["container"]["image"]["name"], "registry.example/app:1");
  EXPECT_EQ(event["src_endpoint"]["ip"], "10.0.0.5");
  EXPECT_EQ(event["dst_endpoint"]["hostname"], "api.github.com");
  EXPECT_EQ(event["dst_endpoint"]["ip"], "192.0.2.7");
  EXPECT_EQ(event["http_request"]["url"]["url_string"], "https://api.github.com/repos/{id}");
}

TEST(OcsfTest, OfAnInboundUseTheWorkloadIsNotTheActor) {
  v1::Use use = ExampleUse();
  use.set_direction("inbound");
  const Json event = OcsfOfUse(use);
  ExpectBase(event);
  EXPECT_FALSE(event["actor"].contains("process"));
  EXPECT_EQ(event["actor"]["app_name"], "curl/8.5");
  EXPECT_EQ(event["src_endpoint"]["ip"], "192.0.2.7");
  EXPECT_EQ(event["dst_endpoint"]["ip"], "10.0.0.5");
}

TEST(OcsfTest, AUseOfNothingKnownHasAnActorAndEndpoints) {
  for (const char* direction : {"outbound", "inbound"}) {
    v1::Use use;
    use.set_direction(direction);
    const Json event = OcsfOfUse(use);
    ExpectBase(event);
    EXPECT_FALSE(event["actor"].empty());
    EXPECT_FALSE(event["src_endpoint"].empty());
    EXPECT_EQ(event["activity_id"], 99);
    EXPECT_EQ(event["status_id"], 99);
  }
}

TEST(OcsfTest, AGapIsABaseEvent) {
  const Json event = OcsfOfGap(7, "gap/1/9", kExampleSeconds * 1'000'000);
  ExpectBase(event);
  EXPECT_EQ(event["count"], 7);
  EXPECT_EQ(event["metadata"]["uid"], "gap/1/9");
  EXPECT_EQ(event["time"], kExampleSeconds * 1000);
}

// Whatever is known of a use and what is not.
TEST(OcsfTest, UsesOfEveryKindHoldToTheSchema) {
  const std::vector<void (*)(v1::Use*)> changes = {
      [](v1::Use* use) { use->set_direction("inbound"); },
      [](v1::Use* use) { use->set_outcome("unanswered"); },
      [](v1::Use* use) { use->set_status(0); },
      [](v1::Use* use) { use->set_method("PURGE"); },
      [](v1::Use* use) { use->set_method("PATCH"); },
      [](v1::Use* use) { use->set_peer_address("not an address"); },
      [](v1::Use* use) { use->clear_local_address(); },
      [](v1::Use* use) { use->clear_host(); },
      [](v1::Use* use) { use->clear_token_id(); },
      [](v1::Use* use) { use->set_query("a=&b="); },
      [](v1::Use* use) { use->clear_workload(); },
      [](v1::Use* use) { use->mutable_workload()->set_pid(0); },
      [](v1::Use* use) { use->mutable_workload()->clear_comm(); },
      [](v1::Use* use) { use->mutable_workload()->clear_image(); },
      [](v1::Use* use) { use->mutable_workload()->set_exe("/"); },
      [](v1::Use* use) { use->set_count(uint64_t{1} << 40); },
      [](v1::Use* use) { use->mutable_workload()->set_pid(0xffffffff); },
      [](v1::Use* use) { use->set_agent_address("unix:"); },
  };
  for (size_t first = 0; first < changes.size(); ++first) {
    for (size_t second = first; second < changes.size(); ++second) {
      SCOPED_TRACE(absl::StrCat(first, " ", second));
      v1::Use use = ExampleUse();
      changes[first](&use);
      changes[second](&use);
      ExpectBase(OcsfOfUse(use));
      v1::Finding finding = ExampleFinding();
      *finding.mutable_evidence(0) = use;
      finding.set_uses(use.count());
      ExpectBase(OcsfOfFinding(finding, "k"));
    }
  }
}

// The check itself: each of these is found.
TEST(OcsfTest, TheCheckFindsWhatIsWrong) {
  const std::vector<std::pair<const char*, const char*>> patches = {
      {"/severity_id", "7"},           {"/status_code", "403"},   {"/src_endpoint/ip", "\"::g\""},
      {"/src_endpoint/port", "65536"}, {"/device/hostname", "5"}, {"/metadata/version", "null"},
      {"/actor/process/nope", "1"},    {"/malware", "[]"},        {"/metadata/profiles", "[]"}};
  ASSERT_TRUE(OcsfProblems(OcsfOfUse(ExampleUse())).empty());
  for (const auto& [pointer, value] : patches) {
    Json event = OcsfOfUse(ExampleUse());
    event[Json::json_pointer(pointer)] = Json::parse(value);
    EXPECT_FALSE(OcsfProblems(event).empty()) << pointer;
  }
  Json event = OcsfOfUse(ExampleUse());
  event["metadata"].erase("product");
  EXPECT_EQ(OcsfProblems(event), std::vector<std::string>{"/metadata/product is required"});
}

}  // namespace
}  // namespace tokenwatch
