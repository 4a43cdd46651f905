#include "agent/token/paths/path_learner.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "agent/common/text.h"
#include "agent/token/paths/path_shapes.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kName = "{name}";
constexpr std::string_view kRest = "/...";

// Seeded by absl in each process, so that nobody can choose words that share a node.
uint64_t HashOf(std::string_view word) {
  return absl::Hash<absl::string_view>()(absl::string_view(word.data(), word.size()));
}

// A single mark and nothing else, "@{scope}" and "{repo}.git" of the table too. PathTemplate
// encodes braces, so that nobody can forge one.
bool IsMark(std::string_view segment) {
  if (segment.empty() || segment == "@{scope}" || segment == "{repo}.git") return true;
  return segment.front() == '{' && segment.back() == '}' &&
         AllOf(segment.substr(1, segment.size() - 2), absl::ascii_islower);
}

std::string_view WithoutPort(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) {
    return host;
  }
  return host.substr(0, colon);
}

}  // namespace

// The words of a variable position that come again and again (Misra and Gries, 1982): of those with
// a third of a window's requests none is missed.
struct PathLearner::Frequent {
  struct Word {
    uint64_t hash = 0;
    uint32_t count = 0;   // in this window, at most too low by kWindow / 9
    uint32_t streak = 0;  // windows in which it was frequent
  };
  // A word that is shown as {name}.
  void Count(uint64_t word);
  // Any request at the position.
  void CountRequest();
  bool Is(uint64_t word) const;

  std::array<Word, 8> words;
  uint32_t window = 0;  // requests in this window
};

// A position: what follows one beginning of a path.
struct PathLearner::Node {
  absl::flat_hash_map<uint64_t, std::unique_ptr<Node>> below;
  std::unique_ptr<Node> variable;  // behind {name}
  std::unique_ptr<Frequent> frequent;
  uint64_t passed = 0;      // requests whose segment led here
  uint64_t requests = 0;    // requests with a word at this position
  uint32_t words = 0;       // of `below`, those that are no marks
  uint32_t window = 0;      // requests in this window
  uint32_t window_new = 0;  // of those, with a new word
  bool judged = false;      // not in the first window
  bool vocabulary = false;
  bool mark = false;  // a mark led here
  bool kept = false;  // a word led here that outlived the position's folding
};

PathLearner::PathLearner(Limits limits) : limits_(limits) {}
PathLearner::~PathLearner() = default;

PathLearner::Hosts::iterator PathLearner::FindHost(std::string_view name) {
  const auto known = by_name_.find(name);
  if (known != by_name_.end() && known->second->dormant) {
    hosts_.splice(hosts_.begin(), dormant_, known->second);
    Host& host = hosts_.front();
    host.dormant = false;
    dormant_nodes_ -= host.nodes;
    nodes_ += host.nodes;
    if (hosts_.size() > limits_.hosts) Forget(std::prev(hosts_.end()));
    return hosts_.begin();
  }
  if (known != by_name_.end()) {
    hosts_.splice(hosts_.begin(), hosts_, known->second);
    return hosts_.begin();
  }
  if (hosts_.size() >= limits_.hosts) Forget(std::prev(hosts_.end()));
  hosts_.push_front({.name = std::string(name),
                     .shapes = PathShapesOf(WithoutPort(name)),
                     .root = std::make_unique<Node>()});
  by_name_[hosts_.front().name] = hosts_.begin();
  return hosts_.begin();
}

void PathLearner::Forget(Hosts::iterator host) {
  ++changes_;
  ++forgotten_;
  nodes_ -= host->nodes;
  host->nodes = 0;
  if (!Prune(host->root.get(), &host->nodes)) {
    by_name_.erase(host->name);
    hosts_.erase(host);
    return;
  }
  host->dormant = true;
  dormant_nodes_ += host->nodes;
  dormant_.splice(dormant_.begin(), hosts_, host);
  while (dormant_.size() > limits_.dormant_hosts || dormant_nodes_ > limits_.dormant_nodes) {
    dormant_nodes_ -= dormant_.back().nodes;
    by_name_.erase(dormant_.back().name);
    dormant_.pop_back();
  }
}

bool PathLearner::Prune(Node* at, size_t* nodes) {
  at->frequent.reset();
  at->judged = false;
  at->window = 0;
  at->window_new = 0;
  at->words = 0;
  for (auto below = at->below.begin(); below != at->below.end();) {
    Node* const node = below->second.get();
    if (!Prune(node, nodes) && !node->kept) {
      at->below.erase(below++);
      continue;
    }
    ++*nodes;
    if (!node->mark) ++at->words;
    ++below;
  }
  if (at->variable != nullptr) {
    Prune(at->variable.get(), nodes);
    ++*nodes;
  }
  return at->variable != nullptr || !at->below.empty();
}

bool PathLearner::MakeRoom(Host* host) {
  if (host->nodes >= limits_.nodes_per_host) return false;
  while (nodes_ >= limits_.nodes && hosts_.size() > 1) Forget(std::prev(hosts_.end()));
  return nodes_ < limits_.nodes;
}

void PathLearner::CountNodes(Host* host, size_t fewer) {
  host->nodes -= fewer;
  nodes_ -= fewer;
}

PathLearner::Step PathLearner::TakeMark(Host* host, Node* at, std::string_view mark) {
  const uint64_t hash = HashOf(mark);
  const auto known = at->below.find(hash);
  if (known != at->below.end()) {
    // A word of the table may have been asked for outside of it before.
    if (!std::exchange(known->second->mark, true)) --at->words;
    return {known->second.get(), false};
  }
  if (!MakeRoom(host)) return {nullptr, false};
  ++host->nodes;
  ++nodes_;
  auto node = std::make_unique<Node>();
  node->mark = true;
  return {at->below.emplace(hash, std::move(node)).first->second.get(), false};
}

bool PathLearner::FoldsNext(const Node& at) {
  if (at.variable != nullptr) return false;
  if (at.words > (at.vocabulary ? kVocabularyMax : kWordsMax)) return true;
  return at.window + 1 == kWindow && at.judged && !at.vocabulary && at.words > kWordsSoft &&
         at.window_new * kNewShare >= kWindow;
}

void PathLearner::CountRequest(Node* at) {
  if (at->frequent != nullptr) at->frequent->CountRequest();
  ++at->requests;
  ++at->window;
  if (at->variable != nullptr || at->window != kWindow) return;
  at->judged = true;
  at->window = 0;
  at->window_new = 0;
}

PathLearner::Step PathLearner::TakeWord(Host* host, Node* at, std::string_view word,
                                        bool vocabulary) {
  const uint64_t hash = HashOf(word);
  at->vocabulary |= vocabulary;
  bool fold = false;
  const auto known = at->below.find(hash);
  if (known != at->below.end()) {
    ++known->second->passed;
  } else if (at->variable == nullptr) {
    if (MakeRoom(host)) {
      ++host->nodes;
      ++nodes_;
      ++at->words;
      ++at->window_new;
      Node* const node = at->below.emplace(hash, std::make_unique<Node>()).first->second.get();
      ++node->passed;
    } else if (at->words > kWordsTight) {
      fold = true;
    } else {
      CountRequest(at);
      return {nullptr, true};
    }
  }
  fold |= FoldsNext(*at);
  CountRequest(at);
  if (fold) Fold(host, at);
  const auto now = at->below.find(hash);
  if (now != at->below.end()) return {now->second.get(), false};
  if (at->frequent == nullptr) at->frequent = std::make_unique<Frequent>();
  if (at->frequent->Is(hash) && MakeRoom(host)) return {Keep(host, at, hash), false};
  at->frequent->Count(hash);
  return {at->variable.get(), true};
}

PathLearner::Node* PathLearner::Keep(Host* host, Node* at, uint64_t word) {
  for (Frequent::Word& one : at->frequent->words) {
    if (one.hash == word) one = {};
  }
  ++changes_;
  ++host->nodes;
  ++nodes_;
  ++at->words;
  Node* const node = at->below.emplace(word, std::make_unique<Node>()).first->second.get();
  node->kept = true;
  ++node->passed;
  return node;
}

void PathLearner::Fold(Host* host, Node* at) {
  ++changes_;
  if (at->variable == nullptr) {
    // Takes the place of one of the words, of which there is one at least.
    at->variable = std::make_unique<Node>();
    ++host->nodes;
    ++nodes_;
    ++variable_;
  }
  std::vector<std::unique_ptr<Node>> gone;
  for (auto below = at->below.begin(); below != at->below.end();) {
    Node* const node = below->second.get();
    node->kept |= !node->mark && node->passed * kKeptShare >= at->requests;
    if (node->mark || node->kept) {
      ++below;
      continue;
    }
    gone.push_back(std::move(below->second));
    at->below.erase(below++);
  }
  at->words -= static_cast<uint32_t>(gone.size());
  // All of them before any is judged, so that their order does not matter.
  for (std::unique_ptr<Node>& node : gone) Merge(host, at->variable.get(), std::move(node));
  Settle(host, at->variable.get());
}

void PathLearner::Merge(Host* host, Node* to, std::unique_ptr<Node> from) {
  CountNodes(host, 1);
  to->passed += from->passed;
  to->requests += from->requests;
  to->vocabulary |= from->vocabulary;
  to->judged |= from->judged;
  to->kept |= from->kept;
  to->window = 0;
  to->window_new = 0;
  for (auto& [hash, node] : from->below) {
    std::unique_ptr<Node>& same = to->below[hash];
    if (same != nullptr) {
      Merge(host, same.get(), std::move(node));
      continue;
    }
    if (!node->mark) ++to->words;
    same = std::move(node);
  }
  if (from->variable == nullptr) return;
  if (to->variable == nullptr) {
    to->variable = std::move(from->variable);
  } else {
    Merge(host, to->variable.get(), std::move(from->variable));
  }
}

void PathLearner::Settle(Host* host, Node* at) {
  const bool wide = at->words > (at->vocabulary ? kVocabularyMax : kWordsMax);
  const bool stray = at->variable != nullptr &&
                     std::any_of(at->below.begin(), at->below.end(), [](const auto& below) {
                       return !below.second->mark && !below.second->kept;
                     });
  if (wide || stray) Fold(host, at);
  for (auto& [hash, node] : at->below) Settle(host, node.get());
  if (at->variable != nullptr) Settle(host, at->variable.get());
}

void PathLearner::Frequent::Count(uint64_t word) {
  Word* of = nullptr;
  Word* free = nullptr;
  for (Word& one : words) {
    if (one.count == 0 && one.streak == 0) {
      free = &one;
    } else if (one.hash == word) {
      of = &one;
    }
  }
  if (of != nullptr) {
    ++of->count;
  } else if (free != nullptr) {
    *free = {.hash = word, .count = 1};
  } else {
    for (Word& one : words) one.count -= one.count != 0 ? 1 : 0;
  }
}

void PathLearner::Frequent::CountRequest() {
  if (++window < kWindow) return;
  window = 0;
  for (Word& one : words) {
    one.streak = one.count * kKeptShare >= kWindow ? one.streak + 1 : 0;
    one.count = 0;
  }
}

bool PathLearner::Frequent::Is(uint64_t word) const {
  return std::any_of(words.begin(), words.end(), [word](const Word& one) {
    return one.hash == word && one.streak >= kFrequentWindows;
  });
}

bool PathLearner::LearnAgain(const Way& way) {
  if (way.changes_ != changes_) return false;
  for (const Way::Taken& step : way.steps_) {
    if (FoldsNext(*step.at)) return false;
    // Here nothing was learnt yet, and Learn finds the same.
    if (step.node == nullptr && step.at->frequent != nullptr && step.at->frequent->Is(step.word)) {
      return false;
    }
  }
  hosts_.splice(hosts_.begin(), hosts_, way.host_);
  for (const Way::Taken& step : way.steps_) {
    if (step.node != nullptr) {
      ++step.node->passed;
    } else if (step.at->frequent != nullptr) {
      step.at->frequent->Count(step.word);
    }
    CountRequest(step.at);
  }
  return true;
}

std::string PathLearner::Learn(std::string_view host, std::string path, std::string_view operation,
                               Way* way) {
  if (way != nullptr) {
    way->changes_ = 0;
    way->steps_.clear();
  }
  if (!path.starts_with('/')) return path;
  const Hosts::iterator entry = FindHost(host);
  Host* const of = &*entry;
  size_t vocabulary = std::string_view::npos;
  uint64_t table_words = 0;
  if (std::optional<ShapedPath> shaped = ShapePath(of->shapes, path)) {
    path = std::move(shaped->path);
    vocabulary = shaped->vocabulary;
    table_words = shaped->words;
  }
  const std::string_view whole = path;
  std::string out;
  bool changed = false;
  // Replaces whole[begin, end), all before it being as it is shown.
  size_t shown = 0;
  const auto replace = [&](size_t begin, size_t end, std::string_view with) {
    out.append(whole.substr(shown, begin - shown)).append(with);
    shown = end;
    changed = true;
  };
  Node* at = of->root.get();  // null behind a word of the table for which there was no room
  size_t depth = 0;
  for (size_t begin = 1; begin <= whole.size(); ++depth) {
    const size_t end = std::min(whole.find('/', begin), whole.size());
    const std::string_view segment = whole.substr(begin, end - begin);
    Step step{nullptr, false};
    const bool of_table = depth < 64 && (table_words >> depth & 1) != 0;
    const bool is_mark = of_table || IsMark(segment);
    if (depth < kDepthMax && at != nullptr) {
      step = is_mark ? TakeMark(of, at, segment) : TakeWord(of, at, segment, depth == vocabulary);
    }
    // What the table says holds without room, too.
    if (step.node == nullptr && depth < kDepthMax && (of_table || (at == nullptr && is_mark))) {
      at = nullptr;
      begin = end + 1;
      continue;
    }
    if (step.node == nullptr) {
      ++folded_;
      if (depth == kDepthMax || is_mark) {
        replace(begin - 1, whole.size(), kRest);
      } else {
        replace(begin, end, kName);
        if (end < whole.size()) replace(end, whole.size(), kRest);
      }
      at = nullptr;
      break;
    }
    if (step.variable) replace(begin, end, kName);
    if (way != nullptr && !is_mark) {
      way->steps_.push_back({at, step.variable ? nullptr : step.node, HashOf(segment)});
    }
    at = step.node;
    begin = end + 1;
  }
  if (changed) {
    out.append(whole.substr(shown));
    path = std::move(out);
  }
  if (way != nullptr && at != nullptr && operation.empty()) {
    way->changes_ = changes_;
    way->host_ = entry;
  }
  if (operation.empty()) return path;
  // A mark of its own keeps operations apart from segments, with the trees' bounds.
  const Step names = at == nullptr ? Step{nullptr, false} : TakeMark(of, at, "#");
  if (names.node == nullptr) return path;
  const Step step = TakeWord(of, names.node, operation, true);
  if (step.node == nullptr) ++folded_;
  return path.append("#").append(step.variable ? kName : operation);
}

void PathLearner::AddCounters(Counters* counters) const {
  (*counters)["paths_folded"] += folded_;
  (*counters)["path_positions_variable"] += variable_;
  (*counters)["path_hosts_forgotten"] += forgotten_;
}

}  // namespace tokenwatch
