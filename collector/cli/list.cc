#include "collector/cli/list.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kPage = 1000;

struct Page {
  std::vector<Json> objects;
  std::string next;
};

absl::StatusOr<Page> GetPage(const CliOptions& options, const std::string& path, const char* member,
                             uint64_t limit, const std::string& page_token) {
  Parameters parameters = FilterParameters(options.filters);
  parameters.emplace_back("limit", absl::StrCat(std::min(kPage, limit)));
  parameters.emplace_back("pageToken", page_token);
  const absl::StatusOr<Json> answer = Client(options.server).Get(path, parameters);
  if (!answer.ok()) return answer.status();
  return Page{ObjectsOf(*answer, member), Cell(*answer, "nextPageToken")};
}

}  // namespace

Parameters FilterParameters(const Filters& filters) {
  return {{"since", filters.since},         {"until", filters.until},
          {"token", filters.token},         {"host", filters.host},
          {"provider", filters.provider},   {"workload", filters.workload},
          {"endpoint", filters.endpoint},   {"status", filters.status},
          {"direction", filters.direction}, {"trait", filters.trait},
          {"user", filters.user},           {"owner", filters.owner},
          {"rule", filters.rule},           {"severity", filters.severity},
          {"state", filters.state}};
}

absl::Status ListPages(const CliOptions& options, const std::string& path, const char* member,
                       const RowKind& kind, const char* nothing, std::ostream* out,
                       void (*below)(const CliOptions&, const std::vector<Json>&, std::ostream*)) {
  Printer printer(options.output, kind, out);
  std::vector<Json> kept;
  uint64_t left =
      options.filters.limit == 0 ? std::numeric_limits<uint64_t>::max() : options.filters.limit;
  bool found = false;
  std::string page_token;
  do {
    absl::StatusOr<Page> page = GetPage(options, path, member, left, page_token);
    if (!page.ok()) return page.status();
    if (page->objects.size() > left) page->objects.resize(left);
    left -= page->objects.size();
    found = found || !page->objects.empty();
    page_token = std::move(page->next);
    if (options.output.form == "table") {
      std::move(page->objects.begin(), page->objects.end(), std::back_inserter(kept));
    } else if (!printer.Print(page->objects)) {
      return absl::OkStatus();  // main says why
    }
  } while (!page_token.empty() && left > 0);
  printer.Print(kept);
  printer.Finish();
  if (below != nullptr) below(options, kept, out);
  return found ? absl::OkStatus() : absl::NotFoundError(nothing);
}

}  // namespace tokenwatch
