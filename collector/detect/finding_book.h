// The findings that evidence may still join. What a rule says again and again of one token is one
// finding; after a day without evidence it is a new one.
#ifndef TOKENWATCH_COLLECTOR_DETECT_FINDING_BOOK_H_
#define TOKENWATCH_COLLECTOR_DETECT_FINDING_BOOK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "collector/detect/rule.h"
#include "collector/store/detection_store.h"

namespace tokenwatch {

// What a finding is about, as far as the book is concerned.
struct FindingSubject {
  std::string_view id;       // "tok_..." or "cred_..."
  std::string_view service;  // of the workload: folds what many of its tokens do
  Hour began = 0;            // of the token's history
  int64_t first_us = 0;
  uint64_t uses = 0;
  const OwnerRow* owner = nullptr;
  const CommittedUse* newest = nullptr;  // of the token; null: not known
  const Suppression* suppression = nullptr;
  bool is_many = false;  // it is about many tokens of `service`
};

// Not thread safe.
class FindingBook {
 public:
  static constexpr size_t kMostEvidence =
      20;  // kept with a finding: the first half, the newest half
  // New findings of one rule in an hour about tokens of one service; more of them are one finding.
  static constexpr uint32_t kMostAlike = 20;
  // New values of a finding (hosts, say) that it names, and for which it is told again in an hour;
  // more of them are told together once the hour is over.
  static constexpr int kMostValues = 20;
  static constexpr int kMostToldValues = 4;

  // `use`: the evidence; null where it is that there is none, then it is of `time_us`.
  void Add(const Rule& rule, const FindingSubject& subject, const Report& report,
           const CommittedUse* use, int64_t time_us);
  bool IsOpen(const Rule& rule, std::string_view subject, int64_t time_us) const;

  void Restore(const StoredFinding& finding);
  // What is new or to be told again; with `joined` also what only gained evidence.
  std::vector<StoredFinding> Take(bool joined, int64_t now_us);
  // Forgets those that nothing can join any more.
  void Forget(int64_t before_us);

  size_t size() const { return findings_.size(); }

 private:
  enum class Change : uint8_t { kNone, kJoined, kTold };
  struct Entry {
    StoredFinding stored;
    bool lasting = false;
    Change change = Change::kNone;
    bool listed = false;  // in changed_
    int64_t last_us = 0;
    uint64_t told_uses = 0;
    int64_t told_us = 0;
    int64_t values_us = 0;  // when the hour of `told_values` began
    int told_values = 0;
    bool untold = false;   // it has values for which it was not told again
    int fresh_values = 0;  // that came after what was told was taken
  };
  // What is suppressed is a finding of its own: neither does it silence what is not, nor the other
  // way.
  static std::string KeyOf(std::string_view rule, std::string_view subject, const Report& report,
                           bool suppressed);
  Entry* FindOpen(const std::string& key, int64_t time_us);
  Entry* Begin(const std::string& key, const Rule& rule, const FindingSubject& subject,
               const Report& report, const CommittedUse* use, int64_t time_us);
  // False where the use is in the evidence already.
  static bool Join(Entry* entry, const Rule& rule, const Report& report, const CommittedUse& use,
                   int64_t time_us);
  void NoteValue(Entry* entry, const Rule& rule, const Report& report, int64_t time_us);
  // It will be delivered, once for all that changed until it is taken.
  static void Tell(Entry* entry);
  // `key`: of the finding about many that it would belong to.
  bool IsFolded(const FindingSubject& subject, const std::string& key, int64_t time_us);

  absl::node_hash_map<std::string, Entry> findings_;  // by key
  struct Alike {
    Hour hour = 0;
    uint32_t count = 0;
  };
  absl::flat_hash_map<std::string, Alike> alike_;  // by hour and by what is alike
  Hour alike_hour_ = 0;                            // the newest
  std::vector<std::string> changed_;  // keys; also of those with values that wait to be told
  // Changed, and their key is another one's by now.
  std::vector<StoredFinding> replaced_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_FINDING_BOOK_H_
