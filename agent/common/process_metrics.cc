#include "agent/common/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace tokenwatch {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

void AddProcessMetrics(PrometheusText* text) {
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    text->Family("process_cpu_seconds_total", "counter", "CPU time of this process.");
    text->Sample({}, Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
  }
  uint64_t size = 0, resident = 0;  // pages
  if (std::ifstream("/proc/self/statm") >> size >> resident) {
    text->Family("process_resident_memory_bytes", "gauge", "Resident memory of this process.");
    text->Sample({}, resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  }
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (!error) {
    text->Family("process_open_fds", "gauge", "Open files of this process.");
    text->Sample({}, static_cast<uint64_t>(std::distance(begin(files), end(files))));
  }
}

}  // namespace tokenwatch
