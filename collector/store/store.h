// Where uses are kept. No word here is SQLite's: a second store is one more folder.
#ifndef TOKENWATCH_COLLECTOR_STORE_STORE_H_
#define TOKENWATCH_COLLECTOR_STORE_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// One token under the fleet keys in force: {key id, 16 bytes}, the primary key's first, two while
// keys rotate. Ids that ever came together, each under a key of its own, belong to one token.
// Immutable once made; `id` is unique in this process's run, as a context's is.
struct UseToken {
  uint64_t id = 0;
  std::vector<std::pair<std::string, std::string>> ids;
};

// What many uses share. Immutable once made; `id` is unique in this process's run, so that a store
// can remember where it put a context.
struct UseContext {
  uint64_t id = 0;
  std::string user_id;  // 16 bytes or empty
  v1::Workload workload;
  std::string format, provider, carrier;
  uint32_t token_length = 0;
  std::string method, scheme, host, path, query, http_version, user_agent;
  std::string peer_address, peer_certainty, local_address, direction, probe;
  uint32_t peer_port = 0;
  uint32_t traits = 0;  // sum of v1::UseTrait values
};

struct UseRow {
  std::shared_ptr<const UseContext> context;
  std::shared_ptr<const UseToken> token;  // null: could not be resolved
  int64_t time_us = 0;                    // since the epoch
  uint32_t status = 0;                    // HTTP's; 0: no answer
  uint32_t grpc_status = 0;               // of a gRPC call's answer, plus one; 0: none
  uint64_t latency_us = 0;
  uint32_t local_port = 0;
  uint32_t count = 1;
  std::string request_id;
};

// Something learnt of a token beside its uses (event.proto). The name is a word of [a-z0-9_], the
// value printable ASCII.
struct TokenFactRow {
  std::shared_ptr<const UseToken> token;  // never null
  std::string name, value;
  int64_t time_us = 0;  // since the epoch: it held then
};

struct GapRow {
  std::string kind, detail, comm, exe;
  uint64_t count = 0;
  int64_t since_us = 0;
  int64_t until_us = 0;
  uint32_t pid = 0;
};

// TLS connections of one kind of program that began within a time; all names are empty where the
// program is not known.
struct TlsCoverageRow {
  std::string reason;  // why the plaintext was not seen; empty: it was
  std::string comm, exe, container_id, pod, namespace_name, unit;
  uint64_t connections = 0;
  int64_t since_us = 0;
  int64_t until_us = 0;
  uint32_t pid = 0;  // of the latest
};

// Consecutive records of one stream: uses first, then gaps, then TLS coverage, numbered from
// first_sequence. Facts of tokens are no records: to tell one again is harmless.
struct IngestBatch {
  std::string agent;          // agent id
  std::string agent_address;  // as the collector sees it
  std::string stream;         // 16 bytes
  uint64_t first_sequence = 0;
  std::vector<UseRow> uses;
  std::vector<GapRow> gaps;
  std::vector<TlsCoverageRow> tls_coverage;
  std::vector<TokenFactRow> token_facts;

  uint64_t Records() const { return uses.size() + gaps.size() + tls_coverage.size(); }
};

// TLS connections that an agent ever told of, by the reason why their plaintext was not seen
// (empty: it was). Never less than before.
struct TlsTotal {
  std::string agent, host, reason;
  uint64_t connections = 0;
};

struct AgentInfo {
  std::string agent, host, version, kernel, capture, address;
  std::vector<std::string> key_ids;
  int64_t seen_us = 0;
  std::map<std::string, uint64_t> counters;
};

// What an agent last told of itself.
struct AgentState {
  std::string agent, host, version, kernel, capture;
  int64_t seen_us = 0;  // since the epoch
  uint64_t uses = 0;    // committed, ever
  std::map<std::string, uint64_t> counters;
};

struct FleetState {
  uint64_t known = 0;  // agents that were ever seen
  std::vector<AgentState> agents;
};

// Of the disk that a store is kept on, and of the store's own files there.
struct StoreSpace {
  uint64_t bytes = 0;
  uint64_t free_bytes = 0;  // for this process
  uint64_t capacity_bytes = 0;
};

// "ok", "denied", "throttled", "failed" or "unanswered" (design: Use and volume). `code` is an
// AnswerCode (outcome.h).
const char* OutcomeOf(uint32_t code);

class CommitObserver;  // committed_use.h
class Policy;          // collector/policy/policy.h
class DetectionStore;  // detection_store.h

// Thread safe. Every query sees whole commits only.
class Store {
 public:
  virtual ~Store() = default;

  // Commits batches of any agents in one transaction that is durable when this returns. Records
  // whose sequence is not above the committed one of (agent, stream) are dropped silently: they are
  // retries. A batch whose first sequence leaves a hole is committed all the same. On error nothing
  // of the call is kept and the caller may retry. Facts are taken from retries as well; a token
  // keeps a bounded number of them, those that were told last.
  virtual absl::Status Commit(absl::Span<const IngestBatch> batches) = 0;

  // Tells `observer` of every commit from now on; null: nobody. It must outlive the store or be
  // taken away before. Once at start, before the first commit.
  virtual void Observe(CommitObserver* observer) = 0;

  // What detection and delivery keep, in the same place; lives as long as this.
  virtual DetectionStore* detection() = 0;

  // Who owns tokens and uses in every answer from now on; never null. Before, nobody owns any.
  virtual void SetPolicy(const std::shared_ptr<const Policy>& /*policy*/) {}

  // Highest committed sequence of a stream; 0 where there is none.
  virtual absl::StatusOr<uint64_t> CommittedSequence(const std::string& agent,
                                                     const std::string& stream) = 0;

  // Creates or updates an agent's row (last seen, counters).
  virtual absl::Status RecordAgent(const AgentInfo& info) = 0;

  // Queries. InvalidArgument names the filter that cannot be read; NotFound where a token has
  // never been seen and no other one's facts name it. Lists are newest first (tokens: last used
  // first), pages by page_token. Tokens of one credential are one row of ListTokens and one token
  // of Stats. A token's id, as a filter or for GetToken, means that token alone; a credential's id
  // all of its tokens.
  virtual absl::StatusOr<v1::ListUsesResponse> ListUses(const v1::ListRequest& request) = 0;
  virtual absl::StatusOr<v1::ListTokensResponse> ListTokens(const v1::ListRequest& request) = 0;
  virtual absl::StatusOr<v1::TokenDetail> GetToken(const std::string& token_id) = 0;
  virtual absl::StatusOr<v1::Stats> GetStats(const v1::ListRequest& request) = 0;
  // `connected` is left false: only the ingest service knows.
  virtual absl::StatusOr<v1::ListAgentsResponse> ListAgents(const v1::ListRequest& request) = 0;

  // Agents that were seen since then, the latest first, at most `limit`.
  virtual absl::StatusOr<FleetState> Fleet(int64_t since_us, size_t limit) = 0;

  virtual absl::StatusOr<StoreSpace> Space() = 0;

  // Of every agent and reason with a connection.
  virtual absl::StatusOr<std::vector<TlsTotal>> TlsTotals() = 0;

  // Tokens, uses and the last one by owner, over the uses that the filters leave; what nobody owns
  // is of "none". In no order; the rest of an Owner is the caller's. Unresolved tokens are left
  // out.
  virtual absl::StatusOr<std::vector<v1::Owner>> SumOwners(const v1::ListRequest& request) = 0;

  // Uses committed after `cursor` (opaque; empty: from now on), oldest first, at most `limit`, that
  // pass the request's filters; `cursor` is moved. What TailUses polls.
  virtual absl::StatusOr<std::vector<v1::Use>> UsesAfter(const v1::ListRequest& request,
                                                         std::string* cursor, uint32_t limit) = 0;

  // Uses committed after one cursor of UsesAfter and up to a later one that retention has dropped;
  // an upper bound while it drops them.
  virtual absl::StatusOr<uint64_t> DroppedBetween(const std::string& /*from*/,
                                                  const std::string& /*to*/) {
    return 0;
  }

  // OK while the store can be written, and commits and queries met no damage; DataLoss names what
  // is damaged and what to do.
  virtual absl::Status CheckHealth() = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_STORE_H_
