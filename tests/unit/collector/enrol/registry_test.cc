#include "collector/enrol/registry.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/collector/enrol/temporary_directory.h"

namespace tokenwatch {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);
const std::string kHash(32, '\x01'), kOtherHash(32, '\xff');

EnrolledAgent SomeAgent(const std::string& key = kHash) {
  return {.key_sha256 = key,
          .host = "machine \"a\"\n\xff",
          .address = "192.0.2.1",
          .enrolled = kNow,
          .until = kNow + absl::Hours(1)};
}

class RegistryTest : public testing::Test {
 protected:
  std::unique_ptr<Registry> Open() {
    auto registry = Registry::Make(directory_.path());
    EXPECT_TRUE(registry.ok()) << registry.status();
    return registry.ok() ? *std::move(registry) : nullptr;
  }
  std::string File() const { return directory_ / "registry"; }
  void Append(const std::string& text) {
    std::ofstream(File(), std::ios::app | std::ios::binary) << text;
  }

  TemporaryDirectory directory_;
};

TEST_F(RegistryTest, RemembersAcrossProcesses) {
  {
    const auto registry = Open();
    ASSERT_TRUE(registry->AddSecret(kHash, kNow + absl::Hours(1), kNow).ok());
    ASSERT_TRUE(registry->AddCredential("ops", kHash, CredentialScope::kQuery, kNow).ok());
    ASSERT_TRUE(registry->AddCredential("prom", kOtherHash, CredentialScope::kMetrics, kNow).ok());
    ASSERT_TRUE(registry->NoteFleetKey("key_862n1q9x", kNow).ok());
    ASSERT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
    ASSERT_TRUE(registry->AddAgent("agt_2", SomeAgent(kOtherHash)).ok());
    ASSERT_TRUE(registry->RevokeAgent("agt_2", kNow).ok());
  }
  struct stat file;
  ASSERT_EQ(stat(File().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0600u);
  const RegistryState state = Open()->State();
  ASSERT_EQ(state.secrets.size(), 1u);
  EXPECT_EQ(state.secrets[0].sha256, kHash);
  EXPECT_EQ(state.secrets[0].expires, kNow + absl::Hours(1));
  ASSERT_EQ(state.credentials.size(), 2u);
  EXPECT_EQ(state.credentials.at("ops").sha256, kHash);
  EXPECT_EQ(state.credentials.at("prom").scope, CredentialScope::kMetrics);
  EXPECT_EQ(state.first_key_id, "key_862n1q9x");
  ASSERT_EQ(state.agents.size(), 2u);
  EXPECT_FALSE(state.agents.at("agt_1").revoked);
  EXPECT_EQ(state.agents.at("agt_1").key_sha256, kHash);
  EXPECT_EQ(state.agents.at("agt_1").until, kNow + absl::Hours(1));
  EXPECT_TRUE(state.agents.at("agt_2").revoked);
}

TEST_F(RegistryTest, AnIdBelongsToItsFirstKey) {
  const auto registry = Open();
  ASSERT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
  EXPECT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(registry->AddAgent("agt_1", SomeAgent(kOtherHash))));
  ASSERT_TRUE(registry->RevokeAgent("agt_1", kNow).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(registry->AddAgent("agt_1", SomeAgent())));
  EXPECT_TRUE(absl::IsPermissionDenied(registry->AddAgent("agt_1", SomeAgent(kOtherHash))));
  ASSERT_TRUE(registry->ForgetAgent("agt_1", kNow).ok());
  EXPECT_TRUE(registry->AddAgent("agt_1", SomeAgent(kOtherHash)).ok());
  EXPECT_TRUE(absl::IsNotFound(registry->RevokeAgent("agt_9", kNow)));
  EXPECT_TRUE(absl::IsNotFound(registry->ForgetAgent("agt_9", kNow)));
}

TEST_F(RegistryTest, SeesWhatAnotherProcessWrites) {
  const auto collector = Open();
  const auto command = Open();
  EXPECT_FALSE(*collector->Refresh());
  ASSERT_TRUE(collector->AddAgent("agt_1", SomeAgent()).ok());
  ASSERT_TRUE(command->RevokeAgent("agt_1", kNow).ok());  // knows of it without a Refresh
  EXPECT_FALSE(collector->State().agents.at("agt_1").revoked);
  EXPECT_TRUE(*collector->Refresh());
  EXPECT_TRUE(collector->State().agents.at("agt_1").revoked);
  EXPECT_FALSE(*collector->Refresh());
}

TEST_F(RegistryTest, ALineThatWasCutShortIsNone) {
  ASSERT_TRUE(Open()->AddCredential("ops", kHash, CredentialScope::kQuery, kNow).ok());
  Append("{\"event\":\"credential_revoked\",\"time\":1,\"na");
  const auto registry = Open();
  EXPECT_EQ(registry->State().credentials.size(), 1u);
  EXPECT_FALSE(*registry->Refresh());
  ASSERT_TRUE(registry->AddCredential("two", kOtherHash, CredentialScope::kQuery, kNow).ok());
  EXPECT_EQ(Open()->State().credentials.size(), 2u);
}

TEST_F(RegistryTest, ADamagedLineIsNamed) {
  ASSERT_TRUE(Open()->AddCredential("ops", kHash, CredentialScope::kQuery, kNow).ok());
  for (const char* line :
       {"", "x", "[]", "{\"event\":\"from the future\",\"time\":1}",
        "{\"event\":\"agent_revoked\",\"time\":1}", "{\"event\":\"agent_revoked\",\"agent\":\"a\"}",
        "{\"event\":\"secret\",\"time\":1,\"sha256\":\"00\",\"expires\":2}",
        "{\"event\":\"credential\",\"time\":1,\"name\":\"a\",\"sha256\":"
        "\"zz00000000000000000000000000000000000000000000000000000000000000\",\"scope\":"
        "\"query\"}"}) {
    const std::string before = ReadAll(File());
    Append(std::string(line) + "\n");
    const auto registry = Registry::Open(directory_.path());
    ASSERT_FALSE(registry.ok()) << line;
    EXPECT_TRUE(absl::IsDataLoss(registry.status())) << registry.status();
    EXPECT_NE(std::string(registry.status().message()).find("registry:2"), std::string::npos);
    std::ofstream(File(), std::ios::binary | std::ios::trunc) << before;
  }
}

TEST_F(RegistryTest, AFileThatLostLinesIsDamaged) {
  const auto registry = Open();
  std::vector<uint64_t> ends = {0};
  const auto end = [&] { ends.push_back(std::filesystem::file_size(File())); };
  ASSERT_TRUE(registry->AddSecret(kHash, kNow + absl::Hours(1), kNow).ok());
  end();
  ASSERT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
  end();
  ASSERT_TRUE(registry->RevokeAgent("agt_1", kNow).ok());
  end();
  ASSERT_TRUE(registry->AddAgent("agt_2", SomeAgent()).ok());
  std::ifstream file(File(), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  const std::string other_end = whole.substr(ends[3]);
  for (const std::string& rest :
       {std::string(), whole.substr(0, ends[1]), whole.substr(0, ends[2]),
        whole.substr(0, ends[2]) + other_end,              // another program went on
        whole.substr(0, ends[2]) + other_end + other_end,  // further than the end was
        whole.substr(0, ends[3] - 1)}) {
    const auto write = [this](const std::string& text) {
      std::ofstream(File(), std::ios::trunc | std::ios::binary) << text;
    };
    write(rest);
    const auto read = registry->Refresh();
    EXPECT_TRUE(absl::IsDataLoss(read.status())) << rest.size() << ": " << read.status();
    EXPECT_EQ(registry->Refresh().status(), read.status());
    EXPECT_TRUE(absl::IsDataLoss(registry->AddAgent("agt_3", SomeAgent())));
    EXPECT_TRUE(registry->State().agents.at("agt_1").revoked);
    EXPECT_TRUE(registry->State().agents.contains("agt_2"));
    write(whole);
    EXPECT_TRUE(registry->Refresh().ok());
    EXPECT_TRUE(registry->State().agents.at("agt_1").revoked);
  }
  // The last line was taken back.
  ASSERT_EQ(truncate(File().c_str(), static_cast<off_t>(ends[3])), 0);
  EXPECT_TRUE(registry->Refresh().ok());
  EXPECT_FALSE(registry->State().agents.contains("agt_2"));
  EXPECT_TRUE(registry->AddAgent("agt_3", SomeAgent()).ok());
  // Another file is believed.
  std::ofstream(directory_ / "new", std::ios::binary) << whole.substr(0, ends[2]);
  ASSERT_EQ(rename((directory_ / "new").c_str(), File().c_str()), 0);
  EXPECT_TRUE(registry->Refresh().ok());
  EXPECT_FALSE(registry->State().agents.at("agt_1").revoked);
}

TEST_F(RegistryTest, ALineHasABound) {
  const auto registry = Open();
  ASSERT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
  const uint64_t size = std::filesystem::file_size(File());
  EXPECT_TRUE(absl::IsInvalidArgument(
      registry->AddCredential(std::string(65 << 10, 'a'), kHash, CredentialScope::kQuery, kNow)));
  EXPECT_EQ(std::filesystem::file_size(File()), size);
  Append(std::string(65 << 10, 'a'));  // and no end
  EXPECT_TRUE(absl::IsDataLoss(registry->Refresh().status()));
  EXPECT_TRUE(absl::IsDataLoss(Registry::Open(directory_.path()).status()));
  Append("\n");
  EXPECT_TRUE(absl::IsDataLoss(registry->Refresh().status()));
  EXPECT_TRUE(registry->State().agents.contains("agt_1"));
}

TEST_F(RegistryTest, AFileThatIsMissingIsNotBegunAnew) {
  const auto none = Registry::Open(directory_.path());
  EXPECT_TRUE(absl::IsFailedPrecondition(none.status())) << none.status();
  EXPECT_NE(std::string(none.status().message()).find("restore it"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(File()));
}

// Whatever becomes of the file while the collector runs: who was kept out stays out, and nobody
// is let in anew.
TEST_F(RegistryTest, WhatIsKnownHoldsWithoutTheFile) {
  const std::string other = directory_ / "other";
  const struct {
    const char* what;
    std::function<void()> happens;
  } cases[] = {
      {"removed", [&] { std::filesystem::remove(File()); }},
      {"replaced by nonsense",
       [&] {
         std::ofstream(other) << "nonsense\n";
         std::filesystem::rename(other, File());
       }},
      {"overwritten by something shorter that begins well",
       [&] {
         const std::string text = ReadAll(File());
         std::ofstream(File(), std::ios::trunc) << text.substr(0, text.find('\n') + 1) << "x\n";
       }},
      {"a directory",
       [&] {
         std::filesystem::remove(File());
         std::filesystem::create_directory(File());
       }},
      {"a link",
       [&] {
         std::filesystem::rename(File(), other);
         std::filesystem::create_symlink(other, File());
       }},
  };
  for (const auto& row : cases) {
    std::filesystem::remove_all(File());
    std::filesystem::remove_all(other);
    const auto registry = Open();
    ASSERT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
    ASSERT_TRUE(registry->AddAgent("agt_2", SomeAgent(kOtherHash)).ok());
    ASSERT_TRUE(registry->RevokeAgent("agt_1", kNow).ok());
    row.happens();
    for (int i = 0; i < 2; ++i) EXPECT_FALSE(registry->Refresh().ok()) << row.what;
    EXPECT_FALSE(registry->AddAgent("agt_3", SomeAgent()).ok()) << row.what;
    const RegistryState state = registry->State();
    ASSERT_EQ(state.agents.size(), 2u) << row.what;
    EXPECT_TRUE(state.agents.at("agt_1").revoked) << row.what;
    EXPECT_FALSE(Registry::Open(directory_.path()).ok()) << row.what;
  }
}

TEST_F(RegistryTest, AnotherFileInItsPlaceIsNoticed) {
  const auto registry = Open();
  ASSERT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
  const std::string backup = ReadAll(File());
  ASSERT_TRUE(registry->AddAgent("agt_2", SomeAgent(kOtherHash)).ok());
  std::ofstream(directory_ / "restored", std::ios::binary) << backup;
  std::filesystem::rename(directory_ / "restored", File());
  EXPECT_TRUE(*registry->Refresh());
  EXPECT_EQ(registry->State().agents.size(), 1u);
  // Another process' revocation in the new one counts.
  ASSERT_TRUE(Open()->RevokeAgent("agt_1", kNow).ok());
  EXPECT_TRUE(*registry->Refresh());
  EXPECT_TRUE(registry->State().agents.at("agt_1").revoked);
  ASSERT_TRUE(registry->AddAgent("agt_3", SomeAgent()).ok());
  EXPECT_EQ(Open()->State().agents.size(), 2u);
}

TEST_F(RegistryTest, RenewalsDoNotLetItGrow) {
  const auto registry = Open();
  const auto other = Open();
  ASSERT_TRUE(registry->AddSecret(kHash, kNow + absl::Hours(24 * 365), kNow).ok());
  ASSERT_TRUE(registry->AddSecret(kOtherHash, kNow + absl::Hours(1), kNow).ok());
  ASSERT_TRUE(registry->AddCredential("ops", kHash, CredentialScope::kMetrics, kNow).ok());
  ASSERT_TRUE(registry->NoteFleetKey("key_862n1q9x", kNow).ok());
  ASSERT_TRUE(registry->AddAgent("agt_2", SomeAgent(kOtherHash)).ok());
  ASSERT_TRUE(registry->RevokeAgent("agt_2", kNow).ok());
  // What renewals would have written, without waiting for the disk each time.
  ASSERT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
  std::string text = ReadAll(File());
  text.pop_back();
  const std::string renewal = text.substr(text.rfind('\n') + 1) + "\n";
  std::string renewals;
  for (int i = 0; i < 5000; ++i) renewals += renewal;
  Append(renewals);
  EnrolledAgent last = SomeAgent();
  last.until = kNow + absl::Hours(9);
  ASSERT_TRUE(registry->AddAgent("agt_1", last).ok());
  EXPECT_LT(std::filesystem::file_size(File()), 4096u);
  struct stat file;
  ASSERT_EQ(stat(File().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0600u);
  // Nothing else has changed, for whoever looks.
  EXPECT_TRUE(*other->Refresh());
  for (const RegistryState& state : {registry->State(), other->State(), Open()->State()}) {
    ASSERT_EQ(state.agents.size(), 2u);
    EXPECT_EQ(state.agents.at("agt_1").until, last.until);
    EXPECT_EQ(state.agents.at("agt_1").key_sha256, kHash);
    EXPECT_FALSE(state.agents.at("agt_1").revoked);
    EXPECT_TRUE(state.agents.at("agt_2").revoked);
    EXPECT_EQ(state.agents.at("agt_2").key_sha256, kOtherHash);
    ASSERT_EQ(state.secrets.size(), 2u);
    EXPECT_EQ(state.secrets[0].expires, kNow + absl::Hours(24 * 365));
    EXPECT_EQ(state.secrets[1].sha256, kOtherHash);
    EXPECT_EQ(state.credentials.at("ops").scope, CredentialScope::kMetrics);
    EXPECT_EQ(state.first_key_id, "key_862n1q9x");
  }
  // A process that had the old file open writes to the new one.
  ASSERT_TRUE(other->RevokeAgent("agt_1", kNow).ok());
  EXPECT_TRUE(*registry->Refresh());
  EXPECT_TRUE(registry->State().agents.at("agt_1").revoked);
}

// Each has the file open by itself, as two processes would.
TEST_F(RegistryTest, NothingIsLostBetweenWriters) {
  Open();
  constexpr int kEach = 40;
  const auto write = [this](const std::string& prefix) {
    const auto registry = Registry::Open(directory_.path());
    ASSERT_TRUE(registry.ok());
    for (int i = 0; i < kEach; ++i) {
      ASSERT_TRUE((*registry)->AddAgent(prefix + std::to_string(i), SomeAgent()).ok());
    }
  };
  std::thread one(write, "a"), two(write, "b");
  one.join();
  two.join();
  EXPECT_EQ(Open()->State().agents.size(), size_t{2 * kEach});
}

// Checks wait neither for another process that has the file locked nor for the disk.
TEST_F(RegistryTest, LookingDoesNotWaitForAWriter) {
  const auto registry = Open();
  const int fd = open(File().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  std::atomic<bool> done = false;
  std::thread writer([&] {
    EXPECT_TRUE(registry->AddAgent("agt_1", SomeAgent()).ok());
    done = true;
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(registry->State().agents.size(), 0u);
    EXPECT_TRUE(registry->Refresh().ok());
  }
  EXPECT_FALSE(done);
  flock(fd, LOCK_UN);
  writer.join();
  EXPECT_EQ(registry->State().agents.size(), 1u);
  close(fd);
}

TEST_F(RegistryTest, SecretsEndAndAreForgotten) {
  const auto registry = Open();
  ASSERT_TRUE(registry->AddSecret(kHash, kNow + absl::Hours(24), kNow).ok());
  ASSERT_TRUE(registry->EndSecrets(kNow + absl::Hours(1)).ok());
  EXPECT_EQ(registry->State().secrets.at(0).expires, kNow + absl::Hours(1));
  const absl::Time later = kNow + absl::Hours(24 * 40);
  ASSERT_TRUE(registry->AddSecret(kOtherHash, later + absl::Hours(1), later).ok());
  ASSERT_EQ(registry->State().secrets.size(), 1u);
  EXPECT_EQ(registry->State().secrets[0].sha256, kOtherHash);
}

TEST_F(RegistryTest, CredentialsHaveOneName) {
  const auto registry = Open();
  ASSERT_TRUE(registry->AddCredential("ops", kHash, CredentialScope::kQuery, kNow).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(
      registry->AddCredential("ops", kOtherHash, CredentialScope::kQuery, kNow)));
  EXPECT_TRUE(absl::IsNotFound(registry->RevokeCredential("none", kNow)));
  ASSERT_TRUE(registry->RevokeCredential("ops", kNow).ok());
  EXPECT_TRUE(registry->State().credentials.empty());
}

}  // namespace
}  // namespace tokenwatch
