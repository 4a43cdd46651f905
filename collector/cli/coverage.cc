// `tokenwatch agents --coverage`: how much of the fleet's TLS was seen as plaintext.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "collector/cli/commands.h"
#include "collector/cli/rows.h"

namespace tokenwatch {
namespace {

// A page may hold some hundred programs of each of its agents.
constexpr char kAgentsPage[] = "50";

// Counters of an agent: connections without a verdict.
constexpr const char* kUndecided[] = {"tls_connections_untold_lost",
                                      "tls_connections_not_followed_unseen",
                                      "tls_beginnings_unread_unseen"};

struct Fleet {
  uint64_t agents = 0;
  uint64_t telling = 0;  // agents that saw a connection
  uint64_t connections = 0;
  uint64_t seen = 0;
  uint64_t dark = 0;
  uint64_t undecided = 0;
  std::vector<Json> programs;  // the most dark first
};

absl::StatusOr<Fleet> Ask(const CliOptions& options) {
  Fleet fleet;
  const Client client(options.server);
  std::string page_token;
  do {
    const absl::StatusOr<Json> answer = client.Get("/v1/agents", {{"since", options.filters.since},
                                                                  {"until", options.filters.until},
                                                                  {"host", options.filters.host},
                                                                  {"coverage", "true"},
                                                                  {"limit", kAgentsPage},
                                                                  {"pageToken", page_token}});
    if (!answer.ok()) return answer.status();
    for (const Json& agent : ObjectsOf(*answer, "agents")) {
      ++fleet.agents;
      const auto coverage = agent.find("coverage");
      if (coverage == agent.end() || !coverage->is_object()) continue;
      const uint64_t connections = Count(*coverage, "tlsConnections");
      if (connections != 0) ++fleet.telling;
      fleet.connections += connections;
      fleet.seen += Count(*coverage, "plaintextSeen");
      fleet.dark += Count(*coverage, "dark");
      if (const auto counters = agent.find("counters"); counters != agent.end()) {
        for (const char* name : kUndecided) fleet.undecided += Count(*counters, name);
      }
    }
    for (Json& program : ObjectsOf(*answer, "coverage")) {
      fleet.programs.push_back(std::move(program));
    }
    page_token = Cell(*answer, "nextPageToken");
  } while (!page_token.empty());
  std::stable_sort(fleet.programs.begin(), fleet.programs.end(), [](const Json& a, const Json& b) {
    return Count(a, "dark") > Count(b, "dark");
  });
  return fleet;
}

std::string Plural(uint64_t count, const char* one, const char* many) {
  return absl::StrCat(count, " ", count == 1 ? one : many);
}

// Rounded down: what is not all is not 100 %.
std::string Share(const Fleet& fleet) {
  const double share = static_cast<double>(fleet.seen) /
                       static_cast<double>(std::max<uint64_t>(fleet.connections, 1));
  return absl::StrFormat("%.1f %%", std::floor(std::min(share, 1.0) * 1000) / 10);
}

// Coverage is kept by the hour.
std::string Sentence(const Fleet& fleet, bool is_of_hours) {
  return absl::StrCat(is_of_hours ? "In the whole hours that the times touch, of " : "Of ",
                      Plural(fleet.connections, "TLS connection", "TLS connections"), " that ",
                      fleet.telling, " of ", Plural(fleet.agents, "agent", "agents"),
                      " saw begin, the plaintext of ", fleet.seen, " (", Share(fleet),
                      ") was seen and ", fleet.dark, fleet.dark == 1 ? " was" : " were", " dark.",
                      fleet.undecided == 0
                          ? ""
                          : absl::StrCat(" Of ", fleet.undecided,
                                         " more since the agents' starts it is not known."));
}

}  // namespace

absl::Status ListCoverage(const CliOptions& options, std::ostream* out) {
  absl::StatusOr<Fleet> fleet = Ask(options);
  if (!fleet.ok()) return fleet.status();
  const bool is_table = options.output.form == "table";
  const size_t programs = fleet->programs.size();
  const uint64_t limit =
      options.filters.limit == 0 ? std::numeric_limits<uint64_t>::max() : options.filters.limit;
  if (programs > limit) fleet->programs.resize(limit);
  Printer printer(options.output, is_table ? CoverageRows() : CoverageDetailRows(), out);
  printer.Print(fleet->programs);
  printer.Finish();
  if (fleet->agents == 0) return absl::NotFoundError("no agent was found");
  if (fleet->connections == 0 && programs == 0) {
    return absl::NotFoundError("no agent has seen a TLS connection begin");
  }
  if (is_table) {
    *out << "\n";
    if (programs > limit) {
      *out << "Shown are " << limit << " of " << programs
           << " kinds of programs; --limit 0 shows all.\n";
    }
    *out << Sentence(*fleet, !options.filters.since.empty() || !options.filters.until.empty())
         << "\n";
  }
  return absl::OkStatus();
}

}  // namespace tokenwatch
