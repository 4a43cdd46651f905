#include <algorithm>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "collector/cli/commands.h"
#include "collector/cli/cursor_file.h"
#include "collector/cli/ocsf_lines.h"
#include "collector/cli/rows.h"
#include "collector/cli/use_feed.h"
#include "collector/cli/whole_lines.h"
#include "collector/notify/ocsf.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();

class Tail {
 public:
  Tail(const CliOptions& options, const TailOptions& tail, std::string place, std::ostream* out)
      : options_(options),
        tail_(tail),
        resumes_(!place.empty()),
        out_(out),
        feed_(options.server, options.filters, std::move(place)),
        printer_(options.output, options.output.form == "csv" ? UseDetailRows() : UseRows(),
                 &text_) {}

  absl::Status Run() {
    // The place is taken before the past is listed, so that nothing falls between the two.
    if (absl::Status status = Look(); !status.ok()) return status;
    if (absl::Status status = ShowPast(); !status.ok()) return status;
    absl::Time reached = absl::Now();
    bool was_told = false;
    for (uint64_t look = 1; !ended_ && (tail_.looks == 0 || look < tail_.looks); ++look) {
      if (found_ == 0) absl::SleepFor(tail_.pause);
      const absl::Status status = Look();
      if (status.ok()) {
        reached = absl::Now();
        was_told = false;
      } else if (!absl::IsUnavailable(status) || absl::Now() - reached >= tail_.patience) {
        return status;
      } else if (!std::exchange(was_told, true) && tail_.notice) {
        tail_.notice(absl::StrCat(std::string(status.message()), "; trying again"));
      }
    }
    return absl::OkStatus();
  }

 private:
  // Uses that may still be shown.
  uint64_t Left() const {
    return options_.filters.limit == 0 ? kAll : options_.filters.limit - shown_;
  }

  // Shows what was committed since the last look.
  absl::Status Look() {
    found_ = 0;
    absl::StatusOr<std::vector<Json>> uses = feed_.Look(Left());
    if (!uses.ok()) return uses.status();
    found_ = uses->size();
    if (feed_.Dropped() > 0) TellGap();
    return Show(*std::move(uses));
  }

  // What retention dropped while nobody read.
  void TellGap() {
    if (options_.output.form == "ocsf") {
      text_ << DumpJson(OcsfOfGap(feed_.Dropped(), feed_.Hole(), absl::ToUnixMicros(absl::Now())),
                        true)
            << "\n";
    }
    if (tail_.notice) {
      tail_.notice(absl::StrCat("gap: the collector dropped ", feed_.Dropped(),
                                " uses before they were read here; read more often, or let it keep "
                                "uses for longer (retention-days)"));
    }
  }

  // What `--since` asks for and is there already, oldest first.
  absl::Status ShowPast() {
    if (options_.filters.since.empty() || resumes_ || ended_) return absl::OkStatus();
    absl::StatusOr<std::vector<Json>> uses = feed_.Past(options_.filters.since, kAll);
    if (!uses.ok()) return uses.status();
    return Show(*std::move(uses));
  }

  absl::Status Show(std::vector<Json> uses) {
    const bool is_cut = uses.size() > Left();
    if (is_cut) uses.resize(Left());
    shown_ += uses.size();
    if (Left() == 0) ended_ = true;
    if (options_.output.form == "ocsf") {
      for (const Json& use : uses) {
        const absl::StatusOr<std::string> line = OcsfLine(use);
        if (!line.ok()) return line.status();
        text_ << *line << "\n";
      }
    } else {
      printer_.Print(uses);
    }
    const std::string text = std::move(text_).str();
    text_.str("");
    if (!WriteWholeLines(text, out_)) {
      ended_ = true;
      return absl::OkStatus();  // main says why
    }
    // Behind what was written: a crash in between shows it again, and loses none.
    if (tail_.cursor_file.empty() || is_cut || feed_.Place() == saved_) return absl::OkStatus();
    // What `--since` asks for has not been shown yet.
    if (!options_.filters.since.empty() && !resumes_ && !std::exchange(has_past_, true)) {
      return absl::OkStatus();
    }
    saved_ = feed_.Place();
    return WriteCursor(tail_.cursor_file, saved_);
  }

  const CliOptions& options_;
  const TailOptions& tail_;
  const bool resumes_;
  std::ostream* const out_;
  UseFeed feed_;
  std::ostringstream text_;  // to be written
  Printer printer_;
  std::string saved_;
  bool has_past_ = false;
  uint64_t shown_ = 0;
  size_t found_ = 0;  // by the last look
  bool ended_ = false;
};

}  // namespace

absl::Status TailUses(const CliOptions& options, const TailOptions& tail, std::ostream* out) {
  std::string place;
  if (!tail.cursor_file.empty()) {
    absl::StatusOr<std::string> read = ReadCursor(tail.cursor_file);
    if (!read.ok()) return read.status();
    place = *std::move(read);
    if (!place.empty() && !options.filters.since.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--since: '", tail.cursor_file,
                       "' says already where to go on; leave --since out, or remove the file"));
    }
  }
  return Tail(options, tail, std::move(place), out).Run();
}

}  // namespace tokenwatch
