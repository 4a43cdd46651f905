#include "collector/cli/use_feed.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/cli/list.h"
#include "collector/cli/rows.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kBatch = 1000;

auto IdentityOf(const Json& use) {
  return std::make_tuple(Cell(use, "agent"), Cell(use, "stream"), Cell(use, "sequence"),
                         Cell(use, "tokenId"));
}

Parameters WithoutTimes(Filters filters) {
  filters.since.clear();
  filters.until.clear();
  return FilterParameters(filters);
}

}  // namespace

UseFeed::UseFeed(const Server& server, const Filters& filters, std::string place)
    : client_(server), filters_(WithoutTimes(filters)), place_(std::move(place)) {}

absl::StatusOr<std::vector<Json>> UseFeed::Look(uint64_t most) {
  Parameters parameters = filters_;
  parameters.emplace_back("limit", absl::StrCat(std::min(kBatch, most)));
  parameters.emplace_back("pageToken", place_);
  const absl::StatusOr<Json> answer = client_.Get("/v1/uses/tail", parameters);
  if (!answer.ok()) return answer.status();
  std::string place = Cell(*answer, "nextPageToken");
  if (place.empty()) return absl::UnavailableError("the server does not say where to go on");
  dropped_ = Count(*answer, "dropped");
  hole_ = absl::StrCat("gap/", place_, "/", place);
  place_ = std::move(place);
  std::vector<Json> uses = ObjectsOf(*answer, "uses");
  std::erase_if(uses, [this](const Json& use) { return past_.erase(IdentityOf(use)) != 0; });
  return uses;
}

absl::StatusOr<std::vector<Json>> UseFeed::Past(const std::string& since, uint64_t most) {
  std::vector<Json> uses;
  std::string page_token;
  do {
    Parameters parameters = filters_;
    parameters.emplace_back("limit", absl::StrCat(std::min(kBatch, most - uses.size())));
    parameters.emplace_back("since", since);
    parameters.emplace_back("pageToken", page_token);
    const absl::StatusOr<Json> answer = client_.Get("/v1/uses", parameters);
    if (!answer.ok()) return answer.status();
    for (Json& use : ObjectsOf(*answer, "uses")) uses.push_back(std::move(use));
    page_token = Cell(*answer, "nextPageToken");
  } while (!page_token.empty() && uses.size() < most);
  for (const Json& use : uses) past_.insert(IdentityOf(use));
  std::reverse(uses.begin(), uses.end());
  return uses;
}

}  // namespace tokenwatch
