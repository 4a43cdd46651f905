#include "agent/broker/wire.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/broker/messages.h"

namespace tokenwatch {
namespace {

CaptureStatus Sample() {
  CaptureStatus status;
  status.probes.push_back({"openssl",
                           "/lib/\xff\"x\n",
                           "SSL_write",
                           {"SSL_write", "SSL_write_ex"},
                           "SSL_write+0",
                           "because",
                           true,
                           4096,
                           12,
                           false,
                           "sites",
                           "why",
                           {1, 2, 3},
                           7});
  status.probes.emplace_back();
  status.socket_backend = "fentry";
  status.socket_sites = {"a", ""};
  status.scope_executables = {"/usr/bin/x"};
  status.scope_pods = 3;
  status.scope_pods_without_cgroup = 1;
  status.scope_degraded = "pods-directory-missing: why";
  return status;
}

TEST(WireTest, AStatusComesBackAsItWas) {
  const CaptureStatus status = Sample();
  WireWriter writer;
  writer(status);
  CaptureStatus read;
  WireReader reader(writer.bytes());
  reader(read);
  ASSERT_TRUE(reader.IsDone());
  ASSERT_EQ(read.probes.size(), 2u);
  const CaptureStatus::Probe& probe = read.probes[0];
  EXPECT_EQ(probe.file, status.probes[0].file);
  EXPECT_EQ(probe.symbols, status.probes[0].symbols);
  EXPECT_EQ(probe.offset, 4096u);
  EXPECT_FALSE(probe.hits_known);
  EXPECT_TRUE(probe.emulated);
  EXPECT_EQ(probe.return_offsets, status.probes[0].return_offsets);
  EXPECT_EQ(probe.stepped_returns, 7u);
  EXPECT_EQ(read.socket_sites, status.socket_sites);
  EXPECT_EQ(read.scope_pods_without_cgroup, 1u);
  EXPECT_EQ(read.scope_degraded, status.scope_degraded);
}

TEST(WireTest, MapsAndMaybesComeBack) {
  const std::map<std::string, uint64_t> counters = {{"a", 1}, {"b_lost", ~uint64_t{0}}};
  const std::vector<std::optional<ProcReader::Stat>> stats = {
      std::nullopt, ProcReader::Stat{.parent_pid = 1, .start_ticks = 99}};
  WireWriter writer;
  writer(counters, stats, true, -1);
  std::map<std::string, uint64_t> read_counters;
  std::vector<std::optional<ProcReader::Stat>> read_stats;
  bool yes = false;
  int negative = 0;
  WireReader reader(writer.bytes());
  reader(read_counters, read_stats, yes, negative);
  ASSERT_TRUE(reader.IsDone());
  EXPECT_EQ(read_counters, counters);
  ASSERT_EQ(read_stats.size(), 2u);
  EXPECT_FALSE(read_stats[0].has_value());
  EXPECT_EQ(read_stats[1]->start_ticks, 99u);
  EXPECT_TRUE(yes);
  EXPECT_EQ(negative, -1);
}

TEST(WireTest, EveryCutIsSeen) {
  WireWriter writer;
  writer(Sample());
  for (size_t size = 0; size < writer.bytes().size(); ++size) {
    CaptureStatus read;
    WireReader reader(writer.bytes().substr(0, size));
    reader(read);
    EXPECT_FALSE(reader.IsDone()) << size;
  }
}

TEST(WireTest, ALyingCountTakesNoMemory) {
  WireWriter writer;
  writer(~uint64_t{0} >> 8);
  std::vector<std::string> list;
  WireReader reader(writer.bytes());
  reader(list);
  EXPECT_FALSE(reader.ok());
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace tokenwatch
