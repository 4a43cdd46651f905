// Finds the files that hold a TLS library: those mapped already, those mapped from now on, and
// those that the usual places offer, so that a program's very first request finds its probe in
// place.
#ifndef TOKENWATCH_AGENT_CAPTURE_DISCOVERY_H_
#define TOKENWATCH_AGENT_CAPTURE_DISCOVERY_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
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

 private:
  using EventKey = std::tuple<uint32_t, uint32_t, uint64_t, uint64_t>;  // device, inode, generation

  explicit Discovery(TlsProbes* probes) : probes_(probes) {}
  void Run();
  void ScanUsualPlaces();
  void ScanProcesses();
  void ScanProcess(const std::string& pid);
  void OnMapping(const Mapping& mapping);
  bool Open(const std::string& path, const std::string& shown);

  TlsProbes* probes_;
  std::unique_ptr<MappingEvents> events_;
  UniqueFd stop_;
  absl::flat_hash_set<EventKey> seen_;  // mappings that were looked at, by the thread
  std::atomic<uint64_t> mappings_{0}, missed_{0}, lost_{0};
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_DISCOVERY_H_
