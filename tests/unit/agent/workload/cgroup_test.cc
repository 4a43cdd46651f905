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

}  // namespace
}  // namespace tokenwatch
