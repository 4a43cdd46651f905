// With a real server behind a real socket and the real clock: what is waited for is an event, and a
// time only bounds how long.
#include "agent/containers/container_resolver.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/unit/agent/containers/fake_cri.h"
#include "tests/unit/agent/containers/stranger.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;
using State = ContainerLookup::State;

constexpr char kUid[] = "11111111-0000-4000-8000-000000000001";

std::string Id(char digit) { return std::string(64, digit); }

class ContainerResolverTest : public testing::Test {
 protected:
  ContainerResolverTest() {
    std::string pattern = (fs::temp_directory_path() / "resolver.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    socket_ = folder_ + "/cri.sock";
    options_.cri_socket = "unix:" + socket_;
    options_.pods_dir = folder_ + "/pods";
    options_.kubelet_dir = folder_ + "/kubelet";
    limits_.deadline = absl::Milliseconds(300);
    limits_.backoff = {absl::Milliseconds(20), absl::Milliseconds(50)};
    limits_.young = absl::Milliseconds(400);
    limits_.young_retry = absl::Milliseconds(20);
    limits_.retry = absl::Hours(1);
    limits_.host_root = folder_ + "/host";
    limits_.sockets = {folder_ + "/first.sock", folder_ + "/second.sock"};
  }
  ~ContainerResolverTest() override {
    resolver_.reset();
    fs::remove_all(folder_);
  }

  void Start() {
    auto resolver = ContainerResolver::Start(options_, &clock_, limits_);
    ASSERT_TRUE(resolver.ok()) << resolver.status();
    resolver_ = *std::move(resolver);
  }
  static void Fill(FakeCri* cri) {
    cri->AddPod(Id('a'), {.name = "web-0",
                          .namespace_name = "shop",
                          .uid = kUid,
                          .labels = {{"app", "web"}, {"secret", "x"}}});
    cri->AddContainer(Id('b'), {.sandbox = Id('a'), .name = "nginx", .image = "nginx:1.25"});
  }
  void MakePodDirectory() { fs::create_directories(options_.pods_dir + "/shop_web-0_" + kUid); }

  static bool Wait(const std::function<bool()>& condition) {
    for (const absl::Time until = absl::Now() + absl::Seconds(20); absl::Now() < until;) {
      if (condition()) return true;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return false;
  }
  // Once it is no longer pending.
  ContainerLookup::Answer Settled(const ContainerKey& key) {
    ContainerLookup::Answer answer;
    EXPECT_TRUE(Wait([&] {
      answer = resolver_->Find(key);
      return answer.state != State::kPending;
    }));
    return answer;
  }
  bool Becomes(const ContainerKey& key, State state) {
    return Wait([&] { return resolver_->Find(key).state == state; });
  }
  bool Degrades(const std::string& mode) {
    return Wait([&] { return absl::StartsWith(resolver_->Status().degraded, mode + ": "); });
  }
  bool Connects() {
    return Wait([&] { return !resolver_->Status().runtime.empty(); });
  }
  uint64_t Counter(const std::string& name) const {
    Counters counters;
    resolver_->AddCounters(&counters);
    return counters.at(name);
  }

  RealClock clock_;
  ContainerOptions options_;
  ContainerResolver::Limits limits_;
  std::string folder_, socket_;
  std::unique_ptr<ContainerResolver> resolver_;
};

TEST_F(ContainerResolverTest, NamesAContainerOnceAndRemembersIt) {
  FakeCri cri(socket_);
  Fill(&cri);
  Start();
  const ContainerKey key = {Id('b'), kUid};
  EXPECT_EQ(resolver_->Find(key).state, State::kPending);
  const auto answer = Settled(key);
  ASSERT_EQ(answer.state, State::kKnown);
  const ContainerIdentity wanted = {.container_name = "nginx",
                                    .image = "nginx:1.25",
                                    .pod = "web-0",
                                    .namespace_name = "shop",
                                    .labels = "app=web"};
  EXPECT_EQ(*answer.identity, wanted);
  const uint64_t calls = cri.calls();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(resolver_->Find(key).identity, answer.identity);
  EXPECT_EQ(cri.calls(), calls);
  EXPECT_EQ(Counter("containers_named"), 1u);
  EXPECT_EQ(resolver_->Status().runtime, "fake 1.0, runtime.v1");
  EXPECT_EQ(resolver_->Status().degraded, "");
  // It is known for as long as somebody holds it, whether the container is there or not.
  cri.Remove(Id('a'));
  cri.Remove(Id('b'));
  EXPECT_EQ(resolver_->Find(key).identity, answer.identity);
}

TEST_F(ContainerResolverTest, FindsTheKubeletsFilesHereAndOnTheHost) {
  const std::string claims = absl::StrCat(R"({"kubernetes.io":{"pod":{"uid":")", kUid,
                                          R"("},"serviceaccount":{"name":"cart"}}})");
  const std::string token = absl::StrCat("e30.", absl::WebSafeBase64Escape(claims), ".c2ln");
  for (const std::string& root : {std::string(), limits_.host_root}) {
    const fs::path volume = root + options_.kubelet_dir + "/pods/" + kUid +
                            "/volumes/kubernetes.io~projected/kube-api-access-abcde";
    fs::create_directories(volume);
    std::ofstream(volume / "token") << token;
    fs::create_directories(root + options_.pods_dir + "/shop_web-0_" + kUid);
    options_.cri_socket = "none";
    Start();
    const auto answer = Settled({Id('b'), kUid});
    ASSERT_EQ(answer.state, State::kKnown) << root;
    EXPECT_EQ(answer.identity->service_account, "cart") << root;
    EXPECT_EQ(answer.identity->pod, "web-0") << root;
    fs::remove_all(root + options_.kubelet_dir);
    fs::remove_all(root + options_.pods_dir);
  }
}

TEST_F(ContainerResolverTest, TellsAContainerFromTheOneThatReplacedIt) {
  FakeCri cri(socket_);
  Fill(&cri);
  Start();
  ASSERT_EQ(Settled({Id('b'), kUid}).state, State::kKnown);
  cri.Remove(Id('b'));
  cri.AddContainer(Id('c'), {.sandbox = Id('a'), .name = "nginx", .image = "nginx:1.26"});
  EXPECT_EQ(Settled({Id('c'), kUid}).identity->image, "nginx:1.26");
  EXPECT_EQ(Settled({Id('b'), kUid}).identity->image, "nginx:1.25");
}

TEST_F(ContainerResolverTest, WaitsForAContainerThatTheRuntimeWillKnowInAMoment) {
  FakeCri cri(socket_);
  cri.AddPod(Id('a'), {.name = "web-0", .namespace_name = "shop", .uid = kUid});
  Start();
  ASSERT_TRUE(Connects());
  const ContainerKey key = {Id('b'), kUid};
  EXPECT_EQ(resolver_->Find(key).state, State::kPending);
  const uint64_t calls = cri.calls();
  ASSERT_TRUE(Wait([&] { return cri.calls() >= calls + 4; }));
  Fill(&cri);
  const auto answer = Settled(key);
  ASSERT_EQ(answer.state, State::kKnown);
  EXPECT_EQ(answer.identity->container_name, "nginx");
}

TEST_F(ContainerResolverTest, NamesThePodOfAContainerInsideOfItsContainers) {
  FakeCri cri(socket_);
  Fill(&cri);
  Start();
  const auto answer = Settled({Id('d'), kUid});
  EXPECT_EQ(answer.state, State::kUnknown);
  ASSERT_NE(answer.identity, nullptr);
  EXPECT_EQ(answer.identity->pod, "web-0");
  EXPECT_EQ(answer.identity->container_name, "");
}

TEST_F(ContainerResolverTest, KnowsNothingOfOthersContainersAndDoesNotAskAgain) {
  FakeCri cri(socket_);
  Start();
  const auto answer = Settled({Id('d'), ""});
  EXPECT_EQ(answer.state, State::kUnknown);
  EXPECT_EQ(answer.identity, nullptr);
  const uint64_t calls = cri.calls();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(resolver_->Find({Id('d'), ""}).state, State::kUnknown);
  EXPECT_EQ(cri.calls(), calls);
  EXPECT_EQ(resolver_->Find({}).state, State::kUnknown);
}

TEST_F(ContainerResolverTest, NamesPodsFromTheirDirectoriesUntilTheRuntimeIsThere) {
  MakePodDirectory();
  Start();
  ASSERT_TRUE(Degrades("cri-absent"));
  const ContainerKey key = {Id('b'), kUid};
  const auto answer = Settled(key);
  EXPECT_EQ(answer.state, State::kUnknown);
  ASSERT_NE(answer.identity, nullptr);
  EXPECT_EQ(answer.identity->pod, "web-0");
  EXPECT_EQ(answer.identity->namespace_name, "shop");
  EXPECT_EQ(answer.identity->image, "");
  EXPECT_EQ(Counter("containers_named_by_kubelet"), 1u);
  EXPECT_GE(Counter("cri_failures"), 1u);

  FakeCri cri(socket_);
  Fill(&cri);
  // The use that asks while it is being completed has no reason to wait.
  EXPECT_TRUE(Wait([&] {
    const auto now = resolver_->Find(key);
    EXPECT_NE(now.state, State::kPending);
    return now.state == State::kKnown;
  }));
  EXPECT_EQ(resolver_->Find(key).identity->image, "nginx:1.25");
  EXPECT_EQ(resolver_->Status().degraded, "");
}

TEST_F(ContainerResolverTest, GoesOnWhileTheRuntimeIsSlow) {
  MakePodDirectory();
  FakeCri cri(socket_);
  Fill(&cri);
  Start();
  ASSERT_TRUE(Connects());
  cri.SetDelay(absl::Seconds(60));
  EXPECT_EQ(Settled({Id('b'), kUid}).identity->pod, "web-0");
  ASSERT_TRUE(Degrades("cri-slow"));
  EXPECT_EQ(resolver_->Status().runtime, "");
  cri.SetDelay(absl::ZeroDuration());
  EXPECT_TRUE(Becomes({Id('b'), kUid}, State::kKnown));
  EXPECT_EQ(resolver_->Status().degraded, "");
}

TEST_F(ContainerResolverTest, GoesOnWhereSomethingElseListens) {
  MakePodDirectory();
  const Stranger other(socket_, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  Start();
  ASSERT_TRUE(Degrades("cri-nonsense"));
  const auto answer = Settled({Id('b'), kUid});
  EXPECT_EQ(answer.state, State::kUnknown);
  EXPECT_EQ(answer.identity->pod, "web-0");
}

TEST_F(ContainerResolverTest, BelievesNoAnswerAboutAnother) {
  FakeCri cri(socket_);
  cri.SetConfused(true);
  Fill(&cri);
  Start();
  const auto answer = Settled({Id('b'), kUid});
  EXPECT_EQ(answer.state, State::kUnknown);
  EXPECT_EQ(answer.identity->pod, "web-0") << "that is by the uid";
  EXPECT_EQ(answer.identity->container_name, "");
}

TEST_F(ContainerResolverTest, ConnectsAgainToARuntimeThatWasRestarted) {
  FakeCri cri(socket_);
  Fill(&cri);
  Start();
  ASSERT_EQ(Settled({Id('b'), kUid}).state, State::kKnown);
  cri.Stop();
  cri.AddContainer(Id('c'), {.sandbox = Id('a'), .name = "sidecar", .image = "sidecar:1"});
  cri.Start();
  EXPECT_EQ(Settled({Id('c'), kUid}).identity->container_name, "sidecar");
  EXPECT_EQ(resolver_->Status().degraded, "");
  EXPECT_EQ(Counter("cri_failures"), 0u);
  cri.Stop();
  Settled({Id('e'), kUid});
  EXPECT_TRUE(Degrades("cri-absent"));
}

TEST_F(ContainerResolverTest, SpeaksTheOlderInterface) {
  FakeCri cri(socket_, FakeCri::Api::kV1Alpha2);
  Fill(&cri);
  Start();
  EXPECT_EQ(Settled({Id('b'), kUid}).identity->container_name, "nginx");
  EXPECT_EQ(resolver_->Status().runtime, "fake 1.0, runtime.v1alpha2");
}

TEST_F(ContainerResolverTest, TakesTheFirstSocketThatIsThere) {
  options_.cri_socket = "auto";
  Start();
  ASSERT_TRUE(Wait([&] { return resolver_->Find({Id('b'), ""}).state == State::kUnknown; }));
  const uint64_t held = Counter("containers_held");
  EXPECT_EQ(resolver_->Find({Id('c'), ""}).state, State::kUnknown);
  EXPECT_EQ(Counter("containers_held"), held) << "there is nobody to ask";
  EXPECT_EQ(resolver_->Status().degraded, "") << "a host without pods lacks nothing";
  Settled({Id('b'), kUid});
  EXPECT_TRUE(Degrades("cri-absent"));
  FakeCri cri(folder_ + "/second.sock");
  Fill(&cri);
  EXPECT_TRUE(Becomes({Id('b'), kUid}, State::kKnown));
  EXPECT_EQ(resolver_->Status().socket, folder_ + "/second.sock");
}

TEST_F(ContainerResolverTest, AsksNobodyWhereItIsToldSo) {
  MakePodDirectory();
  FakeCri cri(socket_);
  Fill(&cri);
  options_.cri_socket = "none";
  Start();
  const auto answer = Settled({Id('b'), kUid});
  EXPECT_EQ(answer.state, State::kKnown);
  EXPECT_EQ(answer.identity->pod, "web-0");
  EXPECT_EQ(cri.calls(), 0u);
  EXPECT_EQ(resolver_->Status().degraded, "");
}

TEST_F(ContainerResolverTest, IsBounded) {
  limits_.containers = 8;
  limits_.kept = absl::ZeroDuration();
  FakeCri cri(socket_);
  Fill(&cri);
  Start();
  const auto held = Settled({Id('b'), kUid});
  for (int i = 0; i < 100; ++i) resolver_->Find({Id('d'), std::to_string(i)});
  EXPECT_EQ(Counter("containers_held"), 8u);
  EXPECT_GE(Counter("containers_forgotten"), 93u);
  // What nobody holds ends; what somebody does, does not.
  const auto again = Settled({Id('b'), kUid});
  ASSERT_EQ(again.state, State::kKnown);
  EXPECT_TRUE(Wait([&] {
    resolver_->Sweep();
    return Counter("containers_held") == 1;
  }));
  EXPECT_EQ(resolver_->Find({Id('b'), kUid}).identity, again.identity);
}

TEST(CheckContainerOptions, NamesTheFlag) {
  ContainerOptions options;
  EXPECT_TRUE(CheckContainerOptions(options).ok());
  options.cri_socket = "unix:/run/crio/crio.sock";
  EXPECT_TRUE(CheckContainerOptions(options).ok());
  for (const char* bad : {"", "/run/crio.sock", "unix:crio.sock", "tcp:127.0.0.1:1"}) {
    options.cri_socket = bad;
    const absl::Status status = CheckContainerOptions(options);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_TRUE(absl::StartsWith(status.message(), "--cri-socket ")) << status;
  }
  options = {};
  options.pod_labels = {"a b"};
  EXPECT_TRUE(absl::IsInvalidArgument(CheckContainerOptions(options)));
  options = {};
  options.kubelet_dir = "kubelet";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckContainerOptions(options)));
}

}  // namespace
}  // namespace tokenwatch
