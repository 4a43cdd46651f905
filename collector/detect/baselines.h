// Every baseline, by name, with what must be stored of them.
#ifndef TOKENWATCH_COLLECTOR_DETECT_BASELINES_H_
#define TOKENWATCH_COLLECTOR_DETECT_BASELINES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "collector/detect/fleet.h"
#include "collector/detect/profile.h"
#include "collector/store/detection_store.h"

namespace tokenwatch {

// Not thread safe.
class Baselines {
 public:
  static constexpr size_t kMostProfiles = 100'000;
  static constexpr size_t kMostShared = 50'000;  // workloads, and hosts

  Words words;
  Fleet fleet;

  // Of a resolved token's use, made where there is none. A token that turns out to be one of a
  // credential gives its baseline to the credential. Pointers are valid until Forget.
  Profile* ProfileOf(const CommittedUse& use);
  // Of a token alone; null where it has none.
  Profile* Find(const UseToken& token);
  Profile* Find(std::string_view subject);
  SharedProfile* Workload(Word service, Hour hour);
  SharedProfile* Host(Word host, Hour hour);
  SharedProfile* FindWorkload(Word service);

  // Every token's, in no order.
  template <typename Take>
  void ForEachProfile(Take take) {
    for (auto& [subject, profile] : profiles_) take(&profile);
  }
  size_t profiles() const { return profiles_.size(); }

  // False where `bytes` are none of that name.
  bool Restore(std::string_view name, std::string_view bytes);
  std::vector<StoredBaseline> TakeChanged();

  // Forgets what was not used since then, and beyond the bounds what was used least and is oldest.
  // True where words were freed: numbers of words that others keep are void.
  bool Forget(Hour before);

 private:
  using Shared = absl::node_hash_map<std::string, SharedProfile>;
  Profile* Make(const std::string& subject, const CommittedUse& use);
  SharedProfile* SharedOf(Shared* shared, Word name, Hour hour);
  void Drop(const std::string& subject);

  absl::node_hash_map<std::string, Profile> profiles_;        // by subject
  absl::flat_hash_map<std::string, std::string> subject_of_;  // by token id
  absl::flat_hash_map<uint64_t, Profile*> by_token_;          // by UseToken::id, as remembered
  Shared workloads_, hosts_;
  std::vector<std::string> dropped_;  // names
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_BASELINES_H_
