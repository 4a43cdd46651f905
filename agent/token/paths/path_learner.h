// Learns which segments of a host's paths identify something, from the requests alone.
#ifndef TOKENWATCH_AGENT_TOKEN_PATHS_PATH_LEARNER_H_
#define TOKENWATCH_AGENT_TOKEN_PATHS_PATH_LEARNER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/common/counters.h"

namespace tokenwatch {

// PathTemplate tells identifiers by their look; names of users, repositories or files look like any
// word. Two things tell them here: a table of well-known APIs (path_shapes.h), which holds from the
// first request on, and for all else what the host is asked for.
//
// Of each host the segments of its templates form a tree. The words that were seen at one position,
// which is below one same beginning, are an API's own (few, soon all known) or names (new ones keep
// coming). A position becomes variable, and {name} stands for any word at it, when
//   - it has had more than kWordsSoft words, and in the last kWindow requests, not the first ones,
//     at least 1 in kNewShare brought a new one; or
//   - it has more than kWordsMax words; or
//   - the host's tree is full, the position has more than kWordsTight, and another comes.
// So 60 endpoints in any order stay, also 100 in a random one; 10,000 users, however unequally they
// are asked for, fold within some hundred requests. At that moment a word with at least a quarter
// of the position's requests is kept for good ("search" among names); what was below the others is
// merged. It stays variable, so a template is replaced by a wider one, with one exception: a word
// with a quarter of the requests in each of kFrequentWindows windows one after the other is kept
// from then on, as it would have been before. So random words that nobody asks for twice take "v1"
// from an API for some hundred requests only. Templates are the same for the same requests in the
// same order.
//
// Marks ({id}, {uuid}, {hex}, {secret}, {owner}, ...) and the table's own words are no words: never
// counted, never folded, and shown without room, too.
//
// Bounds: in a full tree an unknown word is shown as {name} and what follows as "/...", as is what
// lies deeper than kDepthMax ("paths_folded"). With kHosts hosts or kNodes segments in all, those
// hosts are forgotten that were asked for longest ago ("path_hosts_forgotten"), all but which of
// their positions are variable, which is kept for Limits::dormant_hosts hosts more. What is learnt
// is in memory only: after a restart it is learnt anew.
//
// Words are kept as hashes. On the draining thread, AddCounters on any.
class PathLearner {
 public:
  static constexpr size_t kWordsSoft = 64;
  static constexpr size_t kWordsMax = 200;
  static constexpr size_t kWordsTight = 24;
  // Of a position that the table says is an API's vocabulary, and of operations of GraphQL: the
  // first two rules do not hold there, but this one.
  static constexpr size_t kVocabularyMax = 600;
  static constexpr uint32_t kWindow = 128;
  static constexpr uint32_t kNewShare = 4;
  static constexpr uint64_t kKeptShare = 4;
  static constexpr uint32_t kFrequentWindows = 4;
  static constexpr size_t kDepthMax = 32;

  struct Limits {
    size_t hosts = 512;
    size_t nodes_per_host = 2048;
    size_t nodes = 32768;  // about 150 bytes each
    // Forgotten hosts of which the variable positions are known.
    size_t dormant_hosts = 4096;
    size_t dormant_nodes = 16384;
  };

  explicit PathLearner(Limits limits);
  PathLearner() : PathLearner(Limits()) {}
  ~PathLearner();

  class Way;

  // The template to report for one outbound request. `host` as Resource has it, `path` as
  // PathTemplate makes it; what does not begin with '/' comes back as it is. Of a GraphQL
  // `operation` (OperationName) the template ends in "#Name"; empty: none. `way` may be null.
  std::string Learn(std::string_view host, std::string path, std::string_view operation = {},
                    Way* way = nullptr);

  // Learns from one more request like the one that `way` was made for, without a look-up or an
  // allocation: the template is the same. False where it may be another by now; then nothing was
  // learnt yet.
  bool LearnAgain(const Way& way);

  void AddCounters(Counters* counters) const;

 private:
  struct Node;
  struct Frequent;
  struct Host {
    std::string name;
    std::vector<uint16_t> shapes;
    std::unique_ptr<Node> root;
    size_t nodes = 0;
    bool dormant = false;
  };
  using Hosts = std::list<Host>;
  // How a segment is shown, and the node below it; null where the tree has no room.
  struct Step {
    Node* node;
    bool variable;
  };

  Hosts::iterator FindHost(std::string_view name);
  void Forget(Hosts::iterator host);
  // Leaves what leads to variable positions and to words that outlived their folding; counts it.
  // False where there is none.
  static bool Prune(Node* at, size_t* nodes);
  // Whether the host may have one segment more. May forget other hosts.
  bool MakeRoom(Host* host);
  Step TakeMark(Host* host, Node* at, std::string_view mark);
  Step TakeWord(Host* host, Node* at, std::string_view word, bool vocabulary);
  // Whether one more request for a known word makes the position variable.
  static bool FoldsNext(const Node& at);
  static void CountRequest(Node* at);
  // A word that is shown as it is from now on, at a variable position.
  Node* Keep(Host* host, Node* at, uint64_t word);
  // Makes the position variable.
  void Fold(Host* host, Node* at);
  // Adds what `from` has to `to`.
  void Merge(Host* host, Node* to, std::unique_ptr<Node> from);
  // Folds what is too wide after a merge.
  void Settle(Host* host, Node* at);
  void CountNodes(Host* host, size_t fewer);

  const Limits limits_;
  Hosts hosts_;    // asked for last first
  Hosts dormant_;  // forgotten last first
  std::unordered_map<std::string_view, Hosts::iterator> by_name_;
  size_t nodes_ = 0;  // of hosts_
  size_t dormant_nodes_ = 0;
  uint64_t changes_ = 1;  // of what ways were made for: nodes that went elsewhere or are no more

  std::atomic<uint64_t> folded_{0};
  std::atomic<uint64_t> variable_{0};
  std::atomic<uint64_t> forgotten_{0};
};

// How a path goes through its host's tree, for LearnAgain of the same learner.
class PathLearner::Way {
 public:
  size_t size() const { return steps_.size(); }

 private:
  friend class PathLearner;
  // A position with a word, and where the word led; null where the position is variable.
  struct Taken {
    Node* at;
    Node* node;
    uint64_t word;
  };

  uint64_t changes_ = 0;  // 0: it leads nowhere
  Hosts::iterator host_;
  std::vector<Taken> steps_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_PATHS_PATH_LEARNER_H_
