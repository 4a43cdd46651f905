#include "agent/workload/cgroup.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(UnitOf, FindsTheInnermostUnit) {
  const struct {
    std::string_view cgroup, unit;
  } cases[] = {
      {"", ""},
      {"/", ""},
      {"/init.scope", "init.scope"},
      {"/system.slice/nginx.service", "nginx.service"},
      {"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"},
      {"/system.slice/app.service/delegated/worker", "app.service"},
      {"/user.slice/user-1000.slice/session-3.scope", "session-3.scope"},
      {"/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "x.service"},
      {"/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope"},
      {"/user.slice/user-1000.slice/user@1000.service", "user@1000.service"},
      {"/user.slice/user-0.slice/user@0.service/app.slice/app-a\\x2db.slice/run-u1.scope",
       "run-u1.scope"},
      {"/system.slice/docker-0123.scope", "docker-0123.scope"},
      {"/system.slice/tmp.mount", "tmp.mount"},
      {"/system.slice", ""},
      {"/kubepods.slice/kubepods-pod1.slice", ""},
      {"/a/.service", ""},
      {"/a/x@.service", ""},
      {"/a/@x.service", ""},
      {"/system.slice/a.service/b c.service", "a.service"},
      {"/system.slice/a.service/b\n.service", "a.service"},
  };
  for (const auto& test : cases) EXPECT_EQ(UnitOf(test.cgroup), test.unit) << test.cgroup;
  EXPECT_EQ(UnitOf("/" + std::string(300, 'a') + ".service"), "");
}

TEST(ContainerOf, EveryRowReadsItsSamples) {
  const std::string id(32, 'a'), other = "0f";
  const std::string digits = id + std::string(30, 'b') + other;
  for (const ContainerRow& row : ContainerRows()) {
    ASSERT_FALSE(row.samples[0].empty()) << row.runtime;
    const std::string shown = row.named ? "my-box" : digits;
    const std::string written = row.named ? "my\\x2dbox" : digits;
    for (const std::string_view sample : row.samples) {
      if (sample.empty()) continue;
      std::string path(sample);
      path.replace(path.find("<ID>"), 4, written);
      EXPECT_EQ(ContainerOf(path), shown) << path;
    }
    for (const std::string_view path : row.near_misses) {
      EXPECT_EQ(ContainerOf(path), "") << path;
    }
  }
}

TEST(ContainerOf, IsEmptyOutside) {
  for (const std::string_view path : {"", "/", "//", "/system.slice/nginx.service", "/init.scope",
                                      "/user.slice/user-1000.slice/session-3.scope"}) {
    EXPECT_EQ(ContainerOf(path), "") << path;
  }
  EXPECT_EQ(ContainerOf("/docker/" + std::string(63, 'a')), "");
  EXPECT_EQ(ContainerOf("/docker/" + std::string(65, 'a')), "");
  EXPECT_EQ(ContainerOf("/docker/" + std::string(64, 'A')), "");
  EXPECT_EQ(ContainerOf("/docker/" + std::string(64, 'g')), "");
}

TEST(PodUidOf, FindsTheInnermostPod) {
  const std::string uid = "0a1b2c3d-0000-4000-8000-00000000000a";
  const std::string hash(32, 'e'), id(64, 'b');
  const struct {
    std::string cgroup, uid;
  } cases[] = {
      {"/kubepods/burstable/pod" + uid + "/" + id, uid},
      {"/kubepods/pod" + hash + "/" + id, hash},
      {"/kubepods.slice/kubepods-besteffort.slice/"
       "kubepods-besteffort-pod0a1b2c3d_0000_4000_8000_00000000000a.slice/cri-containerd-" +
           id + ".scope",
       uid},
      {"/kubepods.slice/kubepods-pod0a1b2c3d_0000_4000_8000_00000000000a.slice/crio-" + id +
           ".scope/container/nested",
       uid},
      {"/system.slice/containerd.service/"
       "kubepods-pod0a1b2c3d_0000_4000_8000_00000000000a.slice:cri-containerd:" +
           id,
       uid},
      // A container of docker inside of a pod's, and a node of kind inside of docker.
      {"/kubepods/pod" + uid + "/" + id + "/docker/" + id, uid},
      {"/system.slice/docker-" + id +
           ".scope/kubelet.slice/kubelet-kubepods.slice/"
           "kubelet-kubepods-pod0a1b2c3d_0000_4000_8000_00000000000a.slice/cri-containerd-" +
           id + ".scope",
       uid},
      {"/kubepods/pod" + hash + "/" + id + "/kubepods/pod" + uid + "/" + id, uid},
      {"", ""},
      {"/docker/" + id, ""},
      {"/machine.slice/libpod-" + id + ".scope/container", ""},
      {"/user.slice/podman.slice", ""},
      {"/kubepods/pod2d3a-b/" + id, ""},
      {"/kubepods/podXXXXXXXX-0000-4000-8000-00000000000a/" + id, ""},
  };
  for (const auto& test : cases) EXPECT_EQ(PodUidOf(test.cgroup), test.uid) << test.cgroup;
}

TEST(IsContainerId, IsNoMachinesName) {
  EXPECT_TRUE(IsContainerId(std::string(64, 'b')));
  for (const std::string& other : {std::string(), std::string("web-1"), std::string(63, 'b'),
                                   std::string(64, 'B'), std::string(65, 'b')}) {
    EXPECT_FALSE(IsContainerId(other)) << other;
  }
}

}  // namespace
}  // namespace tokenwatch
