// Uses as the agents of a fleet send them, made up.
#ifndef TOKENWATCH_TESTS_BENCH_STORE_FLEET_H_
#define TOKENWATCH_TESTS_BENCH_STORE_FLEET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "collector/store/store.h"

namespace tokenwatch {

struct Mix {
  const char* name = "";
  int tokens = 200;
  int contexts = 200;
  int contexts_each = 1;  // of a token
  // The token of rank r is used as often as 1/r, and the first fiftieth has a hundred contexts
  // each. Else all are used alike.
  bool skewed = false;
  bool own_tokens = false;    // each use has a token that no other one has
  bool own_contexts = false;  // each use has a process and a path that no other one has
  bool request_ids = false;   // each use its own UUID
  bool facts = false;  // eight a token, every hour; tokens of a context are of one credential
  int commit_uses = 65536;
  absl::Duration span = absl::Hours(2);  // of the uses' times, which are even and end now
};

class Fleet {
 public:
  static constexpr int kAgents = 8;

  // `uses`: how many will be taken.
  Fleet(const Mix& mix, int64_t uses);

  // A batch of each agent; they differ in size, and one may be empty.
  std::vector<IngestBatch> NextCommit();

  // By rank, 0 is the one used most. "tok_..."
  std::string TokenText(size_t rank) const;
  std::string LastToken() const;  // of the last use

 private:
  uint64_t Random();
  std::string RandomBytes(size_t size);
  std::string RandomUuid();
  std::shared_ptr<UseContext> MakeContext(uint64_t i);
  std::shared_ptr<const UseContext> OwnContext();
  std::shared_ptr<const UseToken> MakeToken();
  size_t PickToken();
  size_t PickContext(size_t token);
  UseRow NextUse();
  void Tell(const UseRow& use, std::vector<TokenFactRow>* facts);

  const Mix mix_;
  uint64_t state_ = 42;
  int64_t start_us_ = 0;
  double step_us_ = 0;
  int64_t made_ = 0;
  uint64_t last_token_ = 0;
  uint64_t last_context_ = 0;
  std::vector<std::shared_ptr<const UseContext>> contexts_;
  std::vector<std::shared_ptr<const UseToken>> tokens_;
  std::vector<double> weights_;  // of tokens, summed up
  std::shared_ptr<const UseToken> last_used_;
  absl::flat_hash_map<uint64_t, int64_t> told_;  // when, by UseToken::id
  std::vector<std::string> streams_;
  std::vector<uint64_t> sequences_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_STORE_FLEET_H_
