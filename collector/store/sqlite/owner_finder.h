// Who owns what rows tell of, under the policy in force: remembered between queries, as many rows
// say the same of who owns them.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_OWNER_FINDER_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_OWNER_FINDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "collector/policy/policy.h"
#include "collector/store/filter.h"
#include "collector/store/sqlite/database.h"

namespace tokenwatch::sqlite {

class Dimensions;

// What answers and filters call it where nobody owns something.
inline constexpr std::string_view kNobody = kNoOwner;
inline std::string_view OwnerName(const OwnerRow* row) {
  return row == nullptr ? kNobody : std::string_view(row->owner);
}

// Inside the caller's read transaction; errors stick to the database. Rows are the policy's, and
// live until another one is set; null: nobody. Not thread safe.
class OwnerFinder {
 public:
  // Borrows both. Without a policy nobody owns anything.
  OwnerFinder(Database* database, Dimensions* dimensions)
      : database_(database), dimensions_(dimensions) {}

  // Between queries; never null.
  void SetPolicy(std::shared_ptr<const Policy> policy);
  bool HasOwners() const { return policy_ != nullptr && !policy_->owners().empty(); }

  // Of a single use.
  const OwnerRow* OfUse(int64_t token, int64_t workload, int64_t shape);
  // Of a row of rollups, which know neither a pod's labels nor a token's carrier: where the policy
  // asks for those, the first row that fits with any labels that the program's processes had, and
  // with any carrier by which tokens of this format came to the resource.
  const OwnerRow* OfUsage(int64_t token, int64_t program, int64_t resource);
  // Of a token without a use.
  const OwnerRow* OfUnused(std::string_view token_id) const;

  void Forget();

 private:
  // Which parts of a use the policy's owners ask for: what they do not is left out of keys.
  struct Asked {
    bool program = false, labels = false, resource = false, carrier = false, format = false,
         token = false;
  };
  using Key = std::tuple<int64_t, int64_t, int64_t>;
  // What a row of the policy is compared with.
  struct Who;

  const OwnerRow* Find(int64_t token, int64_t program, absl::Span<const int64_t> labels,
                       int64_t resource, absl::Span<const int64_t> carriers);
  int64_t FormatOf(int64_t token);
  // All ids of the token, as texts; the credential's is last and may be empty.
  std::vector<std::string> IdsOf(int64_t token);
  absl::Span<const int64_t> LabelsOf(int64_t program);
  std::vector<int64_t> CarriersOf(int64_t resource, int64_t format);

  Database* const database_;
  Dimensions* const dimensions_;
  std::shared_ptr<const Policy> policy_;
  Asked asked_;
  absl::flat_hash_map<Key, const OwnerRow*> of_uses_, of_usage_;
  absl::flat_hash_map<int64_t, int64_t> formats_;  // by token
  // Strings of the labels that a program's processes had, as far as `last_workload_`.
  absl::flat_hash_map<int64_t, std::vector<int64_t>> labels_;
  int64_t last_workload_ = 0;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_OWNER_FINDER_H_
