#include "agent/capture/inode_reader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "agent/capture/capabilities.h"
#include "inode.skel.h"

namespace tokenwatch {
namespace {

constexpr size_t kPage = 4096;
// While another thread of this process maps memory, the kernel does not look (EBUSY).
constexpr int kTries = 200;
constexpr int kTriesBeforeSleep = 20;
constexpr useconds_t kSleepUs = 50;

}  // namespace

InodeReader::InodeReader() = default;

InodeReader::~InodeReader() { tw_inode_skel__destroy(skeleton_); }

absl::StatusOr<std::unique_ptr<InodeReader>> InodeReader::Create() {
  auto reader = std::unique_ptr<InodeReader>(new InodeReader());
  absl::Status status = reader->Load();
  if (!status.ok()) return status;
  return reader;
}

absl::Status InodeReader::Load() {
  skeleton_ = tw_inode_skel__open();
  if (skeleton_ == nullptr) return KernelError(-errno, "opening the BPF object of files");
  const bool has_helper =
      libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_FUNC_find_vma, nullptr) == 1;
  bpf_program__set_autoload(skeleton_->progs.tw_inode_find, has_helper);
  bpf_program__set_autoload(skeleton_->progs.tw_inode_walk, !has_helper);
  const int error = tw_inode_skel__load(skeleton_);
  if (error != 0) return KernelError(error, "loading the BPF program that identifies files");
  program_ =
      bpf_program__fd(has_helper ? skeleton_->progs.tw_inode_find : skeleton_->progs.tw_inode_walk);
  return absl::OkStatus();
}

absl::Status InodeReader::Run(const void* page) {
  const uint64_t context[] = {reinterpret_cast<uint64_t>(page)};
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.ctx_in = context;
  options.ctx_size_in = sizeof(context);
  const int error = bpf_prog_test_run_opts(program_, &options);
  if (error != 0) return KernelError(error, "running the BPF program that identifies files");
  if (options.retval != 0 || skeleton_->bss->tw_inode_address == 0) {
    return absl::UnavailableError(
        "the kernel did not say which file it is; where it is a TLS library, what programs send by "
        "it is not seen until it is mapped again");
  }
  return absl::OkStatus();
}

absl::StatusOr<InodeFacts> InodeReader::Read(int fd) {
  absl::MutexLock lock(&mutex_);
  void* page = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, fd, 0);
  if (page == MAP_FAILED) return absl::InvalidArgumentError("the file cannot be mapped");
  absl::Status status;
  for (int i = 0; i < kTries; ++i) {
    status = Run(page);
    if (!absl::IsUnavailable(status)) break;
    if (i >= kTriesBeforeSleep) usleep(kSleepUs);
  }
  munmap(page, kPage);
  if (!status.ok()) return status;
  const auto& found = *skeleton_->bss;
  InodeFacts facts;
  facts.id.address = found.tw_inode_address;
  facts.id.number = found.tw_inode_number;
  facts.id.device = found.tw_inode_device;
  facts.id.generation = found.tw_inode_generation;
  facts.is_mapped = found.tw_inode_alone == 0;
  return facts;
}

}  // namespace tokenwatch
