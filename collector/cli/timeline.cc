#include "collector/cli/timeline.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/common/facts.h"
#include "collector/cli/cells.h"
#include "collector/cli/rows.h"
#include "collector/cli/table.h"

namespace tokenwatch {
namespace {

constexpr size_t kLabel = 8;  // in front of bars
constexpr size_t kLeastColumns = 20;
constexpr size_t kMostEvents = 40;
constexpr std::array<const char*, 9> kBlocks = {" ",      "\u2581", "\u2582", "\u2583", "\u2584",
                                                "\u2585", "\u2586", "\u2587", "\u2588"};
constexpr std::array<const char*, 9> kAscii = {" ", ".", ":", "-", "=", "+", "*", "%", "#"};

struct Bucket {
  std::string start;  // as the server sent it
  uint64_t seconds = 0, uses = 0, denied = 0;
};

struct Event {
  std::string time;  // RFC 3339, which sorts as it is later
  std::string what;
};

std::vector<Bucket> BucketsOf(const Json& detail) {
  std::vector<Bucket> buckets;
  for (const Json& row : ObjectsOf(detail, "timeline")) {
    buckets.push_back(
        {Cell(row, "start"), Count(row, "seconds"), Count(row, "uses"), Count(row, "denied")});
  }
  return buckets;
}

// Neighbours taken together until there are at most `columns`.
std::vector<Bucket> Fit(const std::vector<Bucket>& buckets, size_t columns) {
  const size_t each = (buckets.size() + columns - 1) / columns;
  if (each <= 1) return buckets;
  std::vector<Bucket> fitted;
  for (size_t i = 0; i < buckets.size(); ++i) {
    if (i % each == 0) fitted.push_back({buckets[i].start});
    fitted.back().seconds += buckets[i].seconds;
    fitted.back().uses += buckets[i].uses;
    fitted.back().denied += buckets[i].denied;
  }
  return fitted;
}

std::string Span(uint64_t seconds) {
  const uint64_t hours = seconds / 3600;
  if (hours % 24 != 0) return absl::StrCat(hours, hours == 1 ? " hour" : " hours");
  return absl::StrCat(hours / 24, hours == 24 ? " day" : " days");
}

// A bar for each bucket; one that is not empty is never left blank.
std::string Bars(const std::vector<Bucket>& buckets, uint64_t Bucket::* member, uint64_t highest,
                 bool blocks) {
  std::string line;
  for (const Bucket& bucket : buckets) {
    const double share =
        highest == 0 ? 0 : static_cast<double>(bucket.*member) / static_cast<double>(highest);
    const size_t level =
        bucket.*member == 0 ? 0 : std::clamp<size_t>(static_cast<size_t>(share * 8 + 0.5), 1, 8);
    line += blocks ? kBlocks[level] : kAscii[level];
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string Day(const std::string& time) { return time.substr(0, 10); }

std::string Chart(const std::vector<Bucket>& buckets, bool blocks) {
  uint64_t highest = 0, denied = 0;
  for (const Bucket& bucket : buckets) {
    highest = std::max(highest, bucket.uses);
    denied += bucket.denied;
  }
  std::string text = absl::StrFormat("%-*s%s\n", static_cast<int>(kLabel), "Uses",
                                     Bars(buckets, &Bucket::uses, highest, blocks));
  if (denied > 0) {
    absl::StrAppendFormat(&text, "%-*s%s\n", static_cast<int>(kLabel), "Denied",
                          Bars(buckets, &Bucket::denied, highest, blocks));
  }
  const std::string first = Day(buckets.front().start), last = Day(buckets.back().start);
  const std::string indent(kLabel, ' ');
  absl::StrAppend(&text, indent, first);
  if (buckets.size() >= first.size() + last.size() + 1) {
    absl::StrAppend(&text, std::string(buckets.size() - first.size() - last.size(), ' '), last);
  } else if (first != last) {
    absl::StrAppend(&text, " to ", last);
  }
  absl::StrAppend(&text, "\n", indent, "A column is ", Span(buckets.front().seconds),
                  ", the highest ", highest, highest == 1 ? " use" : " uses", "; UTC.\n");
  return text;
}

// When each value was first there; the first of all is no news.
class Firsts {
 public:
  void Add(const std::string& value, const std::string& time) {
    if (value.empty() || time.empty()) return;
    const auto [found, added] = firsts_.emplace(value, time);
    if (!added) found->second = std::min(found->second, time);
  }
  void AddEvents(const std::string& beginning, const char* what, std::vector<Event>* events) const {
    for (const auto& [value, time] : firsts_) {
      if (time != beginning) events->push_back({time, absl::StrCat(what, value)});
    }
  }
  // Those that were there when it began.
  std::string At(const std::string& beginning) const {
    std::string text;
    for (const auto& [value, time] : firsts_) {
      if (time == beginning) absl::StrAppend(&text, text.empty() ? "" : ", ", value);
    }
    return text;
  }

 private:
  std::map<std::string, std::string> firsts_;
};

// Returns when it began; empty: not known.
std::string AddUsage(const Json& detail, std::vector<Event>* events) {
  Firsts hosts, programs;
  std::string beginning;
  for (const Json& row : ObjectsOf(detail, "usage")) {
    if (Cell(row, "direction") == "inbound") continue;
    const std::string time = Cell(row, "firstUsed");
    hosts.Add(Cell(row, "host"), time);
    programs.Add(absl::StrCat(ProgramName(row), " on ", Cell(row, "machine")), time);
    if (beginning.empty() || time < beginning) beginning = time;
  }
  if (beginning.empty()) return beginning;
  events->push_back({beginning, absl::StrCat("first used, by ", programs.At(beginning), ", for ",
                                             hosts.At(beginning))});
  hosts.AddEvents(beginning, "new host ", events);
  programs.AddEvents(beginning, "new program ", events);
  return beginning;
}

// Buckets in which a tenth or more of the uses were denied, and more than in their neighbours. None
// is said to be from before the first use.
void AddDenials(const std::vector<Bucket>& buckets, const std::string& beginning,
                std::vector<Event>* events) {
  for (size_t i = 0; i < buckets.size(); ++i) {
    const Bucket& bucket = buckets[i];
    if (bucket.denied == 0 || bucket.denied * 10 < bucket.uses) continue;
    if (i > 0 && buckets[i - 1].denied >= bucket.denied) continue;
    if (i + 1 < buckets.size() && buckets[i + 1].denied > bucket.denied) continue;
    events->push_back({std::max(bucket.start, beginning),
                       absl::StrCat(bucket.denied, " of ", bucket.uses, " uses denied, in ",
                                    Span(bucket.seconds))});
  }
}

void AddFindings(const Json& detail, std::vector<Event>* events) {
  for (const Json& finding : ObjectsOf(detail, "findings")) {
    events->push_back(
        {Cell(finding, "firstSeen"),
         absl::StrCat("finding, ", Cell(finding, "severity"), ": ", Cell(finding, "title"), " (",
                      Cell(finding, "findingId"), ")")});
  }
}

void AddLife(const Json& detail, std::vector<Event>* events) {
  constexpr std::pair<std::string_view, const char*> kLinks[] = {
      {fact::kRotatedTo, "replaced by "},  {fact::kRotatedFrom, "replaces "},
      {fact::kBornFrom, "obtained with "}, {fact::kRevokedBy, "revoked by "},
      {fact::kRevoked, "revoked, as of "}, {fact::kInactive, "inactive, as of "},
  };
  bool is_replaced = false;
  for (const Json& fact : ObjectsOf(detail, "facts")) {
    for (const auto& [name, what] : kLinks) {
      if (Cell(fact, "name") != name) continue;
      is_replaced = is_replaced || name == fact::kRotatedTo;
      for (const Json& told : ObjectsOf(fact, "told")) {
        events->push_back({Cell(told, "firstSeen"), absl::StrCat(what, Cell(told, "value"))});
      }
    }
  }
  const auto found = detail.find("token");
  if (found == detail.end() || !found->is_object()) return;
  const std::string successor = Cell(*found, "successor");
  if (!successor.empty() && !is_replaced) {
    events->push_back({Cell(*found, "lastUsed"),
                       absl::StrCat("last used, before ", successor, " took its place")});
  }
  if (const std::string issued = Cell(*found, "issuedAt"); !issued.empty()) {
    events->push_back({issued, "issued"});
  }
  if (const std::string expires = Cell(*found, "expires"); !expires.empty()) {
    events->push_back({expires, "expires"});
  }
}

std::string EventsText(std::vector<Event> events) {
  std::erase_if(events, [](const Event& event) { return event.time.empty(); });
  std::stable_sort(events.begin(), events.end(),
                   [](const Event& a, const Event& b) { return a.time < b.time; });
  std::string text;
  for (size_t i = 0; i < events.size(); ++i) {
    // The beginning, then the newest.
    if (events.size() > kMostEvents && i == 1) {
      const size_t left_out = events.size() - kMostEvents;
      absl::StrAppend(&text, "  ... ", left_out, " more\n");
      i += left_out;
    }
    const Json shown = {{"time", events[i].time}};
    absl::StrAppend(&text, ShownSafely(SecondCell(shown, "time")), "  ",
                    ShownSafely(events[i].what), "\n");
  }
  return text;
}

}  // namespace

std::string TimelineText(const Json& detail, const TimelineOptions& options) {
  const std::vector<Bucket> buckets = BucketsOf(detail);
  if (buckets.empty() || buckets.front().seconds == 0) return "";
  const size_t columns =
      options.width <= kLabel + kLeastColumns ? buckets.size() : options.width - kLabel;
  const std::vector<Bucket> fitted =
      Fit(buckets, options.width == 0 ? std::max<size_t>(buckets.size(), 1)
                                      : std::max(std::min(columns, buckets.size()), size_t{1}));
  std::vector<Event> events;
  AddDenials(buckets, AddUsage(detail, &events), &events);
  AddFindings(detail, &events);
  AddLife(detail, &events);
  return absl::StrCat(Chart(fitted, options.blocks), "\n", EventsText(std::move(events)));
}

}  // namespace tokenwatch
