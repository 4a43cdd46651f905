#include <algorithm>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "collector/cli/commands.h"
#include "collector/cli/rows.h"

namespace tokenwatch {
namespace {

constexpr char kBatch[] = "1000";

// What makes a use one: while keys rotate, an agent's record holds the token under each of them.
using Identity = std::tuple<std::string, std::string, std::string, std::string>;

Identity IdentityOf(const Json& use) {
  return {Cell(use, "agent"), Cell(use, "stream"), Cell(use, "sequence"), Cell(use, "tokenId")};
}

class Tail {
 public:
  Tail(const CliOptions& options, const TailOptions& tail, std::ostream* out)
      : options_(options),
        tail_(tail),
        client_(options.server),
        printer_(options.output, options.output.form == "csv" ? UseDetailRows() : UseRows(), out) {}

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
  Parameters Filtered() const {
    const Filters& filters = options_.filters;
    return {{"token", filters.token},         {"host", filters.host},
            {"provider", filters.provider},   {"workload", filters.workload},
            {"endpoint", filters.endpoint},   {"status", filters.status},
            {"direction", filters.direction}, {"trait", filters.trait},
            {"user", filters.user},           {"limit", kBatch}};
  }

  // Asks for what was committed since the last look.
  absl::Status Look() {
    found_ = 0;
    Parameters parameters = Filtered();
    parameters.emplace_back("pageToken", place_);
    const absl::StatusOr<Json> answer = client_.Get("/v1/uses/tail", parameters);
    if (!answer.ok()) return answer.status();
    place_ = Cell(*answer, "nextPageToken");
    if (place_.empty()) return absl::UnavailableError("the server does not say where to go on");
    std::vector<Json> uses = ObjectsOf(*answer, "uses");
    found_ = uses.size();
    std::erase_if(uses, [this](const Json& use) { return past_.erase(IdentityOf(use)) != 0; });
    Show(std::move(uses));
    return absl::OkStatus();
  }

  // What `--since` asks for and is there already, oldest first.
  absl::Status ShowPast() {
    if (options_.filters.since.empty()) return absl::OkStatus();
    std::vector<Json> uses;
    std::string page_token;
    do {
      Parameters parameters = Filtered();
      parameters.emplace_back("since", options_.filters.since);
      parameters.emplace_back("pageToken", page_token);
      const absl::StatusOr<Json> answer = client_.Get("/v1/uses", parameters);
      if (!answer.ok()) return answer.status();
      for (Json& use : ObjectsOf(*answer, "uses")) uses.push_back(std::move(use));
      page_token = Cell(*answer, "nextPageToken");
    } while (!page_token.empty());
    for (const Json& use : uses) past_.insert(IdentityOf(use));
    std::reverse(uses.begin(), uses.end());
    Show(std::move(uses));
    return absl::OkStatus();
  }

  void Show(std::vector<Json> uses) {
    const uint64_t limit = options_.filters.limit;
    if (limit != 0 && shown_ + uses.size() >= limit) {
      uses.resize(limit - shown_);
      ended_ = true;
    }
    shown_ += uses.size();
    if (!printer_.Print(uses)) ended_ = true;
  }

  const CliOptions& options_;
  const TailOptions& tail_;
  const Client client_;
  Printer printer_;
  std::string place_;
  std::set<Identity> past_;  // shown, and perhaps committed after the place was taken
  uint64_t shown_ = 0;
  size_t found_ = 0;  // by the last look
  bool ended_ = false;
};

}  // namespace

absl::Status TailUses(const CliOptions& options, const TailOptions& tail, std::ostream* out) {
  return Tail(options, tail, out).Run();
}

}  // namespace tokenwatch
