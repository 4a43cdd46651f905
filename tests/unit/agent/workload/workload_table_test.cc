#include "agent/workload/workload_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/agent/workload/fake_proc.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class Users : public UserLookup {
 public:
  Answer Find(uint32_t uid) override {
    if (is_pending) return {true, std::nullopt};
    if (uid == 1000) return {false, "ann"};
    if (uid == 33) return {false, "www-data"};
    return {};
  }
  bool is_pending = false;
};

// Answers as it is told to, and pending before.
class FakeContainers : public ContainerLookup {
 public:
  Answer Find(const ContainerKey& key) override {
    asked.push_back(key);
    return answer;
  }
  ContainerStatus Status() override { return {}; }
  void AddCounters(Counters*) override {}
  void Know(State state, const ContainerIdentity& identity) {
    answer = {state, std::make_shared<const ContainerIdentity>(identity)};
  }

  Answer answer = {State::kPending, nullptr};
  std::vector<ContainerKey> asked;
};

void Put(char* to, uint16_t* length, std::initializer_list<std::string_view> leaf_to_root) {
  *length = 0;
  for (const std::string_view component : leaf_to_root) {
    std::memcpy(to + *length, component.data(), component.size());
    *length = static_cast<uint16_t>(*length + component.size());
    to[(*length)++] = '\0';
  }
}

tw_process Record(uint64_t process, uint32_t pid) {
  tw_process record{};
  record.h.mono_ns = 100 * kSecond;
  record.process = process;
  record.start_boot_ns = 50'123'456'789;
  record.pid = pid;
  record.parent_pid = 2;
  record.uid = 33;
  record.login_uid = 1000;
  std::strncpy(record.comm, "python3", sizeof(record.comm));
  Put(record.exe, &record.exe_len, {"python3.11", "bin", "usr"});
  Put(record.parent_exe, &record.parent_exe_len, {"bash", "bin", "usr"});
  Put(record.cgroup, &record.cgroup_len, {"job.service", "system.slice"});
  Put(record.args, &record.args_len, {"python3", "-u", "/srv/job.py", "hunter2"});
  return record;
}

tw_exit ExitOf(const tw_process& record, uint64_t mono_ns) {
  tw_exit exit{};
  exit.h.mono_ns = mono_ns;
  exit.process = record.process;
  exit.pid = record.pid;
  return exit;
}

class WorkloadTableTest : public testing::Test {
 protected:
  WorkloadTable Make(WorkloadTable::Limits limits = {}) {
    return {&proc_, "host-1", &users_, &containers_, &clock_, limits};
  }
  static uint64_t Counter(const WorkloadTable& table, const std::string& name) {
    Counters counters;
    table.AddCounters(&counters);
    EXPECT_TRUE(counters.contains(name)) << name;
    return counters[name];
  }

  FakeProc files_;
  LocalProcReader proc_{files_.Root()};
  Users users_;
  FakeContainers containers_;
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
};

TEST_F(WorkloadTableTest, NamesUsersOnceTheyAreKnown) {
  WorkloadTable table = Make();
  users_.is_pending = true;
  table.OnProcess(Record(5, 1234));
  const auto before = table.Find(5, 1234);
  EXPECT_TRUE(before->naming_users);
  EXPECT_EQ(before->user, "33");
  EXPECT_EQ(before->login_user, "1000");
  users_.is_pending = false;
  clock_.Advance(UserNames::kPendingFor);
  const auto after = table.Find(5, 1234);
  EXPECT_FALSE(after->naming_users);
  EXPECT_EQ(after->user, "www-data");
  EXPECT_EQ(after->login_user, "ann");
  EXPECT_EQ(before->user, "33") << "whoever has it may be reading it";
  EXPECT_EQ(table.Find(5, 1234), after);
}

TEST_F(WorkloadTableTest, KnowsAProcessThatIsGoneFromItsRecordAlone) {
  WorkloadTable table = Make();
  const tw_process record = Record(5, 1234);
  table.OnProcess(record);
  table.OnExit(ExitOf(record, 101 * kSecond));
  const auto found = table.Find(5, 1234);
  EXPECT_EQ(found->host, "host-1");
  EXPECT_EQ(found->pid, 1234u);
  EXPECT_EQ(found->start_time, absl::FromUnixMillis(1'700'000'050'123));
  EXPECT_EQ(found->comm, "python3");
  EXPECT_EQ(found->exe, "/usr/bin/python3.11");
  EXPECT_EQ(found->script, "/srv/job.py");
  EXPECT_EQ(found->parent_exe, "/usr/bin/bash");
  EXPECT_EQ(found->uid, 33u);
  EXPECT_EQ(found->user, "www-data");
  EXPECT_EQ(found->login_uid, 1000u);
  EXPECT_EQ(found->login_user, "ann");
  EXPECT_EQ(found->cgroup, "/system.slice/job.service");
  EXPECT_EQ(found->unit, "job.service");
  EXPECT_EQ(found->container_id, "");
  EXPECT_EQ(found, table.Find(5, 1234));
}

TEST_F(WorkloadTableTest, SaysWhatIsNone) {
  WorkloadTable table = Make();
  tw_process record = Record(5, 1234);
  record.uid = 4711;
  record.login_uid = 4294967295;
  record.cgroup_len = record.parent_exe_len = 0;
  record.cut = 2;
  table.OnProcess(record);
  const auto found = table.Find(5, 1234);
  EXPECT_EQ(found->user, "4711");
  EXPECT_EQ(found->login_user, "");
  EXPECT_EQ(found->login_uid, 0u);
  EXPECT_EQ(found->cgroup, "/");
  EXPECT_EQ(found->unit, "");
  EXPECT_EQ(found->parent_exe, "");
  EXPECT_EQ(Counter(table, "processes_cut_unseen"), 0u);  // there was nothing to cut
}

TEST_F(WorkloadTableTest, MakesARelativeScriptAbsoluteWhereItIs) {
  const std::filesystem::path directory = std::filesystem::path(files_.Root()) / "work";
  std::filesystem::create_directories(directory / "bin");
  std::ofstream(directory / "bin" / "job.py") << "";
  const uint64_t ticks = Record(1, 1).start_boot_ns / 10'000'000;
  const struct {
    std::string_view given;
    uint64_t ticks;
    std::string cwd, wanted;
  } cases[] = {
      {"bin/job.py", ticks, directory, (directory / "bin/job.py").string()},
      {"./bin/../bin//job.py", ticks, directory, (directory / "bin/job.py").string()},
      {"../bin/job.py", ticks, directory / "bin", (directory / "bin/job.py").string()},
      {"bin/job.py", ticks, "/", "bin/job.py"},            // it has left its directory
      {"bin/job.py", ticks + 1, directory, "bin/job.py"},  // another process by now
      {"bin/job.py", ticks, "(unreachable)/x", "bin/job.py"},
      {"/bin/job.py", ticks, directory, "/bin/job.py"},
  };
  uint32_t pid = 100;
  for (const auto& test : cases) {
    WorkloadTable table = Make();
    tw_process record = Record(5, ++pid);
    Put(record.args, &record.args_len, {"python3", test.given});
    files_.Stat(pid, "python3", 2, test.ticks);
    files_.Link(pid, "cwd", test.cwd);
    files_.Link(pid, "root", "/");
    table.OnProcess(record);
    EXPECT_EQ(table.Find(5, pid)->script, test.wanted) << test.given << " in " << test.cwd;
  }
}

TEST_F(WorkloadTableTest, AsksProcForWhatWasCutIfItIsTheSameProcess) {
  const uint64_t ticks = Record(1, 1).start_boot_ns / 10'000'000;
  for (const bool same : {true, false}) {
    WorkloadTable table = Make();
    files_.Stat(1234, "python3", 2, same ? ticks : ticks + 7);
    files_.Link(1234, "exe", "/whole/bin/python3.11");
    files_.Link(2, "exe", "/whole/bin/bash");
    files_.Write(1234, "cgroup", "0::/whole/system.slice/job.service\n");
    files_.Write(1234, "cmdline", std::string("python3\0-u\0/srv/whole.py\0hunter2\0", 33));
    tw_process record = Record(5, 1234);
    record.cut = 1 | 2 | 4 | 8;
    record.args_len = 0;
    table.OnProcess(record);
    const auto found = table.Find(5, 1234);
    EXPECT_EQ(found->exe, same ? "/whole/bin/python3.11" : ".../usr/bin/python3.11");
    EXPECT_EQ(found->parent_exe, same ? "/whole/bin/bash" : ".../usr/bin/bash");
    EXPECT_EQ(found->cgroup,
              same ? "/whole/system.slice/job.service" : ".../system.slice/job.service");
    EXPECT_EQ(found->unit, "job.service");
    EXPECT_EQ(found->script, same ? "/srv/whole.py" : "");
    EXPECT_EQ(Counter(table, "processes_cut"), 1u);
    EXPECT_EQ(Counter(table, "processes_cut_unseen"), same ? 0u : 1u);
  }
}

TEST_F(WorkloadTableTest, ReadsScriptsBehindLongArguments) {
  WorkloadTable table = Make();
  tw_process record = Record(5, 1234);
  const std::string option = "-Wignore::" + std::string(1100, 'x');
  std::string area = std::string("python3") + '\0' + option + '\0' + "/srv/far.py" + '\0';
  std::memcpy(record.args, area.data(), TW_ARGS_MAX);
  record.args_len = TW_ARGS_MAX;
  files_.Stat(1234, "python3", 2, record.start_boot_ns / 10'000'000);
  files_.Write(1234, "cmdline", area);
  table.OnProcess(record);
  EXPECT_EQ(table.Find(5, 1234)->script, "/srv/far.py");
}

TEST_F(WorkloadTableTest, LooksInProcForAnImageThatWasNeverAnnounced) {
  WorkloadTable table = Make();
  files_.Stat(77, "node", 2, 4321);
  files_.Write(77, "comm", "node\n");
  files_.Write(77, "status", "Uid:\t1000\t1000\t1000\t1000\n");
  files_.Write(77, "loginuid", "4294967295");
  files_.Write(77, "cgroup", "0::/user.slice/session-1.scope\n");
  files_.Write(77, "cmdline", std::string("node\0/srv/app.js\0", 17));
  files_.Link(77, "exe", "/usr/bin/node");
  files_.Link(2, "exe", "/usr/bin/bash");
  for (const uint64_t process : {0, 9}) {
    const auto found = table.Find(process, 77);
    EXPECT_EQ(found->pid, 77u);
    EXPECT_EQ(found->start_time, absl::FromUnixMillis(1'700'000'043'210));
    EXPECT_EQ(found->comm, "node");
    EXPECT_EQ(found->exe, "/usr/bin/node");
    EXPECT_EQ(found->script, "/srv/app.js");
    EXPECT_EQ(found->parent_exe, "/usr/bin/bash");
    EXPECT_EQ(found->user, "ann");
    EXPECT_EQ(found->login_user, "");
    EXPECT_EQ(found->unit, "session-1.scope");
  }
  EXPECT_EQ(Counter(table, "processes_from_proc"), 1u);  // remembered the second time
  files_.Remove(77);
  EXPECT_EQ(table.Find(0, 77)->comm, "node");
  files_.Stat(77, "other", 2, 9999);  // the number was used again
  files_.Write(77, "comm", "other\n");
  EXPECT_EQ(table.Find(0, 77)->comm, "other");
}

TEST_F(WorkloadTableTest, SaysHostAndPidWhereNothingIsKnown) {
  WorkloadTable table = Make();
  const auto found = table.Find(1, 99);
  EXPECT_EQ(found->host, "host-1");
  EXPECT_EQ(found->pid, 99u);
  EXPECT_EQ(found->exe, "");
  EXPECT_EQ(found->user, "");
  EXPECT_EQ(Counter(table, "processes_unseen"), 1u);
}

TEST_F(WorkloadTableTest, FindsUnitsInSystemdsOwnHierarchy) {
  WorkloadTable table = Make();
  tw_process record = Record(5, 1234);
  record.cgroup_len = 0;
  files_.Stat(1234, "python3", 2, record.start_boot_ns / 10'000'000);
  files_.Write(1234, "cgroup", "1:name=systemd:/system.slice/old.service\n0::/\n");
  table.OnProcess(record);
  EXPECT_EQ(table.Find(5, 1234)->cgroup, "/");
  EXPECT_EQ(table.Find(5, 1234)->unit, "old.service");
}

TEST_F(WorkloadTableTest, KeepsTheImagesOfOneProcessApart) {
  WorkloadTable table = Make();
  tw_process before = Record(5, 1234);
  tw_process after = Record(6, 1234);
  Put(after.exe, &after.exe_len, {"curl", "bin", "usr"});
  table.OnProcess(before);
  table.OnProcess(after);
  EXPECT_EQ(table.Find(5, 1234)->exe, "/usr/bin/python3.11");
  EXPECT_EQ(table.Find(6, 1234)->exe, "/usr/bin/curl");
  EXPECT_EQ(table.Find(0, 1234)->exe, "/usr/bin/curl");
  // The exec ended the first image, the second lives.
  files_.Stat(1234, "curl", 2, after.start_boot_ns / 10'000'000);
  table.Sweep(before.h.mono_ns + 3600 * kSecond);
  EXPECT_EQ(Counter(table, "processes_held"), 1u);
  EXPECT_EQ(table.Find(6, 1234)->exe, "/usr/bin/curl");
}

TEST_F(WorkloadTableTest, ForgetsSomeTimeAfterTheEnd) {
  WorkloadTable table = Make({.kept_after_exit = absl::Seconds(10)});
  const tw_process record = Record(5, 1234);
  files_.Stat(1234, "python3", 2, record.start_boot_ns / 10'000'000);
  table.OnProcess(record);
  table.Sweep(1000 * kSecond);
  EXPECT_EQ(Counter(table, "processes_held"), 1u);
  table.OnExit(ExitOf(record, 1000 * kSecond));
  files_.Remove(1234);
  table.Sweep(1009 * kSecond);
  EXPECT_EQ(table.Find(5, 1234)->comm, "python3");
  table.Sweep(1010 * kSecond);
  EXPECT_EQ(table.Find(5, 1234)->comm, "");
  EXPECT_EQ(Counter(table, "processes_held"), 0u);
}

TEST_F(WorkloadTableTest, NoticesEndsThatWereNotTold) {
  WorkloadTable table = Make({.kept_after_exit = absl::Seconds(10), .checked_a_sweep = 2});
  for (uint32_t pid = 1; pid <= 5; ++pid) table.OnProcess(Record(pid, pid));
  for (int i = 0; i < 3; ++i) table.Sweep(200 * kSecond);
  EXPECT_EQ(Counter(table, "processes_held"), 5u);
  table.Sweep(211 * kSecond);
  EXPECT_EQ(Counter(table, "processes_held"), 0u);
}

TEST_F(WorkloadTableTest, StaysBounded) {
  WorkloadTable table = Make({.images = 3});
  for (uint32_t pid = 1; pid <= 3; ++pid) table.OnProcess(Record(pid, pid));
  table.OnExit(ExitOf(Record(2, 2), 101 * kSecond));
  table.OnProcess(Record(4, 4));  // in place of the one that ended
  EXPECT_EQ(Counter(table, "processes_dropped"), 0u);
  EXPECT_EQ(table.Find(2, 2)->comm, "");
  EXPECT_EQ(table.Find(1, 1)->comm, "python3");  // now the one asked for last
  table.OnProcess(Record(5, 5));
  EXPECT_EQ(Counter(table, "processes_dropped"), 1u);
  EXPECT_EQ(table.Find(3, 3)->comm, "");
  EXPECT_EQ(table.Find(1, 1)->comm, "python3");
  EXPECT_EQ(Counter(table, "processes_held"), 3u);
  for (uint64_t process = 100; process < 200; ++process) table.OnProcess(Record(process, 7));
  EXPECT_EQ(Counter(table, "processes_held"), 3u);
}

TEST_F(WorkloadTableTest, MakesHostileNamesSafe) {
  WorkloadTable table = Make();
  tw_process record = Record(5, 1234);
  std::memcpy(record.comm, "\x1b[31m\n\xff\xc3\xa9=1+1!..", 16);  // without a NUL
  Put(record.exe, &record.exe_len, {"python3", "a\x7f\xe2\x82", "\xc2\x9bx"});
  Put(record.args, &record.args_len, {"python3", "/srv/\x01.py"});
  table.OnProcess(record);
  const auto found = table.Find(5, 1234);
  EXPECT_EQ(found->comm, "%1B[31m%0A%FF\xc3\xa9=1+1!..");
  EXPECT_EQ(found->exe, "/%C2%9Bx/a%7F%E2%82/python3");
  EXPECT_EQ(found->script, "/srv/%01.py");

  std::memset(&record.exe, 'x', sizeof(record.exe));
  std::memset(&record.args, '\x02', sizeof(record.args));
  record.process = 6;
  record.exe_len = record.cgroup_len = record.parent_exe_len = record.args_len = 65535;
  table.OnProcess(record);
  EXPECT_LE(table.Find(6, 1234)->exe.size(), 2u * TW_PATH_MAX);
}

// None of the arguments but the script survives.
TEST_F(WorkloadTableTest, KeepsNoArguments) {
  WorkloadTable table = Make();
  tw_process record = Record(5, 1234);
  Put(record.args, &record.args_len,
      {"python3", "-c", "print('hunter2')", "hunter2", "--token=hunter2"});
  table.OnProcess(record);
  const auto found = table.Find(5, 1234);
  for (const std::string& text : {found->comm, found->exe, found->script, found->parent_exe,
                                  found->cgroup, found->unit, found->user}) {
    EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  }
}

constexpr char kPodUid[] = "0a1b2c3d-0000-4000-8000-00000000000a";

// A process in a container of a pod, as the kubelet and containerd under systemd name its group.
tw_process InPod(uint64_t process, uint32_t pid, const std::string& id) {
  tw_process record = Record(process, pid);
  const std::string scope = "cri-containerd-" + id + ".scope";
  Put(record.cgroup, &record.cgroup_len,
      {scope, "kubepods-burstable-pod0a1b2c3d_0000_4000_8000_00000000000a.slice",
       "kubepods-burstable.slice", "kubepods.slice"});
  return record;
}

ContainerIdentity Web() {
  return {.container_name = "nginx",
          .image = "nginx:1.25",
          .pod = "web-0",
          .namespace_name = "shop",
          .service_account = "cart",
          .labels = "app=web"};
}

TEST_F(WorkloadTableTest, AsksForAContainersNamesWhenAProcessBegins) {
  WorkloadTable table = Make();
  const std::string id(64, 'b');
  table.OnProcess(InPod(5, 1234, id));
  ASSERT_EQ(containers_.asked, (std::vector<ContainerKey>{{id, kPodUid}}));
  const auto before = table.Find(5, 1234);
  EXPECT_EQ(before->container_id, id);
  EXPECT_TRUE(before->naming);
  EXPECT_EQ(before->pod, "");

  containers_.Know(ContainerLookup::State::kKnown, Web());
  const auto found = table.Find(5, 1234);
  EXPECT_FALSE(found->naming);
  EXPECT_EQ(found->container_name, "nginx");
  EXPECT_EQ(found->image, "nginx:1.25");
  EXPECT_EQ(found->pod, "web-0");
  EXPECT_EQ(found->namespace_name, "shop");
  EXPECT_EQ(found->service_account, "cart");
  EXPECT_EQ(found->labels, "app=web");
  EXPECT_EQ(found->exe, before->exe);

  // What is known is not asked for again, and stays when the process and the container are gone.
  const size_t asked = containers_.asked.size();
  containers_.answer = {};
  table.OnExit(ExitOf(InPod(5, 1234, id), 101 * kSecond));
  EXPECT_EQ(table.Find(5, 1234), found);
  EXPECT_EQ(containers_.asked.size(), asked);
}

TEST_F(WorkloadTableTest, GivesTheNextProcessOfAPidItsOwnContainer) {
  WorkloadTable table = Make();
  containers_.Know(ContainerLookup::State::kKnown, Web());
  table.OnProcess(InPod(5, 1234, std::string(64, 'b')));
  ContainerIdentity other = Web();
  other.pod = "web-1";
  containers_.Know(ContainerLookup::State::kKnown, other);
  table.OnProcess(InPod(6, 1234, std::string(64, 'c')));
  EXPECT_EQ(table.Find(5, 1234)->pod, "web-0");
  EXPECT_EQ(table.Find(6, 1234)->pod, "web-1");
  table.OnProcess(Record(7, 1234));
  EXPECT_EQ(table.Find(7, 1234)->pod, "");
}

TEST_F(WorkloadTableTest, CompletesNamesThatWereKnownInPart) {
  WorkloadTable table = Make();
  containers_.Know(ContainerLookup::State::kUnknown, {.pod = "web-0", .namespace_name = "shop"});
  table.OnProcess(InPod(5, 1234, std::string(64, 'b')));
  const auto part = table.Find(5, 1234);
  EXPECT_EQ(part->pod, "web-0");
  EXPECT_FALSE(part->naming);
  EXPECT_EQ(table.Find(5, 1234), part);
  containers_.Know(ContainerLookup::State::kKnown, Web());
  EXPECT_EQ(table.Find(5, 1234)->image, "nginx:1.25");
}

TEST_F(WorkloadTableTest, AsksForNoContainerOutsideOfOnes) {
  WorkloadTable table = Make();
  table.OnProcess(Record(5, 1234));
  tw_process machine = Record(6, 1235);
  Put(machine.cgroup, &machine.cgroup_len, {"payload", "machine-web\\x2d1.scope", "machine.slice"});
  table.OnProcess(machine);
  EXPECT_EQ(table.Find(6, 1235)->container_id, "web-1");
  EXPECT_FALSE(table.Find(5, 1234)->naming);
  EXPECT_TRUE(containers_.asked.empty());
}

TEST_F(WorkloadTableTest, FindsContainersInAHierarchyOfVersionOne) {
  const std::string id(64, 'b');
  files_.Write(1, "cgroup", "5:pids:/\n1:name=systemd:/init.scope\n0::/init.scope\n");
  files_.Stat(1234, "python3", 2, 5012);
  // No systemd driver, so its own hierarchy does not have the container.
  files_.Write(1234, "cgroup",
               "5:pids:/kubepods/burstable/pod" + std::string(kPodUid) + "/" + id +
                   "\n1:name=systemd:/system.slice/containerd.service\n"
                   "0::/system.slice/containerd.service\n");
  WorkloadTable table = Make();
  tw_process record = Record(5, 1234);
  Put(record.cgroup, &record.cgroup_len, {"containerd.service", "system.slice"});
  table.OnProcess(record);
  EXPECT_EQ(table.Find(5, 1234)->container_id, id);
  EXPECT_EQ(containers_.asked.at(0), (ContainerKey{id, kPodUid}));
}

TEST_F(WorkloadTableTest, MakesNamesSafeToShow) {
  WorkloadTable table = Make();
  ContainerIdentity odd = Web();
  odd.container_name = "a\x1b[31m\xff";
  odd.image = std::string(100'000, 'x');
  containers_.Know(ContainerLookup::State::kKnown, odd);
  table.OnProcess(InPod(5, 1234, std::string(64, 'b')));
  EXPECT_EQ(table.Find(5, 1234)->container_name, "a%1B[31m%FF");
  EXPECT_LE(table.Find(5, 1234)->image.size(), 2048u);
}

}  // namespace
}  // namespace tokenwatch
