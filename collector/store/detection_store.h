// What detection and delivery keep: findings, baselines, how far uses were judged, and deliveries
// that wait. No word here is SQLite's.
#ifndef TOKENWATCH_COLLECTOR_STORE_DETECTION_STORE_H_
#define TOKENWATCH_COLLECTOR_STORE_DETECTION_STORE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "collector/store/committed_use.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// A finding with what its judge needs besides to go on after a restart.
struct StoredFinding {
  v1::Finding finding;
  // Of the newest use that is in the finding's evidence: when uses are judged again after a
  // restart, evidence up to it is not counted twice.
  uint64_t last_number = 0;
  bool tell = false;  // new, or with another revision; not stored
};

// A message that waits for its receiver.
struct Delivery {
  int64_t id = 0;        // given by the store
  std::string receiver;  // by its name in the receivers' file
  // What makes the message the same one, however often it is sent: finding id and revision.
  std::string key;
  std::string finding;  // a serialized v1::Finding, as it was when the delivery was queued
  int64_t queued_us = 0;
  int64_t due_us = 0;     // not before; microseconds since the epoch
  uint32_t attempts = 0;  // that failed
};

// A named part of what is known as normal, opaque to the store.
struct StoredBaseline {
  std::string name;   // e.g. "t/tok_...", at most 512 bytes
  std::string bytes;  // empty: forget it
};

struct DetectionCommit {
  std::vector<StoredFinding> findings;    // by finding_id: added or replaced
  std::vector<StoredBaseline> baselines;  // by name: added, replaced or forgotten
  // Every use numbered up to it is in the baselines; none: as before.
  std::optional<uint64_t> judged;
  std::vector<Delivery> deliveries;  // added; one of the same receiver and key waits only once
  // What detection learnt of tokens: kept as if an agent had told it, and no observer is told.
  std::vector<TokenFactRow> facts;
};

// Thread safe.
class DetectionStore {
 public:
  virtual ~DetectionStore() = default;

  // All of it in one durable transaction, or nothing. InvalidArgument where an id, severity or
  // state of a finding is none, or a name is empty or too long.
  virtual absl::Status CommitDetection(const DetectionCommit& commit) = 0;

  // What `judged` was last set to; 0 where it never was.
  virtual absl::StatusOr<uint64_t> Judged() = 0;
  virtual absl::Status ForEachBaseline(
      const std::function<void(std::string_view name, std::string_view bytes)>& take) = 0;
  // Findings whose last evidence is not older than that, in any order: those that may be joined.
  virtual absl::StatusOr<std::vector<StoredFinding>> FindingsSince(int64_t last_seen_us) = 0;
  // Up to `limit` committed uses numbered above `*number`, in their order; `*number` moves to the
  // last one looked at, and stays where there is none; an empty answer is not the end unless it
  // reached LastUse(). Uses that retention dropped are left out. Ids of contexts and tokens are
  // unique in the process's run, and mostly the same for what was given before.
  virtual absl::StatusOr<std::vector<CommittedUse>> UsesSince(uint64_t* number, size_t limit) = 0;
  // The newest use's number; 0: none.
  virtual uint64_t LastUse() const = 0;
  // Every kept fact with one of these names, in any order; its time is when it was told last.
  virtual absl::Status ForEachFact(absl::Span<const std::string_view> names,
                                   const std::function<void(const TokenFactRow&)>& take) = 0;

  // Newest first by last_seen, pages by page_token; filters since, until (of last_seen), token (a
  // token or credential, of the finding or of its evidence), rule, severity, owner, state,
  // provider, workload (of its `workload`), host (of evidence), limit; others are InvalidArgument.
  // A finding that was joined between two pages stands on the first one. A state that time has
  // changed is told as it is now: "closed" a day after the last evidence.
  virtual absl::StatusOr<v1::ListFindingsResponse> ListFindings(const v1::ListRequest& request) = 0;
  // NotFound where there is none; InvalidArgument where it is no finding's id.
  virtual absl::StatusOr<v1::Finding> GetFinding(const std::string& finding_id) = 0;
  // Open findings by one column of theirs ("owner", "policy_rule", "rule", "severity"; another is
  // InvalidArgument), those without it under "".
  virtual absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> CountOpenFindings(
      const std::string& by) = 0;

  // Deliveries that are due at `now_us`, of one receiver, the oldest first, at most `limit`.
  virtual absl::StatusOr<std::vector<Delivery>> DueDeliveries(const std::string& receiver,
                                                              int64_t now_us, size_t limit) = 0;
  struct DeliveryOutcome {
    int64_t id = 0;
    bool done = false;   // delivered, or given up: forget it
    int64_t due_us = 0;  // else: the next try
  };
  virtual absl::Status FinishDeliveries(absl::Span<const DeliveryOutcome> outcomes) = 0;
  struct WaitingDeliveries {
    std::string receiver;
    uint64_t count = 0;
    int64_t next_due_us = 0;
  };
  virtual absl::StatusOr<std::vector<WaitingDeliveries>> Waiting() = 0;
  // Keeps the newest `most` of a receiver's; returns how many others were dropped.
  virtual absl::StatusOr<uint64_t> BoundDeliveries(const std::string& receiver, uint64_t most) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_DETECTION_STORE_H_
