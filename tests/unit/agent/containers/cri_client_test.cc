#include "agent/containers/cri_client.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <optional>

#include "tests/unit/agent/containers/fake_cri.h"
#include "tests/unit/agent/containers/stranger.h"

namespace tokenwatch {
namespace {

constexpr absl::Duration kDeadline = absl::Milliseconds(500);

std::string Id(char digit) { return std::string(64, digit); }

class CriClientTest : public testing::Test {
 protected:
  CriClientTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cri.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/cri.sock";
  }
  ~CriClientTest() override { std::filesystem::remove_all(folder_); }

  static void Fill(FakeCri* cri) {
    cri->AddPod(Id('a'), {.name = "web-0",
                          .namespace_name = "shop",
                          .uid = "11111111-0000-4000-8000-000000000001",
                          .labels = {{"app", "web"}}});
    cri->AddContainer(Id('b'), {.sandbox = Id('a'),
                                .name = "nginx",
                                .image = "docker.io/library/nginx:1.25",
                                .image_ref = "docker.io/library/nginx@sha256:00"});
  }

  static void ExpectWeb(const std::optional<CriContainer>& found) {
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->pod, "web-0");
    EXPECT_EQ(found->namespace_name, "shop");
    EXPECT_EQ(found->pod_uid, "11111111-0000-4000-8000-000000000001");
    EXPECT_EQ(found->labels.at("app"), "web");
  }

  std::string folder_, path_;
};

TEST_F(CriClientTest, DescribesAContainerUnderEitherInterface) {
  for (const FakeCri::Api api : {FakeCri::Api::kV1, FakeCri::Api::kV1Alpha2}) {
    FakeCri cri(path_, api);
    Fill(&cri);
    const auto client = CriClient::Connect(path_, kDeadline);
    ASSERT_TRUE(client.ok()) << client.status();
    EXPECT_EQ((*client)->Runtime(),
              api == FakeCri::Api::kV1 ? "fake 1.0, runtime.v1" : "fake 1.0, runtime.v1alpha2");
    const auto found = (*client)->Describe({Id('b'), ""});
    ASSERT_TRUE(found.ok()) << found.status();
    ExpectWeb(*found);
    EXPECT_EQ((*found)->container_name, "nginx");
    EXPECT_EQ((*found)->image, "docker.io/library/nginx:1.25");
    EXPECT_TRUE((*found)->exact);
  }
}

TEST_F(CriClientTest, TellsSandboxesAndContainersInsideOfContainers) {
  FakeCri cri(path_);
  Fill(&cri);
  const auto client = CriClient::Connect(path_, kDeadline);
  ASSERT_TRUE(client.ok()) << client.status();
  const std::string uid = "11111111-0000-4000-8000-000000000001";
  const struct {
    ContainerKey key;
    bool found, exact;
  } cases[] = {
      {{Id('a'), ""}, true, true},     // a pause container
      {{Id('a'), uid}, true, true},    //
      {{Id('c'), uid}, true, false},   // run by a container of the pod
      {{"", uid}, true, false},        // a process in the pod's own group
      {{Id('c'), ""}, false, false},   // somebody else's, docker's say
      {{Id('c'), "9"}, false, false},  //
  };
  for (const auto& test : cases) {
    const auto found = (*client)->Describe(test.key);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->has_value(), test.found) << test.key.id << " " << test.key.pod_uid;
    if (!test.found) continue;
    ExpectWeb(*found);
    EXPECT_EQ((*found)->container_name, "");
    EXPECT_EQ((*found)->exact, test.exact) << test.key.id;
  }
}

TEST_F(CriClientTest, TakesTheReferenceOfAnImageWhoseNameIsGone) {
  FakeCri cri(path_);
  Fill(&cri);
  cri.AddContainer(Id('b'), {.sandbox = Id('a'),
                             .name = "nginx",
                             .image = "sha256:" + Id('0'),
                             .image_ref = "registry.example/nginx@sha256:00"});
  const auto client = CriClient::Connect(path_, kDeadline);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ((*(*client)->Describe({Id('b'), ""}))->image, "registry.example/nginx@sha256:00");
}

TEST_F(CriClientTest, NamesAContainerWhosePodIsForgotten) {
  FakeCri cri(path_);
  Fill(&cri);
  cri.Remove(Id('a'));
  const auto client = CriClient::Connect(path_, kDeadline);
  ASSERT_TRUE(client.ok()) << client.status();
  const auto found = (*client)->Describe({Id('b'), ""});
  ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
  EXPECT_EQ((*found)->container_name, "nginx");
  EXPECT_EQ((*found)->pod, "");
}

TEST_F(CriClientTest, BelievesNoAnswerAboutAnother) {
  FakeCri cri(path_);
  Fill(&cri);
  cri.SetConfused(true);
  const auto client = CriClient::Connect(path_, kDeadline);
  ASSERT_TRUE(client.ok()) << client.status();
  const auto found = (*client)->Describe({Id('b'), ""});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->has_value());
}

TEST_F(CriClientTest, SaysThatASocketIsAbsent) {
  const absl::Status status = CriClient::Connect(path_, kDeadline).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("No such file or directory"), std::string::npos) << status;
  EXPECT_TRUE(absl::IsUnavailable(CriClient::Connect(std::string(200, 'x'), kDeadline).status()));
}

TEST_F(CriClientTest, SaysThatARuntimeIsSlow) {
  FakeCri cri(path_);
  Fill(&cri);
  const auto client = CriClient::Connect(path_, kDeadline);
  ASSERT_TRUE(client.ok()) << client.status();
  cri.SetDelay(absl::Seconds(30));
  const auto found = (*client)->Describe({Id('b'), ""});
  EXPECT_TRUE(absl::IsDeadlineExceeded(found.status())) << found.status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(CriClient::Connect(path_, kDeadline).status()));
}

TEST_F(CriClientTest, SaysThatSomethingElseListens) {
  {
    const Stranger other(path_, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    const absl::Status status = CriClient::Connect(path_, kDeadline).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_NE(status.message().find("is no container runtime's socket"), std::string::npos);
  }
  std::filesystem::remove(path_);
  {
    const Stranger other(path_, std::string(4096, '\xa5'));
    EXPECT_TRUE(absl::IsDataLoss(CriClient::Connect(path_, kDeadline).status()));
  }
  std::filesystem::remove(path_);
  const Stranger silent(path_, "");
  EXPECT_TRUE(absl::IsDeadlineExceeded(CriClient::Connect(path_, kDeadline).status()));
}

}  // namespace
}  // namespace tokenwatch
