// Probes that do nothing, to tell what a site costs from what a program costs:
//   empty_probes [--count] FILE ENTRIES RETURNS KERNEL_RETURNS
// each a list of offsets in FILE with commas between, or "-"; the last are the kernel's own return
// probes. Prints "attached", and takes them away when standard input ends. With --count the kernel
// counts the programs' runs, which costs time itself; their sums, of entries and of returns, are
// printed at the end.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "agent/capture/unique_fd.h"
#include "agent/capture/uprobe_multi.h"

namespace {

using tokenwatch::UniqueFd;

[[noreturn]] void Die(absl::string_view what) {
  std::cerr << "empty_probes: " << what << ": " << strerror(errno) << "\n";
  std::exit(1);
}

std::vector<uint64_t> Offsets(const char* list) {
  std::vector<uint64_t> offsets;
  if (absl::string_view(list) == "-") return offsets;
  for (const absl::string_view word : absl::StrSplit(list, ',')) {
    if (!absl::SimpleAtoi(word, &offsets.emplace_back())) Die("an offset that is no number");
  }
  return offsets;
}

UniqueFd LoadEmptyProgram(bool is_multi) {
  // r0 = 0; exit
  const bpf_insn instructions[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
                                   {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  if (is_multi) {
    options.expected_attach_type = static_cast<bpf_attach_type>(tokenwatch::kTraceUprobeMulti);
  }
  UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_KPROBE, nullptr, "GPL", instructions, 2, &options));
  if (!program.valid()) Die("loading a program that does nothing");
  return program;
}

// As before 6.6: an event a probe.
UniqueFd AttachAlone(int program, const char* path, uint64_t offset, bool at_return) {
  std::ifstream file("/sys/bus/event_source/devices/uprobe/type");
  perf_event_attr attributes = {};
  if (!(file >> attributes.type)) Die("SKIPPED: uprobe");
  attributes.size = sizeof(attributes);
  attributes.config = at_return ? 1 : 0;
  attributes.config1 = reinterpret_cast<uint64_t>(path);
  attributes.config2 = offset;
  UniqueFd event(
      static_cast<int>(syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid() || ioctl(event.get(), PERF_EVENT_IOC_SET_BPF, program) != 0 ||
      ioctl(event.get(), PERF_EVENT_IOC_ENABLE, 0) != 0) {
    Die("attaching a probe");
  }
  return event;
}

// Links of one program, and how often it ran.
class Probes {
 public:
  Probes() : is_multi_(tokenwatch::HasUprobeMulti()), program_(LoadEmptyProgram(is_multi_)) {}

  void Attach(const char* path, const std::vector<uint64_t>& offsets, bool at_return) {
    if (offsets.empty()) return;
    if (!is_multi_) {
      for (const uint64_t offset : offsets) {
        links_.push_back(AttachAlone(program_.get(), path, offset, at_return));
      }
      return;
    }
    const std::vector<uint64_t> cookies(offsets.size());
    absl::StatusOr<UniqueFd> link =
        tokenwatch::LinkUprobeMulti(program_.get(), path, offsets, cookies, at_return);
    if (!link.ok()) Die(link.status().message());
    links_.push_back(*std::move(link));
  }

  uint64_t Runs() const {
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(program_.get(), &info, &size) != 0) Die("asking for runs");
    return info.run_cnt;
  }

 private:
  bool is_multi_;
  UniqueFd program_;
  std::vector<UniqueFd> links_;
};

}  // namespace

int main(int argc, char** argv) {
  const bool is_counting = argc > 1 && absl::string_view(argv[1]) == "--count";
  if (argc != (is_counting ? 6 : 5)) {
    std::cerr << "usage: empty_probes [--count] FILE ENTRIES RETURNS KERNEL_RETURNS\n";
    return 2;
  }
  char** arguments = argv + (is_counting ? 2 : 1);
  UniqueFd statistics;
  if (is_counting) {
    statistics = UniqueFd(bpf_enable_stats(BPF_STATS_RUN_TIME));
    if (!statistics.valid()) Die("counting runs");
  }
  Probes entries, returns;
  returns.Attach(arguments[0], Offsets(arguments[2]), false);
  returns.Attach(arguments[0], Offsets(arguments[3]), true);
  entries.Attach(arguments[0], Offsets(arguments[1]), false);
  std::cout << "attached" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  if (is_counting) std::cout << entries.Runs() << " " << returns.Runs() << std::endl;
  return 0;
}
