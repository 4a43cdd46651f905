#include "collector/ingest/refusal_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/log.h"

namespace tokenwatch {
void RefusalLog::Warn(const std::string& kind, const std::string& peer, const std::string& what,
                      const absl::Status& why) {
  if (const auto line = Line(kind, peer, what, why)) LogLine(LogLevel::kWarning, *line);
}

std::optional<std::string> RefusalLog::Line(const std::string& kind, const std::string& peer,
                                            const std::string& what, const absl::Status& why) {
  const auto interval_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(kInterval));
  const uint64_t now_ns = clock_->MonotonicNs();
  std::string key = absl::StrCat(kind, " ", static_cast<int>(why.code()), " ", peer);
  uint64_t left_out = 0;
  {
    const absl::MutexLock lock(&mutex_);
    if (!entries_.contains(key) && entries_.size() >= kMaxPeers) {
      uint64_t of_gone = 0;
      std::erase_if(entries_, [&](const auto& entry) {
        const bool gone = !entry.first.empty() && now_ns - entry.second.written_ns >= interval_ns;
        if (gone) of_gone += entry.second.left_out;
        return gone;
      });
      if (entries_.size() >= kMaxPeers) key.clear();
      left_out = of_gone;
    }
    const auto [entry, is_new] = entries_.try_emplace(key, Entry{.written_ns = now_ns});
    if (!is_new && now_ns - entry->second.written_ns < interval_ns) {
      entry->second.left_out += left_out + 1;
      return std::nullopt;
    }
    left_out += std::exchange(entry->second.left_out, 0);
    entry->second.written_ns = now_ns;
  }
  return absl::StrCat(
      "refused ", what, ": ", why.message(),
      left_out == 0 ? "" : absl::StrCat(" (", left_out, " more like it were left out of the log)"));
}

}  // namespace tokenwatch
