#include "agent/http/hpack_heirs.h"

#include <algorithm>
#include <utility>

namespace tokenwatch {

void HpackHeirs::Offer(std::string_view tables) {
  is_tracking_ = false;
  step_bytes_ = 0;
  while (const std::optional<HpackTable> table = TakeTable(&tables)) {
    if (tables_.size() >= kMaxTables) return;
    const HpackTableHead& head = table->head;
    auto inflater = std::make_unique<HpackInflater>(memory_);
    if (!inflater->Load(table->entries, head.unknown, head.max_bytes)) continue;
    // Of connections that had one name after the other the latest comes last.
    tables_[KeyOf(head.pid, head.tag, head.is_response != 0)] = {head, std::move(inflater)};
  }
}

void HpackHeirs::Drop(uint32_t pid, uint32_t tag) {
  if (tables_.empty()) return;
  tables_.erase(KeyOf(pid, tag, false));
  tables_.erase(KeyOf(pid, tag, true));
}

void HpackHeirs::DropProcess(uint32_t pid) {
  if (tables_.empty()) return;
  absl::erase_if(tables_, [&](const auto& table) { return table.second.head.pid == pid; });
}

void HpackHeirs::BeforeBlock(uint32_t pid, uint32_t tag, bool is_response, uint32_t stream,
                             const HpackTrack& requests, HpackTrack* track,
                             HpackInflater* inflater) {
  if (is_tracking_) return;
  const std::vector<HpackTrack::Step> steps = std::exchange(track->steps, {});
  if (tables_.empty()) return;
  const auto at = tables_.find(KeyOf(pid, tag, is_response));
  if (at == tables_.end()) return;
  const HpackTableHead& head = at->second.head;
  if (track->position == 0) {
    // Streams rise by two, one request each. Where none was missed, no answer was either.
    const uint32_t next = head.newest_request + 2;
    const bool is_next = is_response ? head.is_idle != 0 && requests.first == next : stream == next;
    if (is_next) {
      Give(at, {}, inflater);
    } else if (stream > head.newest_request) {
      tables_.erase(at);
    }
    return;
  }
  const auto is_place = [&](const HpackTrack::Step& step) {
    return step.position == head.position;
  };
  const auto step = std::find_if(steps.begin(), steps.end(), is_place);
  if (step != steps.end() && std::none_of(step + 1, steps.end(), is_place)) {
    const auto seen = static_cast<size_t>(step - steps.begin()) + 1;
    Give(at, absl::MakeConstSpan(steps).subspan(seen), inflater);
  } else if (step != steps.end() || track->position > head.position) {
    tables_.erase(at);
  }
}

void HpackHeirs::AfterBlock(uint32_t pid, uint32_t tag, bool is_response, const HpackTrack& track,
                            HpackInflater* inflater) {
  if (is_tracking_ || tables_.empty()) return;
  const auto at = tables_.find(KeyOf(pid, tag, is_response));
  if (at != tables_.end() && at->second.head.position == track.position) Give(at, {}, inflater);
}

void HpackHeirs::Give(absl::flat_hash_map<Key, Table>::iterator at,
                      absl::Span<const HpackTrack::Step> since, HpackInflater* inflater) {
  const std::unique_ptr<HpackInflater> table = std::move(at->second.inflater);
  tables_.erase(at);
  if (!inflater->Inherit(table.get())) return;
  for (const HpackTrack::Step& step : since) {
    FieldList fields;
    if (!inflater->Decode(step.block.view(), /*is_cut=*/false, &fields)) return;
  }
  ++given_;
}

void HpackHeirs::Note(uint32_t position, std::string_view block, HpackTrack* track) {
  if (track->position == 0) track->first = position;
  track->position = position;
  if (!is_tracking_) return;
  step_bytes_ += block.size();
  if (step_bytes_ > kMaxStepBytes) {
    track->steps.clear();
    return;
  }
  if (track->steps.size() >= kMaxSteps) {
    track->steps.erase(track->steps.begin(),
                       track->steps.begin() + static_cast<ptrdiff_t>(kMaxSteps / 2));
  }
  track->steps.push_back({position, SecretBuffer(block)});
}

}  // namespace tokenwatch
