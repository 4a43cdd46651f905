// Client and service over a real socket: what the worker is told is what the broker sees.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/broker/broker_client.h"
#include "agent/broker/broker_service.h"
#include "agent/broker/remote_containers.h"
#include "agent/common/clock.h"
#include "tests/unit/agent/workload/fake_proc.h"

namespace tokenwatch {
namespace {

class FakeCapture : public CaptureControl {
 public:
  bool LookAtProcess(uint64_t process, uint32_t pid, const std::string& exe) override {
    looks.push_back(std::to_string(process) + " " + std::to_string(pid) + " " + exe);
    return takes;
  }
  std::optional<TlsSight> SightOf(uint64_t process) override {
    ++asked;
    const auto at = sights.find(process);
    return at == sights.end() ? std::nullopt : std::make_optional(at->second);
  }
  void ForgetProcess(uint64_t process) override { forgotten.push_back(process); }
  bool WipeRing() override { return ++wipes == 1; }
  CaptureStatus Status() override {
    CaptureStatus status;
    // More than one packet holds.
    status.probes.resize(2000);
    for (CaptureStatus::Probe& probe : status.probes) probe.file = std::string(100, 'f');
    return status;
  }
  void AddCounters(Counters* counters) override { (*counters)["ring_full_lost"] = 5; }

  bool takes = true;
  std::vector<std::string> looks;
  std::map<uint64_t, TlsSight> sights;
  std::vector<uint64_t> forgotten;
  int asked = 0, wipes = 0;
};

class FakeUsers : public UserLookup {
 public:
  Answer Find(uint32_t uid) override {
    if (uid == 1002) return {true, "old"};
    if (uid != 1000) return {};
    return {false, "app"};
  }
};

class FakeContainers : public ContainerLookup {
 public:
  Answer Find(const ContainerKey& key) override {
    asked.push_back(key);
    return answer;
  }
  ContainerStatus Status() override {
    return {"/run/c.sock", "fake 1.0, runtime.v1", "cri-slow: x"};
  }
  void AddCounters(Counters* counters) override { (*counters)["cri_calls"] = 7; }

  Answer answer = {State::kPending, nullptr};
  std::vector<ContainerKey> asked;
};

class BrokerTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::pair<Channel, Channel>> pair = Channel::Pair();
    ASSERT_TRUE(pair.ok()) << pair.status();
    service_ = std::make_unique<BrokerService>(
        BrokerParts{.capture = &capture_,
                    .proc = &proc_,
                    .users = &users_,
                    .containers = &containers_,
                    .connect_collector = [this]() -> absl::StatusOr<UniqueFd> {
                      if (!collector_) return absl::UnavailableError("nobody listens");
                      return UniqueFd(dup(STDERR_FILENO));
                    },
                    .read_enrol_secret = [this]() -> absl::StatusOr<SecretBuffer> {
                      if (secret_.empty()) return absl::NotFoundError("there is no file");
                      return SecretBuffer(secret_);
                    }});
    serving_ = std::thread([this, channel = std::make_shared<Channel>(std::move(pair->first))] {
      served_ = service_->Serve(channel.get());
    });
    raw_ = pair->second.fd();
    client_ = std::make_unique<BrokerClient>(std::move(pair->second));
  }
  void TearDown() override { static_cast<void>(End()); }
  // The worker goes; how the service took it.
  absl::Status End() {
    client_.reset();
    if (serving_.joinable()) serving_.join();
    return served_;
  }

  FakeProc files_;
  LocalProcReader proc_{files_.Root()};
  FakeCapture capture_;
  FakeUsers users_;
  FakeContainers containers_;
  bool collector_ = true;
  std::string secret_;
  std::unique_ptr<BrokerService> service_;
  std::thread serving_;
  absl::Status served_;
  int raw_ = -1;
  std::unique_ptr<BrokerClient> client_;
};

TEST_F(BrokerTest, NamesContainersForTheWorkerAndAsksNoMoreThanItMust) {
  FakeClock clock(absl::FromUnixSeconds(1'700'000'000));
  RemoteContainers remote(client_.get(), client_.get(), &clock);
  const ContainerKey key = {std::string(64, 'b'), "11111111-0000-4000-8000-000000000001"};
  using State = ContainerLookup::State;

  for (int i = 0; i < 3; ++i) EXPECT_EQ(remote.Find(key).state, State::kPending);
  EXPECT_EQ(containers_.asked, (std::vector<ContainerKey>{key}));

  // Known in part: told at once, and asked for again a second later.
  const ContainerIdentity part = {.pod = "web-0", .namespace_name = "shop"};
  containers_.answer = {State::kUnknown, std::make_shared<const ContainerIdentity>(part)};
  clock.Advance(RemoteContainers::kPendingFor);
  const auto first = remote.Find(key);
  EXPECT_EQ(first.state, State::kUnknown);
  ASSERT_NE(first.identity, nullptr);
  EXPECT_EQ(*first.identity, part);
  clock.Advance(RemoteContainers::kUnknownFor);
  EXPECT_EQ(remote.Find(key).identity, first.identity) << "no news";
  EXPECT_EQ(containers_.asked.size(), 3u);

  const ContainerIdentity whole = {"nginx", "nginx:1.25", "web-0", "shop", "cart", "app=web"};
  containers_.answer = {State::kKnown, std::make_shared<const ContainerIdentity>(whole)};
  clock.Advance(RemoteContainers::kUnknownFor);
  EXPECT_EQ(*remote.Find(key).identity, whole);
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(remote.Find(key).state, State::kKnown);
  EXPECT_EQ(containers_.asked.size(), 4u);

  // What the broker would not take is not sent.
  for (const ContainerKey& odd : {ContainerKey(), ContainerKey{"machine", ""},
                                  ContainerKey{"", "../../etc"}, ContainerKey{"a/b", "c"}}) {
    EXPECT_EQ(remote.Find(odd).state, State::kUnknown);
  }
  EXPECT_EQ(containers_.asked.size(), 4u);

  const ContainerStatus status = remote.Status();
  EXPECT_EQ(status.socket, "/run/c.sock");
  EXPECT_EQ(status.runtime, "fake 1.0, runtime.v1");
  EXPECT_EQ(status.degraded, "cri-slow: x");
  Counters counters;
  RemoteCapture(client_.get(), client_.get()).AddCounters(&counters);
  EXPECT_EQ(counters["cri_calls"], 7u);
}

TEST_F(BrokerTest, ReadsProcForTheWorker) {
  files_.Stat(7, "my (prog) x", 3, 1234);
  files_.Write(7, "comm", "my (prog) x\n");
  files_.Link(7, "exe", "/usr/bin/prog (deleted)");
  files_.Link(7, "cwd", "/srv");
  files_.Write(7, "status", "Name:\tx\nUid:\t1000\t0\t0\t0\n");
  files_.Write(7, "loginuid", "1001");
  files_.Write(7, "cgroup", "2:pids:/b\n1:name=systemd:/old\n0::/new\n");
  files_.Write(7, "cmdline", std::string("prog\0--secret\0", 14));
  std::filesystem::create_directories(files_.Root() + "/7/root/srv/app.py");
  const RemoteProcReader proc(client_.get());
  const std::vector<uint32_t> pids = {8, 7};
  const auto stats = proc.ReadStats(pids);
  ASSERT_EQ(stats.size(), 2u);
  EXPECT_FALSE(stats[0].has_value());
  EXPECT_EQ(stats[1]->parent_pid, 3u);
  EXPECT_EQ(stats[1]->start_ticks, 1234u);
  EXPECT_EQ(proc.Comm(7), "my (prog) x");
  EXPECT_EQ(proc.Link(7, "exe"), "/usr/bin/prog");
  EXPECT_EQ(proc.Link(7, "cwd"), "/srv");
  EXPECT_EQ(proc.Uid(7), 1000u);
  EXPECT_EQ(proc.LoginUid(7), 1001u);
  EXPECT_EQ(proc.Cgroup(7, ""), "/new");
  EXPECT_EQ(proc.Cgroup(7, "name=systemd"), "/old");
  EXPECT_EQ(proc.Cgroup(7, "pids"), "/b");
  EXPECT_EQ(proc.Cgroup(7, "cpu"), "");
  EXPECT_EQ(proc.Arguments(7).view(), std::string("prog\0--secret\0", 14));
  EXPECT_TRUE(proc.Exists(7, "/srv/app.py"));
  EXPECT_FALSE(proc.Exists(7, "/srv/none"));
  EXPECT_TRUE(End().ok());
}

TEST_F(BrokerTest, AsksNothingThatTheBrokerWouldRefuse) {
  const RemoteProcReader proc(client_.get());
  EXPECT_TRUE(proc.ReadStats({}).empty());
  EXPECT_EQ(proc.ReadStats(std::vector<uint32_t>(ProcReader::kStatsMax + 1, 1)).size(),
            ProcReader::kStatsMax + 1);
  EXPECT_EQ(proc.Comm(0), "");
  EXPECT_EQ(proc.Link(0, "exe"), "");
  EXPECT_FALSE(proc.Exists(1, "relative"));
  EXPECT_FALSE(proc.Exists(1, std::string("/a\0b", 4)));
  EXPECT_FALSE(proc.Exists(1, "/" + std::string(Request::kTextMax, 'a')));
  RemoteCapture capture(client_.get(), client_.get());
  EXPECT_TRUE(capture.LookAtProcess(1, 2, "relative"));
  EXPECT_EQ(capture_.looks, std::vector<std::string>{"1 2 "});
  EXPECT_TRUE(End().ok());
}

TEST_F(BrokerTest, ASightIsAskedForUntilItIsKnown) {
  RemoteCapture capture(client_.get(), client_.get());
  EXPECT_FALSE(capture.SightOf(5).has_value());  // nobody looks at it
  EXPECT_EQ(capture_.asked, 0);
  for (int connection = 0; connection < 3; ++connection) {
    EXPECT_TRUE(capture.LookAtProcess(5, 50, "/usr/bin/curl"));
  }
  EXPECT_EQ(capture_.looks, std::vector<std::string>{"5 50 /usr/bin/curl"});
  EXPECT_FALSE(capture.SightOf(5).has_value());
  capture_.sights[5] = {.has_probed = true, .probed_ns = 9, .other = "go"};
  for (int connection = 0; connection < 3; ++connection) {
    const std::optional<TlsSight> sight = capture.SightOf(5);
    ASSERT_TRUE(sight.has_value());
    EXPECT_EQ(sight->other, "go");
    EXPECT_EQ(sight->probed_ns, 9u);
  }
  EXPECT_EQ(capture_.asked, 2);
  capture.ForgetProcess(5);
  capture.ForgetProcess(5);
  EXPECT_EQ(capture_.forgotten, std::vector<uint64_t>{5});
  capture_.takes = false;
  EXPECT_FALSE(capture.LookAtProcess(6, 60, ""));
  EXPECT_FALSE(capture.LookAtProcess(6, 60, ""));
  EXPECT_EQ(capture_.looks.size(), 3u);  // it is tried again
}

TEST_F(BrokerTest, StatusCountersAndWipe) {
  RemoteCapture capture(client_.get(), client_.get());
  EXPECT_EQ(capture.Status().probes.size(), 2000u);
  Counters counters = {{"own", 1}};
  capture.AddCounters(&counters);
  EXPECT_EQ(counters, (Counters{{"own", 1}, {"cri_calls", 7}, {"ring_full_lost", 5}}));
  EXPECT_TRUE(capture.WipeRing());
  EXPECT_FALSE(capture.WipeRing());
}

TEST_F(BrokerTest, UsersAndTheCollector) {
  RemoteUsers users(client_.get());
  EXPECT_EQ(users.Find(1000).name, "app");
  EXPECT_FALSE(users.Find(1000).is_pending);
  EXPECT_EQ(users.Find(1001).name, std::nullopt);
  EXPECT_FALSE(users.Find(1001).is_pending);
  EXPECT_TRUE(users.Find(1002).is_pending);
  EXPECT_TRUE(ConnectCollector(client_.get()).ok());
  collector_ = false;
  EXPECT_EQ(ConnectCollector(client_.get()).status().message(), "nobody listens");
}

TEST_F(BrokerTest, ReadsTheEnrolmentSecret) {
  const absl::StatusOr<SecretBuffer> none = ReadEnrolSecret(client_.get());
  EXPECT_TRUE(absl::IsNotFound(none.status())) << none.status();
  EXPECT_EQ(none.status().message(), "there is no file");
  secret_ = "made up\n";
  const absl::StatusOr<SecretBuffer> secret = ReadEnrolSecret(client_.get());
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->view(), secret_);
}

TEST_F(BrokerTest, AHostileRequestEndsTheService) {
  const uint64_t left = 0;
  const std::string packet = std::string(reinterpret_cast<const char*>(&left), sizeof(left)) +
                             EncodeRequest({static_cast<RequestKind>(kRequestKinds), 1, 0, ""});
  ASSERT_EQ(write(raw_, packet.data(), packet.size()), static_cast<ssize_t>(packet.size()));
  serving_.join();
  EXPECT_TRUE(absl::IsInvalidArgument(served_)) << served_;
}

TEST_F(BrokerTest, AFileBesideARequestEndsTheService) {
  Channel as_worker{UniqueFd(dup(raw_))};
  const int fd = STDERR_FILENO;
  ASSERT_TRUE(as_worker.Send(EncodeRequest({RequestKind::kComm, 1, 0, ""}), {fd}).ok());
  serving_.join();
  EXPECT_TRUE(absl::IsInvalidArgument(served_)) << served_;
}

TEST_F(BrokerTest, ALongRequestEndsTheService) {
  Channel::Message none = client_->Call({RequestKind::kExists, 1, 0, std::string(100000, '/')});
  EXPECT_TRUE(none.bytes.empty());
  serving_.join();
  EXPECT_TRUE(absl::IsInvalidArgument(served_)) << served_;
}

}  // namespace
}  // namespace tokenwatch
