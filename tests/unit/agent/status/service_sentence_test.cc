#include "agent/status/service_sentence.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

AgentStatus Watching() {
  AgentStatus status;
  status.capture.socket_backend = "fentry";
  for (const char* file : {"/usr/lib/libssl.so.3", "/usr/lib/libssl.so.3", "/opt/node"}) {
    CaptureStatus::Probe probe;
    probe.file = file;
    status.capture.probes.push_back(probe);
  }
  status.reporter.connected = true;
  return status;
}

TEST(ServiceSentenceTest, SaysWhatIsWatched) {
  EXPECT_EQ(ServiceSentence(Watching()),
            "watching the whole host: 3 probes in 2 TLS libraries, sockets by fentry; connected to "
            "the collector");
}

TEST(ServiceSentenceTest, TellsOfRefusedFormats) {
  AgentStatus status = Watching();
  status.formats_refused = {"f.yaml:1: wrong"};
  EXPECT_TRUE(ServiceSentence(status).ends_with("; 1 token format is refused"));
  status.formats_refused.emplace_back("f.yaml:9: wrong");
  EXPECT_TRUE(ServiceSentence(status).ends_with("; 2 token formats are refused"));
}

TEST(ServiceSentenceTest, WhatIsWrongComesFirst) {
  AgentStatus status = Watching();
  status.reporter.connected = false;
  status.reporter.unacknowledged_uses = 7;
  status.reporter.last_error = "the collector at [::1]:1 cannot be reached";
  status.reporter.spool_error = "the spool cannot be written";
  status.capture.discovery_degraded = "mapped-files-only: no fanotify";
  EXPECT_EQ(
      ServiceSentence(status),
      "the spool cannot be written; not connected to the collector, 7 uses wait (the collector "
      "at [::1]:1 cannot be reached); watching the whole host: 3 probes in 2 TLS libraries, "
      "sockets by fentry; degraded");
}

}  // namespace
}  // namespace tokenwatch
