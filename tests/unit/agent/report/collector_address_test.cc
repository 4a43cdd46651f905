#include "agent/report/collector_address.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(CollectorTarget, NamesWhatIsOnThisMachine) {
  const struct {
    const char* address;
    const char* target;
  } cases[] = {
      {"127.0.0.1:7443", "ipv4:127.0.0.1:7443"},
      {"127.8.9.10:1", "ipv4:127.8.9.10:1"},
      {"localhost:7443", "ipv4:127.0.0.1:7443"},
      {"[::1]:7443", "ipv6:[::1]:7443"},
      {"unix:/run/tokenwatch/ingest.sock", "unix:/run/tokenwatch/ingest.sock"},
  };
  for (const auto& test : cases) {
    const auto target = CollectorTarget(test.address);
    ASSERT_TRUE(target.ok()) << test.address << ": " << target.status();
    EXPECT_EQ(*target, test.target);
  }
}

TEST(CollectorTarget, SaysWhatToWriteInstead) {
  const struct {
    std::string address;
    const char* advice;
  } cases[] = {
      {"", "HOST:PORT"},
      {"127.0.0.1", "HOST:PORT"},
      {"127.0.0.1:", "HOST:PORT"},
      {"127.0.0.1:http", "HOST:PORT"},
      {"127.0.0.1:65536", "HOST:PORT"},
      {"127.0.0.1:0", "no port"},
      {"unix:", "unix:/PATH"},
      {"unix:/" + std::string(200, 'x'), "107 bytes"},
      {"10.0.0.5:7443", "127.0.0.1:PORT"},
      {"collector.example:7443", "unencrypted"},
      {"[2001:db8::1]:7443", "127.0.0.1:PORT"},
      {"0.0.0.0:7443", "127.0.0.1:PORT"},
  };
  for (const auto& test : cases) {
    const auto target = CollectorTarget(test.address);
    EXPECT_EQ(target.status().code(), absl::StatusCode::kInvalidArgument) << test.address;
    EXPECT_NE(std::string(target.status().message()).find(test.advice), std::string::npos)
        << target.status();
  }
}

TEST(TlsCollectorTarget, NamesWhatIsAnywhere) {
  const struct {
    const char* address;
    const char* target;
  } cases[] = {
      {"localhost:7443", "ipv4:127.0.0.1:7443"},
      {"10.0.0.5:7443", "ipv4:10.0.0.5:7443"},
      {"[2001:db8::1]:7443", "ipv6:[2001:db8::1]:7443"},
      {"collector.example:7443", "dns:///collector.example:7443"},
      {"unix:/run/tokenwatch/ingest.sock", "unix:/run/tokenwatch/ingest.sock"},
  };
  for (const auto& test : cases) {
    const auto target = TlsCollectorTarget(test.address);
    ASSERT_TRUE(target.ok()) << test.address << ": " << target.status();
    EXPECT_EQ(*target, test.target);
  }
  EXPECT_FALSE(TlsCollectorTarget("collector.example:0").ok());
  EXPECT_FALSE(TlsCollectorTarget("collector.example").ok());
}

}  // namespace
}  // namespace tokenwatch
