#include "collector/store/sqlite/timeline.h"

#include <algorithm>
#include <iterator>

#include "absl/container/flat_hash_map.h"
#include "collector/store/outcome.h"
#include "collector/store/proto_time.h"
#include "collector/store/sqlite/schema.h"
#include "collector/store/sqlite/selection.h"

namespace tokenwatch::sqlite {
namespace {

constexpr int64_t kMaxBuckets = 200;
// Hours times ids. Two years of one token.
constexpr int64_t kMaxLookups = 18000;
// What a bucket may last, in hours: what people count in. Longer lives take whole weeks.
constexpr int64_t kHours[] = {1, 2, 3, 4, 6, 12, 24, 48, 168};

int64_t BucketHours(int64_t hours) {
  for (const int64_t each : kHours) {
    // One more, as the first one begins where such a bucket does.
    if (hours / each + 2 <= kMaxBuckets) return each;
  }
  return (hours / (kMaxBuckets - 2) / 168 + 1) * 168;
}

}  // namespace

void FillTimeline(Session* session, Filter filter, int64_t first_us, int64_t last_us,
                  v1::TokenDetail* detail) {
  if (detail->token().uses() == 0) return;
  filter.inbound.reset();
  Selection ids(filter, session->database.get(), session->dimensions.get());
  const auto count = static_cast<int64_t>(std::max<size_t>(ids.tokens()->size(), 1));
  const int64_t last_hour = last_us / kMicrosPerHour;
  const int64_t first_hour = std::max(first_us / kMicrosPerHour,
                                      last_hour + 1 - std::max<int64_t>(kMaxLookups / count, 1));
  const int64_t width = BucketHours(last_hour - first_hour + 1);
  const int64_t first = first_hour / width, last = last_hour / width;
  for (int64_t bucket = first; bucket <= last; ++bucket) {
    v1::TimelineBucket* const row = detail->add_timeline();
    SetTime(bucket * width * kMicrosPerHour, row->mutable_start());
    row->set_seconds(static_cast<uint64_t>(width) * 3600);
  }
  // Straight from the rollup, as a token may have a hundred rows an hour.
  Dimensions* const dimensions = session->dimensions.get();
  absl::flat_hash_map<int64_t, bool> inbound;  // by resource
  Statement& query = session->database->Cached(
      "SELECT resource, status, uses FROM hourly WHERE hour = ? AND token = ?");
  for (int64_t hour = first_hour; hour <= last_hour; ++hour) {
    v1::TimelineBucket* const at = detail->mutable_timeline(static_cast<int>(hour / width - first));
    uint64_t uses = 0, denied = 0;
    for (const int64_t token : *ids.tokens()) {
      query.Start(hour, token);
      while (query.Next()) {
        const auto [received, added] = inbound.try_emplace(query.Int(0), false);
        if (added) received->second = dimensions->Resource(query.Int(0)).inbound;
        if (received->second) continue;
        const auto count = static_cast<uint64_t>(query.Int(2));
        uses += count;
        if (Classify(static_cast<uint32_t>(query.Int(1))) == Outcome::kDenied) denied += count;
      }
    }
    at->set_uses(at->uses() + uses);
    at->set_denied(at->denied() + denied);
  }
}

}  // namespace tokenwatch::sqlite
