#include "collector/api/routes.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "collector/json/json.h"
#include "collector/notify/ocsf.h"

namespace tokenwatch {
namespace {

constexpr char kId[] = "{id}";

template <typename Answer>
absl::StatusOr<Json> AsJson(absl::StatusOr<Answer> answer) {
  if (!answer.ok()) return answer.status();
  return ToJson(*answer);
}

// A list or total: what a method of Queries answers.
template <typename Answer>
Route ListRoute(std::string path, std::string operation, std::string summary,
                std::vector<Parameter> parameters,
                absl::StatusOr<Answer> (Queries::*method)(const v1::ListRequest&) const) {
  return {std::move(path),
          std::move(operation),
          std::move(summary),
          std::move(parameters),
          Answer::descriptor(),
          [method](const Queries& queries, const v1::ListRequest& request, const std::string&) {
            return AsJson((queries.*method)(request));
          }};
}

Route WithOcsf(Route route, decltype(Route::ocsf) ocsf) {
  route.ocsf = std::move(ocsf);
  return route;
}

// Uses since pageToken for SIEMs, and before them a line for those that are gone. The key of that
// is the same however often the page is asked for.
absl::StatusOr<HttpResponse> TailOcsf(const Queries& queries, const v1::ListRequest& request) {
  const absl::StatusOr<v1::TailUsesResponse> answer = queries.TailUses(request);
  if (!answer.ok()) return answer.status();
  HttpResponse response{.content_type = "application/x-ndjson"};
  if (answer->dropped() > 0) {
    const std::string key =
        absl::StrCat("gap/", request.page_token(), "/", answer->next_page_token());
    response.body = absl::StrCat(
        DumpJson(OcsfOfGap(answer->dropped(), key, absl::ToUnixMicros(absl::Now())), true), "\n");
  }
  for (const v1::Use& use : answer->uses()) {
    absl::StrAppend(&response.body, DumpJson(OcsfOfUse(use), true), "\n");
  }
  response.fields.emplace_back("X-Tokenwatch-Next-Page-Token", answer->next_page_token());
  return response;
}

std::vector<Route> MakeRoutes() {
  const std::vector<Parameter> of_tokens =
      ParametersOf({"since", "until", "token", "host", "provider", "workload", "endpoint", "status",
                    "limit", "page_token", "direction", "trait", "owner", "state"});
  const std::vector<Parameter> of_findings =
      ParametersOf({"since", "until", "token", "host", "provider", "workload", "limit",
                    "page_token", "owner", "rule", "severity", "state"});
  const std::vector<Parameter> of_uses =
      ParametersOf({"since", "until", "token", "host", "provider", "workload", "endpoint", "status",
                    "limit", "page_token", "direction", "trait", "user", "owner"});
  const std::vector<Parameter> filters =
      ParametersOf({"since", "until", "token", "host", "provider", "workload", "endpoint", "status",
                    "direction", "trait", "owner"});
  return {
      ListRoute("/v1/tokens", "ListTokens",
                "Tokens with their totals, last used first; those of a credential as one.",
                of_tokens, &Queries::ListTokens),
      {"/v1/tokens/{id}",
       "GetToken",
       "One token, or a credential over all of its tokens: facts, and who uses it for what.",
       {},
       v1::TokenDetail::descriptor(),
       [](const Queries& queries, const v1::ListRequest&, const std::string& id) {
         return AsJson(queries.GetToken(id));
       },
       "A token id, or a credential id."},
      ListRoute("/v1/uses", "ListUses", "Uses, newest first.", of_uses, &Queries::ListUses),
      WithOcsf(ListRoute("/v1/uses/tail", "TailUses",
                         "Uses committed since the answer whose nextPageToken is given, oldest "
                         "first; without one, none and the token that means now.",
                         of_uses, &Queries::TailUses),
               TailOcsf),
      ListRoute("/v1/stats", "GetStats", "Totals over the uses that the filters leave.", filters,
                &Queries::GetStats),
      ListRoute("/v1/agents", "ListAgents", "Agents with their counters, gaps and TLS coverage.",
                ParametersOf({"since", "until", "host", "limit", "page_token", "coverage"}),
                &Queries::ListAgents),
      ListRoute("/v1/findings", "ListFindings",
                "What detection found, the newest evidence first; times are of that.", of_findings,
                &Queries::ListFindings),
      {"/v1/findings/{id}",
       "GetFinding",
       "One finding with its evidence.",
       {},
       v1::Finding::descriptor(),
       [](const Queries& queries, const v1::ListRequest&, const std::string& id) {
         return AsJson(queries.GetFinding(id));
       },
       "A finding's id."},
      ListRoute(
          "/v1/owners", "ListOwners",
          "Who owns what under the policy in force, with tokens used in these times; \"none\", "
          "what nobody owns, is last.",
          ParametersOf(
              {"since", "until", "host", "provider", "workload", "limit", "page_token", "owner"}),
          &Queries::ListOwners),
      {"/v1/policy",
       "GetPolicy",
       "The policy in force, problems of its file as it is now, detection and delivery.",
       {},
       v1::PolicyStatus::descriptor(),
       [](const Queries& queries, const v1::ListRequest&, const std::string&) {
         return AsJson(queries.GetPolicy());
       }},
  };
}

}  // namespace

absl::Span<const Route> Routes() {
  static const std::vector<Route>* const routes = new std::vector<Route>(MakeRoutes());
  return *routes;
}

const Route* FindRoute(const std::string& path, std::string* id) {
  for (const Route& route : Routes()) {
    const size_t part = route.path.find(kId);
    if (part == std::string::npos) {
      if (path == route.path) return &route;
      continue;
    }
    const std::string before = route.path.substr(0, part);
    if (path.size() <= before.size() || !path.starts_with(before) ||
        path.find('/', before.size()) != std::string::npos) {
      continue;
    }
    *id = path.substr(before.size());
    return &route;
  }
  return nullptr;
}

}  // namespace tokenwatch
