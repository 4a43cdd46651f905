#include "tests/bench/store/questions.h"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "collector/api/queries.h"
#include "collector/json/json.h"
#include "collector/policy/policy.h"

namespace tokenwatch {
namespace {

constexpr double kAimMilliseconds = 100;  // at the median

constexpr char kPolicy[] = R"(
owners:
  - owner: web
    match: {workload: '/srv/app-1*'}
  - owner: data
    match: {host: 'api-1*.example.com', method: POST}
)";

using Ask = std::function<absl::Status()>;

struct Question {
  const char* name;
  Ask ask;
};

// Questions are answered on the thread that asks.
double ThreadCpuMilliseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

void Check(const char* name, const absl::Status& status) {
  if (status.ok()) return;
  absl::FPrintF(stderr, "store_bench: %s: %s\n", name, std::string(status.message()));
  exit(1);
}

template <typename Answer>
absl::Status Send(const absl::StatusOr<Answer>& answer) {
  if (!answer.ok()) return answer.status();
  return DumpJson(ToJson(*answer)).empty() ? absl::InternalError("no JSON") : absl::OkStatus();
}

v1::ListRequest Request(const std::function<void(v1::ListRequest&)>& set) {
  v1::ListRequest request;
  set(request);
  return request;
}

// The ids of the tokens used most, least and in between.
std::vector<std::string> Tokens(const Queries& queries) {
  const auto answer = queries.ListTokens(Request([](auto& made) { made.set_limit(1000); }));
  Check("tokens", answer.status());
  std::vector<std::pair<uint64_t, std::string>> rows;
  for (const v1::Token& token : answer->tokens()) rows.emplace_back(token.uses(), token.token_id());
  std::sort(rows.rbegin(), rows.rend());
  if (rows.empty()) Check("tokens", absl::NotFoundError("there are none"));
  for (const auto& row : {rows.front(), rows[rows.size() / 2], rows.back()}) {
    absl::PrintF("  token %s has %d uses\n", row.second, row.first);
  }
  return {rows.front().second, rows[rows.size() / 2].second, rows.back().second};
}

}  // namespace

void AskQuestions(Store* store, int runs, const std::string& only) {
  std::vector<std::string> problems;
  const std::shared_ptr<const Policy> policy = Policy::Parse(kPolicy, "policy", &problems);
  if (policy == nullptr) Check("policy", absl::InternalError(problems.front()));
  store->SetPolicy(policy);
  const Queries queries(store, [](const std::string& /*agent*/) { return true; });
  const std::vector<std::string> ids = Tokens(queries);
  const auto first_page = queries.ListTokens({});
  Check("tokens", first_page.status());

  const auto uses = [&queries](const v1::ListRequest& asked) {
    return [&queries, asked] { return Send(queries.ListUses(asked)); };
  };
  const auto tokens = [&queries](const v1::ListRequest& asked) {
    return [&queries, asked] { return Send(queries.ListTokens(asked)); };
  };
  const auto stats = [&queries](const v1::ListRequest& asked) {
    return [&queries, asked] { return Send(queries.GetStats(asked)); };
  };
  const auto since = [](const char* time) {
    return Request([&](auto& made) { made.set_since(time); });
  };
  const auto of_token = [&ids](size_t i) {
    return Request([&](auto& made) { made.set_token(ids[i]); });
  };
  const auto one_token = [&queries, &ids](size_t i) {
    return [&queries, &ids, i] { return Send(queries.GetToken(ids[i])); };
  };
  const Question questions[] = {
      {"token list", tokens({})},
      {"token list, second page",
       tokens(Request([&](auto& made) { made.set_page_token(first_page->next_page_token()); }))},
      {"token list, last 24 hours", tokens(since("24h"))},
      {"token list, last 370 minutes", tokens(since("370m"))},
      {"token list, last 30 days", tokens(since("30d"))},
      {"token list of a machine", tokens(Request([](auto& made) { made.set_host("web-3"); }))},
      {"token list, dormant", tokens(Request([](auto& made) { made.set_state("dormant"); }))},
      {"token list, unmapped", tokens(Request([](auto& made) { made.set_state("unmapped"); }))},
      {"token list of an owner", tokens(Request([](auto& made) { made.set_owner("data"); }))},
      {"timeline of the token used most", one_token(0)},
      {"timeline of a token in the middle", one_token(1)},
      {"timeline of a token used least", one_token(2)},
      {"stats", stats({})},
      {"stats, last 24 hours", stats(since("24h"))},
      {"stats, last 370 minutes", stats(since("370m"))},
      {"stats, last 30 days", stats(since("30d"))},
      {"stats of the token used most", stats(of_token(0))},
      {"stats of a machine", stats(Request([](auto& made) { made.set_host("web-3"); }))},
      {"owners", [&queries] { return Send(queries.ListOwners({})); }},
      {"owners, last 24 hours", [&] { return Send(queries.ListOwners(since("24h"))); }},
      {"newest uses", uses({})},
      {"uses of the token used most", uses(of_token(0))},
      {"uses of a token in the middle", uses(of_token(1))},
      {"uses of a token used least", uses(of_token(2))},
      {"uses denied at an endpoint", uses(Request([](auto& made) {
         made.set_status("denied");
         made.set_endpoint("POST api-5.example.com/*");
       }))},
      {"uses of nobody", uses(Request([](auto& made) { made.set_workload("nobody"); }))},
      {"uses of an owner", uses(Request([](auto& made) { made.set_owner("data"); }))},
  };
  for (const auto& [name, ask] : questions) {
    if (!absl::StrContains(name, only)) continue;
    std::vector<double> times;
    const double cpu_start = ThreadCpuMilliseconds();
    for (int i = 0; i < runs; ++i) {
      const absl::Time start = absl::Now();
      Check(name, ask());
      times.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    }
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2];
    absl::PrintF("  %-34s %9.2f ms, worst %9.2f, CPU %9.2f (aim %.0f: %s)\n", name, median,
                 times.back(), (ThreadCpuMilliseconds() - cpu_start) / runs, kAimMilliseconds,
                 median <= kAimMilliseconds ? "met" : "not met");
    fflush(stdout);
  }
  store->SetPolicy(std::make_shared<const Policy>());
}

}  // namespace tokenwatch
