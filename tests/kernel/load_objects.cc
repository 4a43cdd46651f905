// Loads every program of BPF objects by itself and says what this kernel's verifier thinks of it.
//
//   load_objects [--set KNOB[=BYTE]]... OBJECT...
//
// --set gives a byte of an object's read-only data another value, 1 where none is named, as the
// agent does where the kernel has what it stands for; an object without that knob is loaded as it
// is.
//
// One line a program on standard output, fields separated by a tab:
//   program  <object>  <name>  <section>  loaded   <verified instructions>  <stack>
//   program  <object>  <name>  <section>  absent   <missing function, tracepoint or helper>
//   program  <object>  <name>  <section>  failed   <error>
// The stack is `cpu` where the program has one for each CPU, `task` where it uses its task's.
// After `failed` the end of the verifier's log follows, each line with a leading "  | ".
// Exits 0 where nothing failed, 1 where something did, 2 for wrong use. Needs CAP_BPF and
// CAP_PERFMON; loads, never attaches.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr size_t kTailLines = 40;
// The largest log that 5.10 accepts; a larger request is an error there.
constexpr size_t kVerboseLogSize = 16 * 1024 * 1024 - 1;
constexpr size_t kStatsLogSize = 64 * 1024;
constexpr int kLogStats = 4;
constexpr int kLogVerbose = 1;

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

// What libbpf itself said since it was last cleared; the print callback has no context argument.
std::string g_libbpf_messages;
// Given with --set.
struct Knob {
  std::string name;
  uint8_t value;
};
std::vector<Knob> g_knobs;

int KeepMessage(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char line[1024];
  int length = vsnprintf(line, sizeof(line), format, arguments);
  if (length > 0) g_libbpf_messages += line;
  return length;
}

struct Outcome {
  enum Kind { kLoaded, kAbsent, kFailed } kind = kFailed;
  std::string detail;
  std::string log;
};

std::string_view NamePastSlash(std::string_view section) {
  size_t slash = section.find('/');
  return slash == std::string_view::npos ? "" : section.substr(slash + 1);
}

// The BTF target that a program's section names and that this kernel lacks, or "".
std::string MissingTarget(const btf* kernel, std::string_view section) {
  std::string target(NamePastSlash(section));
  if (target.empty()) return "";
  for (std::string_view kind : {"fentry/", "fexit/", "fmod_ret/"}) {
    if (section.starts_with(kind)) {
      bool found = btf__find_by_name_kind(kernel, target.c_str(), BTF_KIND_FUNC) > 0;
      return found ? "" : target;
    }
  }
  if (section.starts_with("tp_btf/")) {
    std::string type = "btf_trace_" + target;
    bool found = btf__find_by_name_kind(kernel, type.c_str(), BTF_KIND_TYPEDEF) > 0;
    return found ? "" : target;
  }
  return "";
}

// Helpers that are called behind a question for them, which the relocation at load answers.
constexpr bpf_func_id kGuarded[] = {BPF_FUNC_get_current_task_btf, BPF_FUNC_task_pt_regs};

// The number of a helper that a program calls by itself and that this kernel lacks, or "". Checked
// beforehand, because a verifier gets to the call only after minutes in the functions beside it.
std::string MissingHelper(const bpf_program* program) {
  const bpf_insn* instructions = bpf_program__insns(program);
  for (size_t i = 0; i < bpf_program__insn_cnt(program); ++i) {
    const bpf_insn& call = instructions[i];
    if (call.code != (BPF_JMP | BPF_CALL) || call.src_reg != 0) continue;
    const auto helper = static_cast<bpf_func_id>(call.imm);
    if (std::find(std::begin(kGuarded), std::end(kGuarded), helper) != std::end(kGuarded)) continue;
    if (libbpf_probe_bpf_helper(bpf_program__type(program), helper, nullptr) == 0) {
      return "helper " + std::to_string(call.imm);
    }
  }
  return "";
}

// Sets one byte of an object's read-only data before it is loaded.
void SetKnob(bpf_object* object, const Knob& knob) {
  const btf* types = bpf_object__btf(object);
  const int section = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  bpf_map* map = bpf_object__find_map_by_name(object, ".rodata");
  if (section < 0 || map == nullptr) return;
  size_t size = 0;
  const auto* initial = static_cast<const uint8_t*>(bpf_map__initial_value(map, &size));
  if (initial == nullptr) return;
  std::vector<uint8_t> data(initial, initial + size);
  const btf_type* type = btf__type_by_id(types, section);
  const btf_var_secinfo* variable = btf_var_secinfos(type);
  for (uint32_t i = 0; i < btf_vlen(type); ++i, ++variable) {
    const btf_type* named = btf__type_by_id(types, variable->type);
    if (knob.name == btf__name_by_offset(types, named->name_off) && variable->size == 1 &&
        variable->offset < size) {
      data[variable->offset] = knob.value;
    }
  }
  bpf_map__set_initial_value(map, data.data(), size);
}

Object Open(const char* path, std::vector<char>& log, int level) {
  log.assign(log.size(), '\0');
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.kernel_log_buf = log.data();
  options.kernel_log_size = log.size();
  options.kernel_log_level = level;
  Object object(bpf_object__open_file(path, &options));
  if (object != nullptr) {
    for (const Knob& knob : g_knobs) SetKnob(object.get(), knob);
  }
  return object;
}

bpf_program* OnlyProgram(bpf_object* object, std::string_view name) {
  bpf_program* found = nullptr;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    bool wanted = name == bpf_program__name(program);
    bpf_program__set_autoload(program, wanted);
    if (wanted) found = program;
  }
  return found;
}

// "processed N insns" is in the log of every kernel; bpf_prog_info has the number from 5.16 on.
std::string VerifiedInstructions(const bpf_program* program, const std::vector<char>& log) {
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0 &&
      info.verified_insns != 0) {
    return std::to_string(info.verified_insns);
  }
  std::string_view text(log.data());
  constexpr std::string_view kMark = "processed ";
  size_t at = text.rfind(kMark);
  if (at == std::string_view::npos) return "unknown";
  at += kMark.size();
  return std::string(text.substr(at, text.find(' ', at) - at));
}

// From 6.13 on some programs have a stack for each CPU, whose address they compute first of all:
// add r9, gs:this_cpu_off (arch/x86/net/bpf_jit_comp.c, emit_priv_frame_ptr).
bool HasStackForCpu(const bpf_program* program) {
  constexpr std::string_view kAddThisCpu("\x65\x4c\x03\x0c\x25", 5);
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) return false;
  std::string code(info.jited_prog_len, '\0');
  info = {};
  size = sizeof(info);
  info.jited_prog_len = static_cast<uint32_t>(code.size());
  info.jited_prog_insns = reinterpret_cast<uintptr_t>(code.data());
  if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) return false;
  return code.find(kAddThisCpu) != std::string::npos;
}

std::string Tail(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  size_t at = text.size();
  for (size_t lines = 0; lines < kTailLines && at != std::string_view::npos && at > 0; ++lines) {
    at = text.rfind('\n', at - 1);
  }
  return std::string(at == std::string_view::npos ? text : text.substr(at + 1));
}

Outcome LoadOne(const char* path, const std::string& name, const btf* kernel) {
  // A full log makes kernels before 6.4 refuse the program, so the first try asks for statistics.
  std::vector<char> log(kStatsLogSize);
  Object object = Open(path, log, kLogStats);
  if (object == nullptr) return {Outcome::kFailed, std::strerror(errno), g_libbpf_messages};
  bpf_program* program = OnlyProgram(object.get(), name);
  std::string missing = MissingTarget(kernel, bpf_program__section_name(program));
  if (missing.empty()) missing = MissingHelper(program);
  if (!missing.empty()) return {Outcome::kAbsent, missing, ""};
  g_libbpf_messages.clear();
  if (bpf_object__load(object.get()) == 0) {
    return {Outcome::kLoaded,
            VerifiedInstructions(program, log) + (HasStackForCpu(program) ? "\tcpu" : "\ttask"),
            ""};
  }
  std::string reason = std::strerror(errno);
  std::string messages = g_libbpf_messages;
  log.resize(kVerboseLogSize);
  object = Open(path, log, kLogVerbose | kLogStats);
  OnlyProgram(object.get(), name);
  bpf_object__load(object.get());
  std::string text(log.data());
  // libbpf prints a log that it fetched itself; ours is the longer one.
  return {Outcome::kFailed, reason, text.empty() ? messages : text};
}

void PrintLog(std::string_view log) {
  std::string tail = Tail(log);
  std::string_view rest = tail;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    std::printf("  | %.*s\n", static_cast<int>(line.size()), line.data());
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
}

bool LoadAll(const char* path, const btf* kernel) {
  const char* slash = std::strrchr(path, '/');
  const char* base = slash == nullptr ? path : slash + 1;
  std::vector<char> log(kStatsLogSize);
  Object object = Open(path, log, 0);
  if (object == nullptr) {
    std::printf("program\t%s\t-\t-\tfailed\tcannot be opened: %s\n", base, std::strerror(errno));
    PrintLog(g_libbpf_messages);
    return false;
  }
  bool good = true;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get()) {
    Outcome outcome = LoadOne(path, bpf_program__name(program), kernel);
    constexpr const char* kNames[] = {"loaded", "absent", "failed"};
    std::printf("program\t%s\t%s\t%s\t%s\t%s\n", base, bpf_program__name(program),
                bpf_program__section_name(program), kNames[outcome.kind], outcome.detail.c_str());
    if (outcome.kind == Outcome::kFailed) {
      PrintLog(outcome.log);
      good = false;
    }
    std::fflush(stdout);
  }
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  int first = 1;
  for (; first + 1 < argc && std::string_view(argv[first]) == "--set"; first += 2) {
    const std::string_view given = argv[first + 1];
    const size_t equals = given.find('=');
    const std::string value(equals == std::string_view::npos ? "1" : given.substr(equals + 1));
    g_knobs.push_back({std::string(given.substr(0, equals)),
                       static_cast<uint8_t>(std::strtoul(value.c_str(), nullptr, 10))});
  }
  if (first >= argc) {
    std::fprintf(stderr, "usage: load_objects [--set KNOB[=BYTE]]... OBJECT...\n");
    return 2;
  }
  libbpf_set_print(KeepMessage);
  btf* kernel = btf__load_vmlinux_btf();
  if (kernel == nullptr) {
    std::fprintf(stderr, "this kernel has no BTF (/sys/kernel/btf/vmlinux)\n");
    return 1;
  }
  bool good = true;
  for (int i = first; i < argc; ++i) good = LoadAll(argv[i], kernel) && good;
  btf__free(kernel);
  return good ? 0 : 1;
}
