#include "agent/http/hpack_heirs.h"

#include <algorithm>
#include <utility>

namespace tokenwatch {

void HpackHeirs::Offer(std::string_view tables) {
  is_tracking_ = false;
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
      Give(at, 0, inflater);
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
    Give(at, track->inserted - step->inserted, inflater);
  } else if (step != steps.end() || track->position > head.position) {
    tables_.erase(at);
  }
}

void HpackHeirs::AfterBlock(uint32_t pid, uint32_t tag, bool is_response, const HpackTrack& track,
                            HpackInflater* inflater) {
  if (is_tracking_ || tables_.empty()) return;
  const auto at = tables_.find(KeyOf(pid, tag, is_response));
  if (at != tables_.end() && at->second.head.position == track.position) Give(at, 0, inflater);
}

void HpackHeirs::Give(absl::flat_hash_map<Key, Table>::iterator at, uint64_t inserted_since,
                      HpackInflater* inflater) {
  const std::unique_ptr<HpackInflater> table = std::move(at->second.inflater);
  tables_.erase(at);
  if (!inflater->Inherit(table.get(), inserted_since)) return;
  ++given_;
}

void HpackHeirs::Note(uint32_t position, const HpackNeeds& needs, HpackTrack* track) const {
  if (track->position == 0) track->first = position;
  track->position = position;
  track->inserted += needs.inserted;
  if (!is_tracking_) return;
  // What was in the table before may be gone.
  if (needs.largest_table != 0 || needs.smallest_table != UINT32_MAX) track->steps.clear();
  if (track->steps.size() >= HpackTrack::kMaxSteps) {
    track->steps.erase(track->steps.begin(),
                       track->steps.begin() + static_cast<ptrdiff_t>(HpackTrack::kMaxSteps / 2));
  }
  track->steps.push_back({position, track->inserted});
}

}  // namespace tokenwatch
