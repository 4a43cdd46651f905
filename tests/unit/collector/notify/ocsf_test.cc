#include "collector/notify/ocsf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/collector/notify/example_finding.h"

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

}  // namespace
}  // namespace tokenwatch
