#include "collector/store/sqlite/timeline.h"

#include <algorithm>
#include <iterator>

#include "collector/store/proto_time.h"
#include "collector/store/sqlite/schema.h"
#include "collector/store/sqlite/selection.h"
#include "collector/store/sqlite/usage_reader.h"

namespace tokenwatch::sqlite {
namespace {

constexpr int64_t kMaxBuckets = 200;
// Hours times ids. Two years of one token; below the number from which on ForEachUsage would read
// all rows of the hours instead.
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
  // Whole hours: none is cut, so that no single use is looked at.
  filter.since_us = first_hour * kMicrosPerHour;
  filter.until_us = (last_hour + 1) * kMicrosPerHour;
  Selection selection(filter, session->database.get(), session->dimensions.get());
  ForEachUsage(session->database.get(), session->dimensions.get(), &selection,
               [&](const UsageRow& row) {
                 const int64_t bucket = row.first_us / kMicrosPerHour / width - first;
                 if (bucket < 0 || bucket > last - first) return;
                 v1::TimelineBucket* const at = detail->mutable_timeline(static_cast<int>(bucket));
                 at->set_uses(at->uses() + row.uses);
                 at->set_denied(at->denied() + row.denied);
               });
}

}  // namespace tokenwatch::sqlite
