// Turns uses, gaps and TLS coverage into the records of the spool.
#ifndef TOKENWATCH_AGENT_REPORT_BATCH_BUILDER_H_
#define TOKENWATCH_AGENT_REPORT_BATCH_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/report/gap.h"
#include "agent/report/spool.h"
#include "agent/report/tls_coverage.h"
#include "agent/token/token_use.h"
#include "agent/workload/workload.h"
#include "tokenwatch/v1/ingest.pb.h"

namespace tokenwatch {

// Builds one v1.Batch at a time with a dictionary of its own. Not thread safe.
class BatchBuilder {
 public:
  // Strings longer than this are cut.
  static constexpr size_t kMaxString = 4096;
  // What makes a batch full: it then stays well below what gRPC takes as one message.
  static constexpr int kMaxRecords = 4096;
  static constexpr size_t kMaxBytes = size_t{512} << 10;

  // `workload` may be null: not known. Facts of a use whose token is not known have nothing to be
  // told of and are left out. Gaps follow uses and TLS coverage follows gaps: nothing is
  // added to a batch that holds what comes behind it.
  void AddUse(const TokenUse& use, const std::shared_ptr<const Workload>& workload);
  void AddGap(const Gap& gap);
  // A gap as another batch held it.
  void AddGap(const v1::Gap& gap);
  void AddTlsCoverage(const TlsCoverage& row);

  bool empty() const { return info_.uses + info_.gaps == 0; }
  bool full() const;

  // The batch so far as a record, and a new batch begun. `spooled`: all that was reported until
  // then is in this record or before it.
  SpoolRecord Finish(uint64_t first_sequence, absl::Time spooled);

  // In all batches.
  uint64_t strings_cut() const { return strings_cut_; }
  // Facts that are not as agent/token/token_use.h says: a collector would refuse their batch.
  uint64_t facts_dropped() const { return facts_dropped_; }

 private:
  uint32_t String(absl::string_view text);
  uint32_t WorkloadIndex(const std::shared_ptr<const Workload>& workload);
  uint32_t TokenIndex(const TokenUse& use);
  uint32_t ContextIndex(const TokenUse& use, uint32_t workload);
  void AddFacts(const TokenUse& use, uint32_t token);

  v1::Batch batch_;
  RecordInfo info_;
  size_t bytes_ = 0;  // about, of definitions and gaps
  bool counts_differ_ = false;
  bool request_ids_packed_ = false;
  uint64_t strings_cut_ = 0;
  uint64_t facts_dropped_ = 0;
  absl::flat_hash_map<std::string, uint32_t> strings_;
  absl::flat_hash_map<std::shared_ptr<const Workload>, uint32_t> workloads_;
  absl::flat_hash_map<std::string, uint32_t> tokens_;
  absl::flat_hash_map<std::string, uint32_t> contexts_;
  absl::flat_hash_set<std::tuple<uint32_t, uint32_t, uint32_t>> facts_;  // token, name, value
  // What was told last of names that are told whole: values by token and name.
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, std::vector<uint32_t>> whole_;
};

// The TLS coverage in a batch with a dictionary of its own; rows that name an undefined string are
// left out.
std::vector<TlsCoverage> TlsCoverageOf(const v1::Batch& batch);

// Microseconds since the epoch, within the years that a protobuf timestamp has.
int64_t WireMicros(absl::Time time);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_BATCH_BUILDER_H_
