#include "collector/detect/fleet.h"

#include <algorithm>
#include <utility>

#include "collector/detect/baseline.pb.h"

namespace tokenwatch {
namespace {

constexpr int64_t kBucketMicros = int64_t{600} * 1'000'000;
constexpr size_t kMostTroubled = 256;  // workloads a provider and bucket

}  // namespace

Hour Fleet::Since(Kind kind, Word word, Hour hour) const {
  if (word == 0) return 0;
  const auto& first = first_[static_cast<size_t>(kind)];
  const auto found = first.find(word);
  if (found != first.end()) return found->second;
  return first.size() >= kMost ? 0 : hour;
}

void Fleet::Note(Kind kind, Word word, Hour hour) {
  if (began_ == 0 || hour < began_) began_ = hour;
  auto& first = first_[static_cast<size_t>(kind)];
  if (word == 0 || first.size() >= kMost) return;
  if (first.emplace(word, hour).second) changed = true;
}

void Fleet::NoteAnswer(Word provider, uint32_t workload, int64_t time_us, bool denied,
                       bool failed) {
  Trouble& trouble = troubles_[provider];
  const int64_t bucket = time_us / kBucketMicros;
  if (bucket > trouble.bucket) {
    trouble.before = bucket == trouble.bucket + 1 ? std::move(trouble.now) : Workloads();
    trouble.now = Workloads();
    trouble.bucket = bucket;
  }
  if (bucket < trouble.bucket) return;
  if (trouble.now.size() >= kMostTroubled && !trouble.now.contains(workload)) return;
  Answers& answers = trouble.now[workload];
  ++answers.all;
  if (denied) ++answers.denied;
  if (failed) ++answers.failed;
}

size_t Fleet::Others(Word provider, uint32_t workload, uint32_t Answers::* kind) const {
  const auto found = troubles_.find(provider);
  if (found == troubles_.end()) return 0;
  const Workloads& now = found->second.now;
  const Workloads& before = found->second.before;
  const auto is_troubled = [kind](const Answers& answers) {
    return answers.*kind > 0 && 2 * (answers.*kind) >= answers.all;
  };
  size_t others = 0;
  for (const auto& [one, answers] : now) {
    if (one != workload && is_troubled(answers)) ++others;
  }
  for (const auto& [one, answers] : before) {
    if (one == workload || !is_troubled(answers)) continue;
    const auto again = now.find(one);
    if (again == now.end() || !is_troubled(again->second)) ++others;
  }
  return others;
}

size_t Fleet::OthersDenied(Word provider, uint32_t workload) const {
  return Others(provider, workload, &Answers::denied);
}

size_t Fleet::OthersFailed(Word provider, uint32_t workload) const {
  return Others(provider, workload, &Answers::failed);
}

std::string Fleet::Save(const Words& words) const {
  detect::SharedState state;
  state.set_began(began_);
  for (const auto& first : first_) {
    detect::SeenSetState* const set = state.add_seen();
    for (const auto& [word, hour] : first) {
      detect::SeenState* const value = set->add_values();
      const std::string_view text = words.Text(word);
      value->set_value(text.data(), text.size());
      value->set_first(hour);
    }
  }
  for (const float count : hours.counts()) state.add_hour_distances(count);
  return state.SerializeAsString();
}

bool Fleet::Restore(std::string_view bytes, Words* words) {
  detect::SharedState state;
  if (!state.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  began_ = state.began();
  if (state.hour_distances_size() == static_cast<int>(HourPool::kCounts)) {
    for (int i = 0; i < state.hour_distances_size(); ++i) {
      hours.Restore(static_cast<size_t>(i), state.hour_distances(i));
    }
  }
  for (int i = 0; i < std::min<int>(state.seen_size(), kKinds); ++i) {
    for (const detect::SeenState& value : state.seen(i).values()) {
      first_[static_cast<size_t>(i)].emplace(words->Of(value.value()), value.first());
    }
  }
  return true;
}

void Fleet::Mark(absl::FunctionRef<void(Word)> keep) const {
  for (const auto& first : first_) {
    for (const auto& [word, hour] : first) keep(word);
  }
  for (const auto& [provider, trouble] : troubles_) keep(provider);
}

}  // namespace tokenwatch
