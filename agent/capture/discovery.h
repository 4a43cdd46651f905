// Finds the files that hold a TLS library: those mapped already, those mapped from now on, those
// that are written from now on, and those that the usual places offer, so that a program's very
// first request finds its probe in place.
#ifndef TOKENWATCH_AGENT_CAPTURE_DISCOVERY_H_
#define TOKENWATCH_AGENT_CAPTURE_DISCOVERY_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "agent/capture/file_events.h"
#include "agent/capture/mapping_events.h"
#include "agent/capture/tls_probes.h"
#include "agent/common/counters.h"

namespace tokenwatch {

// Owns a thread that runs until destruction.
class Discovery {
 public:
  // Returns when everything that is mapped now has been looked at. `probes` must outlive this.
  static absl::StatusOr<std::unique_ptr<Discovery>> Start(TlsProbes* probes);
  ~Discovery();

  void AddCounters(Counters* counters) const;

  // A mode's name and a sentence where something is found later than it could be; else empty.
  const std::string& degraded() const { return degraded_; }

 private:
  // Device, inode and generation, as the event tells them: of the file that the process sees, which
  // on an overlay is not the one that is probed.
  using EventKey = std::tuple<uint32_t, uint32_t, uint64_t, uint64_t>;

  explicit Discovery(TlsProbes* probes) : probes_(probes) {}
  void Run();
  void ScanUsualPlaces();
  void ScanProcesses();
  void ScanProcess(const std::string& pid);
  void OnMapping(const Mapping& mapping);
  bool WasSeen(const EventKey& key, uint64_t now_ns);
  bool Open(const std::string& path, const std::string& shown, uint64_t inode);
  void Consider(int fd, const std::string& path, bool is_mapped);
  void Publish();

  TlsProbes* probes_;
  std::unique_ptr<MappingEvents> events_;
  std::unique_ptr<FileEvents> files_;  // null where the kernel has no fanotify for us
  std::string degraded_;
  UniqueFd stop_;
  absl::flat_hash_map<EventKey, uint64_t> seen_;  // mappings, and when they were looked at
  uint64_t dropped_ = 0;                          // of the probes, when seen_ was valid
  std::atomic<uint64_t> mappings_{0}, missed_{0}, lost_{0}, written_{0}, writes_unseen_{0},
      file_systems_{0}, file_systems_refused_{0}, unidentified_{0};
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_DISCOVERY_H_
