#include "agent/capture/scope.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

using Words = std::vector<std::string>;

TEST(ScopeTest, TheWholeHostIsNoKindAtAll) {
  EXPECT_TRUE(Scope().IsWholeHost());
  EXPECT_EQ(Scope().Text(), "the whole host");
  EXPECT_TRUE((Scope{.pods_dir = "/elsewhere"}).IsWholeHost());
  EXPECT_FALSE((Scope{.cgroups = {"/c"}}).IsWholeHost());
  EXPECT_FALSE((Scope{.users = {"root"}}).IsWholeHost());
  EXPECT_FALSE((Scope{.executables = {"/x"}}).IsWholeHost());
  EXPECT_FALSE((Scope{.namespaces = {"n"}}).IsWholeHost());
}

TEST(ScopeTest, TextNamesAlternativesAndKinds) {
  const Scope scope = {
      .cgroups = {"/c"}, .users = {"app", "7"}, .executables = {"/x"}, .namespaces = {"shop"}};
  EXPECT_EQ(scope.Text(), "cgroup /c and user app or 7 and executable /x and namespace shop");
}

TEST(ScopeTest, UsersAreNamesOrNumbers) {
  const auto resolved = ResolveScope({.users = {"root", "0", "1234567", "4294967294"}});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->uids, (std::vector<uint32_t>{0, 0, 1234567, 4294967294}));
}

TEST(ScopeTest, ExecutablesHaveSingleSlashes) {
  const auto resolved = ResolveScope({.executables = {"//no//such/..x/.y/file", "/no/such/[0]"}});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->executables, (Words{"/no/such/..x/.y/file", "/no/such/[0]"}));
}

TEST(ScopeTest, WhatALinkLeadsToFollowsIt) {
  std::string directory = std::filesystem::temp_directory_path() / "scope_test_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string link = directory + "/link";
  ASSERT_EQ(symlink("/proc/version", link.c_str()), 0);
  const auto resolved = ResolveScope({.executables = {link}});
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->executables, (Words{link, "/proc/version"}));
}

TEST(ScopeTest, RefusesWithASentence) {
  const struct {
    Scope scope;
    std::string says;
  } rows[] = {
      {{.cgroups = {"/no/such"}}, "cannot open the cgroup /no/such"},
      {{.cgroups = {"/"}}, "/ is no directory of a cgroup2 mount"},
      {{.cgroups = Words(65, "/")}, "at most 64 cgroups"},
      {{.users = {"no such user"}}, "this host knows no user 'no such user'"},
      {{.users = {""}}, "this host knows no user ''"},
      {{.users = {"-1"}}, "this host knows no user '-1'"},
      {{.users = {"4294967295"}}, "4294967295 is too large for a user's number"},
      {{.users = {"99999999999999999999"}}, "is too large for a user's number"},
      {{.users = Words(257, "0")}, "at most 256 users"},
      {{.executables = {"curl"}}, "--scope-exe curl: give the absolute path"},
      {{.executables = {""}}, "give the absolute path"},
      {{.executables = {"/usr/bin/"}}, "not of a directory"},
      {{.executables = {"/usr/bin/*"}}, "patterns are not matched"},
      {{.executables = {"/usr/../bin/x"}}, "without . and .."},
      {{.executables = {"/usr/./bin/x"}}, "without . and .."},
      {{.executables = {"/" + std::string(256, 'x')}}, "no file has a name so long"},
      {{.executables = {std::string("/a/b\x1b[2J*")}}, "/a/b\\x1b[2J*"},
      {{.executables = Words(257, "/x")}, "at most 256 executables"},
      {{.namespaces = {"Shop"}}, "'Shop' cannot be a Kubernetes namespace"},
      {{.namespaces = {""}}, "'' cannot be"},
      {{.namespaces = {"a_b"}}, "'a_b' cannot be"},
      {{.namespaces = {"-a"}}, "'-a' cannot be"},
      {{.namespaces = {"a-"}}, "'a-' cannot be"},
      {{.namespaces = {std::string(64, 'n')}}, "at most 63"},
      {{.namespaces = Words(257, "n")}, "at most 256 namespaces"},
      {{.namespaces = {"shop"}, .pods_dir = "pods"}, "--pods-dir: 'pods' is no absolute path"},
  };
  for (const auto& row : rows) {
    const absl::Status status = CheckScope(row.scope);
    ASSERT_FALSE(status.ok()) << row.says;
    EXPECT_NE(status.message().find(row.says), absl::string_view::npos) << status;
  }
}

TEST(ScopeTest, PathsAreAsDeepAsTheKernelFollows) {
  std::string path;
  for (size_t i = 0; i < kMaxPathComponents; ++i) path += "/c";
  EXPECT_TRUE(CheckScope({.executables = {path}}).ok());
  const absl::Status status = CheckScope({.executables = {path + "/c"}});
  EXPECT_NE(status.message().find("more than 30 components"), absl::string_view::npos) << status;
}

// tests/bpf holds these against the kernel's own.
TEST(HashPathTest, TellsPathsApart) {
  const Words paths = {"/a",        "/b",       "/a/b",      "/b/a",          "/ab",       "/a/a",
                       "/aaaaaaaa", "/aaaaaaa", "/a/aaaaaa", "/usr/bin/curl", "/bin/curl", "/curl"};
  for (size_t i = 0; i < paths.size(); ++i) {
    for (size_t j = 0; j < paths.size(); ++j) {
      EXPECT_EQ(HashPath(paths[i], 1) == HashPath(paths[j], 1), i == j) << paths[i] << paths[j];
    }
    EXPECT_NE(HashPath(paths[i], 1), HashPath(paths[i], 2));
  }
}

// Written down, so that a change on one side only does not pass for agreement of both.
TEST(HashPathTest, OfOneComponent) {
  uint64_t hash = 5;
  for (int word = 0; word < 8; ++word) {
    uint64_t value = 0;
    if (word == 0) std::memcpy(&value, "tool", 4);
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32;
  }
  EXPECT_EQ(HashPath("/tool", 5), hash);
  EXPECT_EQ(HashPath("", 5), 5u);
}

}  // namespace
}  // namespace tokenwatch
