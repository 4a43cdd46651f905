#include "agent/capture/capabilities.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kAll = (uint64_t{1} << (CAP_LAST_CAP + 1)) - 1;

uint64_t Without(std::initializer_list<int> bits) {
  uint64_t rest = kAll;
  for (const int bit : bits) rest &= ~(uint64_t{1} << bit);
  return rest;
}

HostFacts GoodHost() {
  HostFacts facts;
  facts.release = "6.12.9-cloud-amd64";
  facts.major = 6;
  facts.minor = 12;
  facts.btf = HostFacts::Btf::kReadable;
  facts.capabilities = kAll;
  facts.lockdown = "none";
  return facts;
}

// One sentence with these words, and never the kernel's own "permission denied".
void ExpectSaid(const absl::Status& status, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts) {
    EXPECT_TRUE(absl::StrContains(status.message(), part)) << status << "\nlacks: " << part;
  }
  EXPECT_FALSE(absl::StrContains(status.message(), "ermission denied")) << status;
  EXPECT_FALSE(absl::StrContains(status.message(), "ot permitted")) << status;
}

TEST(CapabilitiesTest, ARootsHostIsFine) {
  EXPECT_TRUE(CheckHost(GoodHost()).ok());
  EXPECT_TRUE(LostCapabilities(GoodHost()).empty());
}

// Every row alone: what is needed stops the agent by name, the rest only costs what it says.
TEST(CapabilitiesTest, EachMissingOneIsNamed) {
  for (const CapabilityRow& row : CapabilityRows()) {
    SCOPED_TRACE(row.name);
    HostFacts facts = GoodHost();
    facts.capabilities = Without({row.bit});
    facts.minor = 10;
    facts.major = 5;
    facts.memory_lock_bounded = true;
    const absl::Status status = CheckHost(facts);
    if (row.in_sys_admin) {
      EXPECT_TRUE(status.ok()) << status;
      facts.capabilities = Without({row.bit, CAP_SYS_ADMIN});
      ExpectSaid(CheckHost(facts), {absl::StrCat(row.name, " (", row.purpose)});
    } else if (row.without == nullptr) {
      ExpectSaid(status,
                 {absl::StrCat("missing ", row.name, " ("), "run the agent as root, or grant"});
    } else {
      EXPECT_TRUE(status.ok()) << status;
      ASSERT_EQ(LostCapabilities(facts).size(), 1u);
      EXPECT_EQ(LostCapabilities(facts)[0], absl::StrCat("without ", row.name, " ", row.without));
    }
  }
}

TEST(CapabilitiesTest, MemoryIsLockedForMapsOnlyBefore511AndWhereItIsBounded) {
  struct Row {
    int major, minor;
    bool bounded, good;
  };
  for (const Row& row : {Row{5, 10, true, false}, Row{5, 10, false, true}, Row{5, 11, true, true},
                         Row{6, 1, true, true}}) {
    HostFacts facts = GoodHost();
    facts.capabilities = Without({CAP_SYS_RESOURCE});
    facts.major = row.major;
    facts.minor = row.minor;
    facts.memory_lock_bounded = row.bounded;
    EXPECT_EQ(CheckHost(facts).ok(), row.good) << row.major << "." << row.minor;
  }
}

TEST(CapabilitiesTest, WhatElseKeepsTheAgentFromWorkingIsSaidInOneSentence) {
  struct Row {
    const char* name;
    void (*spoil)(HostFacts*);
    const char* said;
  };
  const Row rows[] = {
      {"old kernel",
       [](HostFacts* facts) {
         facts->release = "5.4.0-42-generic";
         facts->major = 5;
         facts->minor = 4;
       },
       "kernel 5.4.0-42-generic is too old for the BPF programs: boot 5.10"},
      {"no BTF", [](HostFacts* facts) { facts->btf = HostFacts::Btf::kMissing; },
       "has no BTF (/sys/kernel/btf/vmlinux is not there): boot a kernel"},
      {"hidden BTF", [](HostFacts* facts) { facts->btf = HostFacts::Btf::kUnreadable; },
       "may not be read by this process: mount /sys"},
      {"confidentiality", [](HostFacts* facts) { facts->lockdown = "confidentiality"; },
       "locked down for confidentiality, so that no BPF program may read memory: boot it with "
       "lockdown=integrity"},
      {"user namespace", [](HostFacts* facts) { facts->in_user_namespace = true; },
       "count in its own user namespace only: run the agent on the host"},
  };
  for (const Row& row : rows) {
    HostFacts facts = GoodHost();
    row.spoil(&facts);
    SCOPED_TRACE(row.name);
    ExpectSaid(CheckHost(facts), {row.said});
  }
}

TEST(CapabilitiesTest, IntegrityLockdownAndAnUnknownReleasePass) {
  HostFacts facts = GoodHost();
  facts.lockdown = "integrity";
  facts.release = "";
  facts.major = facts.minor = 0;
  EXPECT_TRUE(CheckHost(facts).ok());
}

TEST(CapabilitiesTest, ARefusalSaysWhereToLook) {
  for (const int error : {EPERM, EACCES}) {
    const absl::Status status = KernelError(-error, "loading the BPF programs of processes");
    EXPECT_TRUE(absl::IsPermissionDenied(status));
    ExpectSaid(status,
               {"loading the BPF programs of processes: refused", "tokenwatch-agent doctor"});
  }
}

class HostFactsTest : public ::testing::Test {
 protected:
  HostFactsTest() : root_(fs::temp_directory_path() / absl::StrCat("facts-", getpid())) {
    Write("proc/sys/kernel/osrelease", "6.1.0-rc3+\n");
    Write("proc/self/status",
          "Name:\tagent\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t2\n");
    Write("proc/self/uid_map", "         0          0 4294967295\n");
    Write("proc/self/limits",
          "Limit                     Soft Limit           Hard Limit           Units     \n"
          "Max locked memory         8388608              unlimited            bytes     \n");
    Write("sys/kernel/btf/vmlinux", "types");
    Write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
  }
  ~HostFactsTest() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  HostFacts Read() const { return ReadHostFacts(root_ / "proc", root_ / "sys"); }

  const fs::path root_;
};

TEST_F(HostFactsTest, ReadsWhatFilesTell) {
  const HostFacts facts = Read();
  EXPECT_EQ(facts.release, "6.1.0-rc3+");
  EXPECT_EQ(facts.major, 6);
  EXPECT_EQ(facts.minor, 1);
  EXPECT_EQ(facts.btf, HostFacts::Btf::kReadable);
  EXPECT_EQ(facts.capabilities, 0x1ffffffffffu);
  EXPECT_TRUE(facts.has_seccomp_filter);
  EXPECT_FALSE(facts.in_user_namespace);
  EXPECT_FALSE(facts.memory_lock_bounded);
  EXPECT_EQ(facts.lockdown, "integrity");
}

TEST_F(HostFactsTest, ReadsAContainersFiles) {
  Write("proc/self/uid_map", "         0     100000      65536\n");
  Write("proc/self/limits", "Max locked memory         8388608              8388608   bytes\n");
  Write("proc/self/status", "CapEff:\t0000000000000000\nSeccomp:\t0\n");
  fs::remove_all(root_ / "sys");
  const HostFacts facts = Read();
  EXPECT_TRUE(facts.in_user_namespace);
  EXPECT_TRUE(facts.memory_lock_bounded);
  EXPECT_FALSE(facts.has_seccomp_filter);
  EXPECT_EQ(facts.capabilities, 0u);
  EXPECT_EQ(facts.btf, HostFacts::Btf::kMissing);
  EXPECT_EQ(facts.lockdown, "");
}

TEST_F(HostFactsTest, WithoutProcTheKernelTellsTheCapabilities) {
  EXPECT_TRUE(Read().has_proc);
  const uint64_t own = ReadHostFacts().capabilities;
  fs::remove_all(root_ / "proc");
  const HostFacts facts = Read();
  EXPECT_FALSE(facts.has_proc);
  EXPECT_EQ(facts.capabilities, own);
  EXPECT_TRUE(absl::StrContains(CheckHost(facts).message(), "mount proc")) << CheckHost(facts);
}

TEST_F(HostFactsTest, NonsenseIsNotKnown) {
  Write("proc/sys/kernel/osrelease", "linux\n");
  Write("proc/self/status", "CapEff:\tall of them\n");
  Write("proc/self/uid_map", "");
  Write("sys/kernel/security/lockdown", "]none[\n");
  const HostFacts facts = Read();
  EXPECT_EQ(facts.major, 0);
  EXPECT_EQ(facts.capabilities, 0u);
  EXPECT_FALSE(facts.in_user_namespace);
  EXPECT_EQ(facts.lockdown, "");
}

}  // namespace
}  // namespace tokenwatch
