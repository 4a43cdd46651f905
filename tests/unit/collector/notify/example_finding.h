// A finding with every field, some of them hostile.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_EXAMPLE_FINDING_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_EXAMPLE_FINDING_H_

#include <cstdint>

#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

inline constexpr int64_t kExampleSeconds = 1'795'372'101;  // 2026-11-22T18:28:21Z

inline void SetTime(int64_t seconds, google::protobuf::Timestamp* time) {
  time->set_seconds(seconds);
  time->set_nanos(250'000'000);
}

inline v1::Use ExampleUse() {
  v1::Use use;
  SetTime(kExampleSeconds, use.mutable_time());
  use.set_token_id("tok_35602yf42tr1pnyk1wrynxw9gd");
  use.set_key_id("key_862n1q9x");
  use.set_format("github_pat_classic");
  use.set_provider("GitHub");
  use.set_carrier("authorization_bearer");
  use.set_method("GET");
  use.set_scheme("https");
  use.set_host("api.github.com");
  use.set_path("/repos/{id}");
  use.set_user_agent("curl/8.5");
  use.set_http_version("2");
  use.set_request_id("req-1");
  use.set_status(403);
  use.set_outcome("denied");
  use.set_latency_us(2500);
  use.set_peer_address("192.0.2.7");
  use.set_peer_port(443);
  use.set_local_address("10.0.0.5");
  use.set_local_port(40000);
  use.set_direction("outbound");
  use.set_count(3);
  use.set_agent("agt_1");
  use.set_stream("00ff");
  use.set_sequence(42);
  use.set_owner("payments");
  v1::Workload* const workload = use.mutable_workload();
  workload->set_host("web-1");
  workload->set_pid(4711);
  workload->set_comm("python3");
  workload->set_exe("/usr/bin/python3");
  workload->set_user("deploy");
  workload->set_uid(1000);
  workload->set_container_id("c0ffee");
  workload->set_image("registry.example/app:1");
  return use;
}

inline v1::Finding ExampleFinding() {
  v1::Finding finding;
  finding.set_finding_id("fnd_35602yf42tr1pnyk1wrynxw9gd");
  finding.set_rule("new_host");
  finding.set_severity("high");
  finding.set_state("open");
  finding.set_title("A token went to a new host <!channel>");
  finding.set_token_id("tok_35602yf42tr1pnyk1wrynxw9gd");
  finding.set_owner("payments");
  finding.set_contact("pay@example.com");
  SetTime(kExampleSeconds, finding.mutable_first_seen());
  SetTime(kExampleSeconds + 60, finding.mutable_last_seen());
  SetTime(kExampleSeconds + 61, finding.mutable_raised());
  finding.set_uses(3);
  finding.set_normal("api.github.com & 2 others");
  finding.set_observed("evil.example\n]\"\\ \xff\x1b[31m");
  finding.set_advice("Ask the owner; revoke the token if nobody knows.");
  finding.set_confidence(0.8);
  finding.set_history_days(21);
  finding.set_history_uses(900);
  finding.set_format("github_pat_classic");
  finding.set_provider("GitHub");
  finding.set_workload("python3");
  finding.set_revision(1);
  finding.set_value("evil.example");
  *finding.add_evidence() = ExampleUse();
  return finding;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_EXAMPLE_FINDING_H_
