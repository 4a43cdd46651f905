#include "collector/cli/top.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "collector/cli/cells.h"
#include "collector/cli/rows.h"
#include "collector/cli/terminal.h"
#include "collector/cli/use_feed.h"

namespace tokenwatch {
namespace {

constexpr char kSince[] = "5m";
// What is read of the time before the start: more would take longer than it is worth waiting.
constexpr uint64_t kMostPast = 50'000;
constexpr size_t kHeadLines = 3;  // totals, an empty line, the table's titles

absl::Time TimeOf(const Json& use) {
  absl::Time time;
  std::string error;
  const std::string text = Cell(use, "time");
  return absl::ParseTime(absl::RFC3339_full, text, &time, &error) ? time : absl::InfinitePast();
}

std::vector<std::string> Cells(const Meter::Row& row) {
  return {row.token,
          absl::StrFormat(
              "%.1f", static_cast<double>(row.last_minute) / absl::ToDoubleSeconds(Meter::kShort)),
          absl::StrCat(row.last_minute),
          absl::StrCat(row.last_minutes),
          absl::StrCat(row.denied),
          row.owner,
          row.program,
          row.machine,
          row.host};
}

std::vector<Column> Columns() {
  return {
      {"TOKEN"},           Number("USES/s"),
      Number("1 MIN"),     Number("5 MIN"),
      Number("DENIED"),    {.title = "OWNER", .may_shrink = true, .least = 5, .may_vanish = true},
      Shrinking("WHO", 6), {.title = "MACHINE", .may_shrink = true, .least = 5, .may_vanish = true},
      Shrinking("HOST", 6)};
}

// What a screen is drawn from, and where it is asked for.
class Source {
 public:
  explicit Source(const CliOptions& options) : feed_(options.server, options.filters) {}

  // All that is new.
  absl::Status Look() {
    size_t found = 0;
    do {
      const absl::StatusOr<std::vector<Json>> uses = feed_.Look(kBatch);
      if (!uses.ok()) return uses.status();
      for (const Json& use : *uses) meter_.Add(use);
      found = uses->size();
    } while (found == kBatch);
    return absl::OkStatus();
  }

  absl::Status Start() {
    if (absl::Status status = Look(); !status.ok()) return status;
    const absl::StatusOr<std::vector<Json>> past = feed_.Past(kSince, kMostPast);
    if (!past.ok()) return past.status();
    for (const Json& use : *past) meter_.Add(use);
    cut_ = past->size() >= kMostPast;
    return absl::OkStatus();
  }

  std::string Note() const {
    return cut_ ? absl::StrCat("; of before the start, the newest ", kMostPast, " uses") : "";
  }
  Meter* meter() { return &meter_; }

 private:
  static constexpr uint64_t kBatch = 1000;
  UseFeed feed_;
  Meter meter_;
  bool cut_ = false;
};

}  // namespace

void Meter::Add(const Json& use) {
  const int64_t at = absl::ToUnixSeconds(TimeOf(use));
  std::string name = Cell(use, "tokenId");
  if (name.empty()) name = "unresolved";
  if (tokens_.size() >= kMostTokens && !tokens_.contains(name)) name = "others";
  Token& token = tokens_[name];
  const uint64_t count = std::max<uint64_t>(Count(use, "count"), 1);
  // Uses come nearly in order: the place is looked for from the end.
  auto place = token.seconds.end();
  while (place != token.seconds.begin() && std::prev(place)->at > at) --place;
  if (place == token.seconds.begin() || std::prev(place)->at != at) {
    place = std::next(token.seconds.insert(place, Second{.at = at}));
  }
  Second& second = *std::prev(place);
  second.uses += count;
  if (Cell(use, "outcome") == "denied") second.denied += count;
  if (at < token.latest) return;
  token.latest = at;
  const auto found = use.find("workload");
  if (found != use.end() && found->is_object()) {
    token.program = ProgramName(*found);
    token.machine = Cell(*found, "host");
  }
  token.host = Cell(use, "host");
  token.owner = Cell(use, "owner");
}

void Meter::Forget(absl::Time now) {
  const int64_t oldest = absl::ToUnixSeconds(now - kLong);
  absl::erase_if(tokens_, [oldest](auto& entry) {
    std::deque<Second>& seconds = entry.second.seconds;
    while (!seconds.empty() && seconds.front().at < oldest) seconds.pop_front();
    return seconds.empty();
  });
}

std::vector<Meter::Row> Meter::Rows(absl::Time now) const {
  const int64_t recent = absl::ToUnixSeconds(now - kShort),
                oldest = absl::ToUnixSeconds(now - kLong);
  std::vector<Row> rows;
  for (const auto& [name, token] : tokens_) {
    Row row{.token = name,
            .program = token.program,
            .machine = token.machine,
            .host = token.host,
            .owner = token.owner};
    for (const Second& second : token.seconds) {
      if (second.at < oldest) continue;
      row.last_minutes += second.uses;
      row.denied += second.denied;
      if (second.at >= recent) row.last_minute += second.uses;
    }
    if (row.last_minutes > 0) rows.push_back(std::move(row));
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tie(b.last_minute, b.last_minutes, a.token) <
           std::tie(a.last_minute, a.last_minutes, b.token);
  });
  return rows;
}

std::string TopScreen(const CliOptions& options, const Meter& meter, absl::Time now, size_t rows,
                      const std::string& note) {
  const std::vector<Meter::Row> all = meter.Rows(now);
  uint64_t last_minute = 0, last_minutes = 0, denied = 0;
  for (const Meter::Row& row : all) {
    last_minute += row.last_minute;
    last_minutes += row.last_minutes;
    denied += row.denied;
  }
  size_t most = rows > kHeadLines ? rows - kHeadLines : 0;
  if (rows == 0) most = std::numeric_limits<size_t>::max();
  if (options.filters.limit != 0) most = std::min<size_t>(most, options.filters.limit);
  Table table(Columns());
  for (size_t i = 0; i < std::min(most, all.size()); ++i) table.Add(Cells(all[i]));
  const std::string totals = absl::StrCat(
      absl::FormatTime("%Y-%m-%d %H:%M:%SZ", now, absl::UTCTimeZone()), "  ", all.size(),
      all.size() == 1 ? " token, " : " tokens, ", last_minute, " uses in the last minute, ",
      last_minutes, " in five, ", denied, " of them denied", note);
  return absl::StrCat(ShownSafely(totals), "\n\n", table.Text(options.output.width, true));
}

absl::Status Top(const CliOptions& options, const TopOptions& top, std::ostream* out) {
  Source source(options);
  if (absl::Status status = source.Start(); !status.ok()) return status;
  if (top.once || isatty(top.output) != 1) {
    *out << TopScreen(options, *source.meter(), absl::Now(), 0, source.Note());
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Terminal>> terminal = Terminal::Open(top.input, top.output);
  if (!terminal.ok()) return terminal.status();
  absl::Status status;
  CliOptions shown = options;
  for (absl::Time next = absl::Now();;) {
    const absl::Time now = absl::Now();
    source.meter()->Forget(now);
    const Terminal::Size size = (*terminal)->GetSize();
    shown.output.width = size.columns;
    (*terminal)->Draw(TopScreen(
        shown, *source.meter(), now, size.rows,
        status.ok() ? source.Note() : absl::StrCat("; ", status.message(), "; trying again")));
    next = std::max(next + top.every, now);
    if ((*terminal)->WantsToLeave(next)) return absl::OkStatus();
    status = source.Look();
    // What no try will mend.
    if (!status.ok() && !absl::IsUnavailable(status)) return status;
  }
}

}  // namespace tokenwatch
