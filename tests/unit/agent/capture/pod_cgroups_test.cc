#include "agent/capture/pod_cgroups.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/capture/pod_names.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUid = "2d3a4f66-0000-4000-8000-00000000000a";
constexpr const char* kOtherUid = "2d3a4f66-0000-4000-8000-00000000000b";

TEST(PodNamesTest, Directories) {
  const struct {
    std::string name, name_space, pod, uid;
  } rows[] = {
      {absl::StrCat("shop_web-0_", kUid), "shop", "web-0", kUid},
      {"kube-system_etcd-node.example_0123456789abcdef0123456789abcdef", "kube-system",
       "etcd-node.example", "0123456789abcdef0123456789abcdef"},
      {"a_b_c", "a", "b", "c"},
  };
  for (const auto& row : rows) {
    const auto pod = ParsePodDirectory(row.name);
    EXPECT_TRUE(pod.has_value()) << row.name;
    if (!pod.has_value()) continue;
    EXPECT_EQ(pod->name_space, row.name_space);
    EXPECT_EQ(pod->pod, row.pod);
    EXPECT_EQ(pod->uid, row.uid);
  }
  for (const std::string name :
       {"", "_", "__", "a_b", "a_b_", "_b_c", "a__c", "a_b_c_d", "a_b_c/d", "a_b_c d", "shop"}) {
    EXPECT_FALSE(ParsePodDirectory(name).has_value()) << name;
  }
  EXPECT_FALSE(ParsePodDirectory("a_b_" + std::string(65, 'c')).has_value());
}

TEST(PodNamesTest, Cgroups) {
  const struct {
    std::string name, uid;
  } rows[] = {
      {absl::StrCat("pod", kUid), kUid},
      {"kubepods-burstable-pod2d3a4f66_0000_4000_8000_00000000000a.slice", kUid},
      {"kubepods-pod2d3a4f66_0000_4000_8000_00000000000a.slice", kUid},
      {"kubelet-kubepods-besteffort-pod2d3a4f66_0000_4000_8000_00000000000a.slice", kUid},
      {"kubepods-besteffort-pod2d3a4f66_0000_4000_8000_00000000000a.slice:cri-containerd:0af",
       kUid},
      {"kubepods-pod0123456789abcdef0123456789abcdef.slice", "0123456789abcdef0123456789abcdef"},
      {"kubepods.slice", ""},
      {"kubepods", ""},
      {"kubepods-burstable.slice", ""},
      {"pod", ""},
      {"pod.slice", ""},
      {"podman.service", ""},
      {"kubepods-pod1.slice.d", ""},
      {"libpod-0af.scope", ""},
      {"machine-libpod_pod_0af.slice", ""},
      {"pod" + std::string(65, 'c'), ""},
      {"", ""},
  };
  for (const auto& row : rows) EXPECT_EQ(PodUidOfCgroup(row.name), row.uid) << row.name;
}

class FakeSink : public PodCgroupSink {
 public:
  bool Add(uint64_t cgroup_id) override {
    if (ids.size() >= room) return false;
    EXPECT_TRUE(ids.insert(cgroup_id).second);
    return true;
  }
  void Remove(uint64_t cgroup_id) override { EXPECT_EQ(ids.erase(cgroup_id), 1u); }

  size_t room = 1000;
  std::set<uint64_t> ids;
};

// Directories of any file system stand for cgroups: both are told by their inode's number.
class PodCgroupsTest : public testing::Test {
 protected:
  PodCgroupsTest() : directory_(fs::temp_directory_path() / "pod_cgroups_test_XXXXXX") {
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    pods_ = directory_ + "/log/pods";
    root_ = directory_ + "/cgroup";
    fs::create_directories(pods_);
    fs::create_directories(root_ + "/system.slice/ssh.service");
  }
  ~PodCgroupsTest() override { fs::remove_all(directory_); }

  void Create(size_t max_directories = 100) {
    auto created = PodCgroups::Create({.namespaces = {"shop", "bank"},
                                       .pods_dir = pods_,
                                       .cgroup_root = root_,
                                       .max_directories = max_directories},
                                      &sink_);
    ASSERT_TRUE(created.ok()) << created.status();
    cgroups_ = *std::move(created);
  }
  // Makes a directory below the root; its id.
  uint64_t MakeCgroup(const std::string& path) {
    fs::create_directories(root_ + "/" + path);
    struct stat info = {};
    EXPECT_EQ(stat((root_ + "/" + path).c_str(), &info), 0);
    return info.st_ino;
  }
  std::string MakePod(const std::string& name_space, const std::string& uid) {
    std::string path = absl::StrCat(pods_, "/", name_space, "_web_", uid);
    fs::create_directories(path);
    return path;
  }
  std::set<uint64_t> InScope() {
    cgroups_->ProcessEvents();
    return sink_.ids;
  }

  std::string directory_, pods_, root_;
  FakeSink sink_;
  std::unique_ptr<PodCgroups> cgroups_;
};

using Ids = std::set<uint64_t>;

TEST_F(PodCgroupsTest, PodsThatAreThere) {
  MakePod("shop", kUid);
  MakePod("other", kOtherUid);
  const uint64_t id = MakeCgroup(absl::StrCat("kubepods/burstable/pod", kUid));
  MakeCgroup(absl::StrCat("kubepods/burstable/pod", kUid, "/container"));
  MakeCgroup(absl::StrCat("kubepods/burstable/pod", kOtherUid));
  Create();
  EXPECT_EQ(sink_.ids, Ids{id});
  EXPECT_EQ(cgroups_->Status().pods, 1u);
  EXPECT_EQ(cgroups_->Status().pods_without_cgroup, 0u);
  EXPECT_EQ(cgroups_->Status().degraded, "");
  EXPECT_EQ(cgroups_->Status().unwatched, 0u);
}

TEST_F(PodCgroupsTest, TheDirectoryBeforeTheCgroup) {
  Create();
  MakePod("bank", kUid);
  EXPECT_EQ(InScope(), Ids{});
  EXPECT_EQ(cgroups_->Status().pods_without_cgroup, 1u);
  const uint64_t id = MakeCgroup(
      "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-"
      "pod2d3a4f66_0000_4000_8000_00000000000a.slice");
  EXPECT_EQ(InScope(), Ids{id});
  EXPECT_EQ(cgroups_->Status().pods_without_cgroup, 0u);
}

TEST_F(PodCgroupsTest, TheCgroupBeforeTheDirectory) {
  Create();
  const uint64_t id = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  EXPECT_EQ(InScope(), Ids{});
  MakePod("shop", kUid);
  EXPECT_EQ(InScope(), Ids{id});
}

TEST_F(PodCgroupsTest, PodsThatGo) {
  const std::string first = MakePod("shop", kUid);
  MakePod("shop", kOtherUid);
  const uint64_t id = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  const uint64_t other = MakeCgroup(absl::StrCat("kubepods/pod", kOtherUid));
  Create();
  EXPECT_EQ(sink_.ids, (Ids{id, other}));
  fs::remove_all(first);
  EXPECT_EQ(InScope(), Ids{other});
  fs::remove(absl::StrCat(root_, "/kubepods/pod", kOtherUid));
  EXPECT_EQ(InScope(), Ids{});
  EXPECT_EQ(cgroups_->Status().pods_without_cgroup, 1u);
  const uint64_t again = MakeCgroup(absl::StrCat("kubepods/pod", kOtherUid));
  EXPECT_EQ(InScope(), Ids{again});
}

TEST_F(PodCgroupsTest, SeveralCgroupsOfAPod) {
  MakePod("shop", kUid);
  Create();
  const std::string name = "kubepods-pod2d3a4f66_0000_4000_8000_00000000000a.slice";
  const uint64_t one = MakeCgroup("system.slice/" + name + ":cri-containerd:1");
  const uint64_t two = MakeCgroup(name + ":cri-containerd:2");
  EXPECT_EQ(InScope(), (Ids{one, two}));
  EXPECT_EQ(cgroups_->Status().pods, 1u);
}

TEST_F(PodCgroupsTest, AMissingDirectoryIsNamedAndPickedUp) {
  fs::remove_all(directory_ + "/log");
  const uint64_t id = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  Create();
  EXPECT_TRUE(cgroups_->Status().degraded.starts_with("pods-directory-missing: " + pods_));
  // A level at a time, then with a pod in it.
  fs::create_directory(directory_ + "/log");
  EXPECT_EQ(InScope(), Ids{});
  EXPECT_NE(cgroups_->Status().degraded, "");
  fs::create_directory(directory_ + "/log/else");
  EXPECT_EQ(InScope(), Ids{});
  MakePod("shop", kUid);
  EXPECT_EQ(InScope(), Ids{id});
  EXPECT_EQ(cgroups_->Status().degraded, "");
}

TEST_F(PodCgroupsTest, ADirectoryThatGoesAndComes) {
  MakePod("shop", kUid);
  const uint64_t id = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  Create();
  fs::rename(pods_, directory_ + "/moved");
  EXPECT_EQ(InScope(), Ids{});
  EXPECT_NE(cgroups_->Status().degraded, "");
  fs::rename(directory_ + "/moved", pods_);
  EXPECT_EQ(InScope(), Ids{id});
  fs::remove_all(directory_ + "/log");
  EXPECT_EQ(InScope(), Ids{});
  MakePod("shop", kUid);
  EXPECT_EQ(InScope(), Ids{id});
}

TEST_F(PodCgroupsTest, WhatIsNoPodIsLeftAlone) {
  Create();
  const uint64_t id = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  fs::create_directories(pods_ + "/shop");
  fs::create_directories(pods_ + "/shop_x");
  fs::create_symlink(directory_, absl::StrCat(pods_, "/shop_web_", kUid));
  EXPECT_EQ(InScope(), Ids{});
  fs::remove(absl::StrCat(pods_, "/shop_web_", kUid));
  MakePod("shop", kUid);
  EXPECT_EQ(InScope(), Ids{id});
}

TEST_F(PodCgroupsTest, WithoutRoomIsCountedOnceAndTriedAgain) {
  sink_.room = 1;
  Create();
  MakePod("shop", kUid);
  const uint64_t id = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  EXPECT_EQ(InScope(), Ids{id});
  MakePod("shop", kOtherUid);
  const uint64_t other = MakeCgroup(absl::StrCat("kubepods/pod", kOtherUid));
  EXPECT_EQ(InScope(), Ids{id});
  MakeCgroup("unrelated");
  EXPECT_EQ(InScope(), Ids{id});
  EXPECT_EQ(cgroups_->Status().full, 1u);
  fs::remove(absl::StrCat(root_, "/kubepods/pod", kUid));
  EXPECT_EQ(InScope(), Ids{other});
}

TEST_F(PodCgroupsTest, DirectoriesAreBounded) {
  MakePod("shop", kUid);
  for (int i = 0; i < 20; ++i) MakeCgroup(absl::StrCat("d", i));
  Create(10);
  EXPECT_GE(cgroups_->Status().unwatched, 10u);
  // What was there at the start is found all the same.
  for (int i = 0; i < 20; ++i) MakeCgroup(absl::StrCat("pod", i));
  InScope();
  EXPECT_GE(cgroups_->Status().unwatched, 20u);
}

TEST_F(PodCgroupsTest, MoreEventsThanTheQueueHolds) {
  MakePod("shop", kUid);
  MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  Create();
  // fs.inotify.max_queued_events is 16384 where nobody changed it.
  const std::string a = root_ + "/a", b = root_ + "/b";
  fs::remove(absl::StrCat(root_, "/kubepods/pod", kUid));
  for (int i = 0; i < 4200; ++i) {
    mkdir(a.c_str(), 0755);
    mkdir(b.c_str(), 0755);
    rmdir(a.c_str());
    rmdir(b.c_str());
  }
  const uint64_t again = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  EXPECT_EQ(InScope(), Ids{again});
}

}  // namespace
}  // namespace tokenwatch
