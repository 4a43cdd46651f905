#include "collector/store/filter.h"

#include <gtest/gtest.h>

#include "collector/store/page_token.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

absl::StatusOr<Filter> Parse(const std::string& name, const std::string& value) {
  return ParseFilter(Filtered(name, value), absl::FromUnixMicros(kNow));
}

TEST(Filter, ReadsTimes) {
  const std::pair<const char*, int64_t> cases[] = {
      {"90s", kNow - 90 * kSecond},
      {"15m", kNow - 15 * kMinute},
      {"24h", kNow - kDay},
      {"7d", kNow - 7 * kDay},
      {"0s", kNow},
      {"36500d", kNow - 36500 * kDay},
      {"2026-11-22T10:30:00Z", kNow},
      {"2026-11-22T11:30:00+01:00", kNow},
      {"2026-11-22T10:30:00.000001Z", kNow + 1},
      {"1970-01-01T00:00:00Z", 0},
  };
  for (const auto& [text, micros] : cases) {
    EXPECT_EQ(Parse("since", text).value().since_us, micros) << text;
    EXPECT_EQ(Parse("until", text).value().until_us, micros) << text;
  }
  const Filter none = ParseFilter({}, absl::FromUnixMicros(kNow)).value();
  EXPECT_FALSE(none.HasTime());
  EXPECT_FALSE(none.HasStatus());
  EXPECT_FALSE(none.HasPlace());
  EXPECT_EQ(none.limit, 100);
}

TEST(Filter, NamesWhatItCannotRead) {
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"since",
       {"yesterday", "24", "h", "-1h", "1.5h", "24 h", "36501d", "99999999999999999999d", "24H",
        "2026-11-22", "2026-11-22T10:30:00", "2026-11-22 10:30:00", "2026-11-22  10:30:00Z",
        "2026-13-22T10:30:00Z", "infinite-past", "\n"}},
      {"until", {"now", "infinite-future", "1w"}},
      {"token", {"x", "tok_", "tok_8zzzzzzzzzzzzzzzzzzzzzzzzz", "ghp_abc", "tok_35602yf42tr1"}},
      {"status", {"4x", "4xxx", "0xx", "40", "4030", "abc", "-1", "OKAY", "0", "4x3", " 403"}},
      {"endpoint", {"GET ", " /x", "GET a b", "GET api.example.com/a b", "https://"}},
      {"token", {"cred_", "cred_35602yf42tr1", "crd_35602yf42tr1pnyk1wrynxw9gd"}},
      {"direction", {"in", "both", "Inbound"}},
      {"trait", {"foreign", "ForeignHost", "1", "foreignHost,inQuery"}},
      {"host", {std::string(5000, 'a')}},
      {"page_token", {}},
  };
  for (const auto& [name, values] : cases) {
    for (const std::string& value : values) {
      const absl::Status status = Parse(name, value).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name << " " << value;
      EXPECT_TRUE(status.message().find(std::string(name) + ":") == 0) << status;
      // An example, and nothing that could garble a terminal.
      if (value.size() < 100) {
        EXPECT_NE(status.message().find("for example"), absl::string_view::npos) << status;
      }
      EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
    }
  }
  v1::ListRequest backwards = Filtered("since", "1h");
  backwards.set_until("2h");
  EXPECT_EQ(ParseFilter(backwards, absl::FromUnixMicros(kNow)).status().code(),
            absl::StatusCode::kInvalidArgument);
  v1::ListRequest greedy;
  greedy.set_limit(10000);
  EXPECT_EQ(ParseFilter(greedy, absl::FromUnixMicros(kNow)).value().limit, 10000);
  greedy.set_limit(10001);
  EXPECT_EQ(ParseFilter(greedy, absl::FromUnixMicros(kNow)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Filter, NamesEveryTrait) {
  const absl::Status status = Parse("trait", "odd").status();
  for (const char* word : {"foreignHost", "inQuery", "cleartext", "expired", "algNone",
                           "redirected", "badChecksum", "byContext"}) {
    EXPECT_NE(status.message().find(word), absl::string_view::npos) << status;
    const Filter filter = Parse("trait", word).value();
    EXPECT_TRUE(filter.HasPlace());
    EXPECT_TRUE(MatchesTrait(filter, filter.trait | 1024));
    EXPECT_FALSE(MatchesTrait(filter, ~filter.trait));
  }
  EXPECT_TRUE(MatchesTrait(Filter(), 0));
}

TEST(Filter, TellsTokensFromCredentials) {
  const Filter token = Parse("token", "tok_35602yf42tr1pnyk1wrynxw9gd").value();
  const Filter credential = Parse("token", "cred_35602YF42TR1PNYK1WRYNXW9GD").value();
  EXPECT_FALSE(token.credential.has_value());
  EXPECT_FALSE(credential.token.has_value());
  EXPECT_EQ(token.token, credential.credential);
  EXPECT_NE(token.fingerprint, credential.fingerprint);
}

TEST(Filter, TakesTimesAsTablesShowThem) {
  const auto since = [](const char* text) { return Parse("since", text).value().since_us; };
  EXPECT_EQ(since("2026-11-22 23:30:41.272Z"), since("2026-11-22T23:30:41.272Z"));
}

TEST(Filter, ComparesStatus) {
  struct Case {
    const char* filter;
    std::vector<uint32_t> yes, no;
  };
  const Case cases[] = {
      {"403", {403}, {0, 402, 404}},
      {"4xx", {400, 401, 429, 499}, {0, 399, 500}},
      {"4XX", {404}, {200}},
      {"1xx", {100, 199}, {0, 200}},
      {"ok", {100, 200, 302}, {0, 401, 404}},
      {"denied", {401, 403, 407}, {0, 200, 400, 429}},
      {"throttled", {429}, {403, 503}},
      {"failed", {400, 404, 500}, {401, 429, 0}},
      {"unanswered", {0}, {200}},
  };
  for (const Case& test : cases) {
    const Filter filter = Parse("status", test.filter).value();
    EXPECT_TRUE(filter.HasStatus());
    for (const uint32_t status : test.yes) EXPECT_TRUE(MatchesStatus(filter, status)) << status;
    for (const uint32_t status : test.no) EXPECT_FALSE(MatchesStatus(filter, status)) << status;
  }
}

TEST(Filter, ComparesEndpoints) {
  struct Case {
    const char* filter;
    const char* method;
    const char* host;
    const char* path;
    bool matches;
  };
  const Case cases[] = {
      {"GET api.example.com/v1/items", "GET", "api.example.com", "/v1/items", true},
      {"get api.example.com/v1/items", "GET", "api.example.com", "/v1/items", true},
      {"GET api.example.com/v1/items", "POST", "api.example.com", "/v1/items", false},
      {"GET https://api.example.com:8443/v1", "GET", "api.example.com:8443", "/v1", true},
      {"http://api.example.com", "GET", "api.example.com", "/v1", true},
      {"https://api.example.com/v1", "GET", "api.example.com", "/v2", false},
      {"GET api.example.com/v1/items", "GET", "api.example.com", "/v1/items/{id}", false},
      {"api.example.com/v1/items", "POST", "api.example.com", "/v1/items", true},
      {"api.example.com/v1/*", "GET", "api.example.com", "/v1/items", true},
      {"api.example.com/v1/*", "GET", "api.example.com", "/v1", false},
      {"api.exam*", "GET", "api.example.com", "/v1", true},
      {"*/items", "GET", "api.example.com", "/v1/items", true},
      {"a*/v1/*s", "GET", "api.example.com", "/v1/items", true},
      {"a*/v2/*s", "GET", "api.example.com", "/v1/items", false},
      {"*", "GET", "api.example.com", "/", true},
      {"DELETE *", "GET", "api.example.com", "/", false},
      {"api.example.com", "GET", "api.example.com", "/any/thing", true},
      {"api.example.com", "GET", "api.example.com.evil.example", "/", false},
      {"**a**b**", "GET", "xxaxx", "/b", true},
  };
  for (const Case& test : cases) {
    const Filter filter = Parse("endpoint", test.filter).value();
    EXPECT_EQ(MatchesEndpoint(filter, test.method, test.host, test.path), test.matches)
        << test.filter << " on " << test.method << " " << test.host << test.path;
  }
}

TEST(Filter, ComparesHosts) {
  struct Case {
    const char* filter;
    const char* requested;
    const char* machine;
    bool matches;
  };
  const Case cases[] = {
      {"api.example.com", "api.example.com", "web-1", true},
      {"API.example.com", "api.example.com", "web-1", true},
      {"web-1", "api.example.com", "web-1", true},
      {"web", "api.example.com", "web-1", false},
      {"localhost", "localhost:8443", "web-1", true},
      {"localhost:8443", "localhost:8443", "web-1", true},
      {"localhost:84", "localhost:8443", "web-1", false},
      {"localhost:8443", "localhost", "web-1", false},
      {"example.com", "api.example.com", "web-1", false},
      {"[2001", "[2001:db8::1]", "web-1", false},
      {"[2001:db8::1]", "[2001:db8::1]:8443", "web-1", true},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(MatchesHost(Parse("host", test.filter).value(), test.requested, test.machine),
              test.matches)
        << test.filter << " on " << test.requested << ", " << test.machine;
  }
}

TEST(Filter, ComparesWorkloads) {
  const WorkloadNames names = {.comm = "gunicorn",
                               .exe = "/usr/bin/python3.11",
                               .script = "/srv/app/sync.py",
                               .unit = "sync.service",
                               .container_id = "0123456789abcdef0123",
                               .user = "app",
                               .container_name = "worker",
                               .image = "registry.example/team/sync:1.2",
                               .pod = "sync-7d9f",
                               .name_space = "shop",
                               .service_account = "cart"};
  for (const char* yes :
       {"gunicorn", "/usr/bin/python3.11", "python3.11", "sync.py", "/srv/app/sync.py",
        "sync.service", "0123456789abcdef0123", "0123456789ab", "sync-7d9f", "app", "worker",
        "registry.example/team/sync:1.2", "sync:1.2", "shop", "shop/sync-7d9f", "cart"}) {
    EXPECT_TRUE(MatchesWorkload(Parse("workload", yes).value(), names)) << yes;
  }
  for (const char* no : {"python3", "bin", "sync", "0123456789a", "0123456789ac", "Gunicorn", "/",
                         "shop/", "/sync-7d9f", "team/sync:1.2"}) {
    EXPECT_FALSE(MatchesWorkload(Parse("workload", no).value(), names)) << no;
  }
}

TEST(PageToken, BelongsToItsListAndFilters) {
  const PagePosition position = {1, 2, 3, 4, 5};
  const std::string text = WritePageToken(ListKind::kUses, 77, position);
  const PagePosition read = ReadPageToken(ListKind::kUses, 77, text).value();
  EXPECT_EQ(read.since_us, 1);
  EXPECT_EQ(read.until_us, 2);
  EXPECT_EQ(read.time_us, 3);
  EXPECT_EQ(read.row, 4);
  EXPECT_EQ(read.snapshot, 5);
  EXPECT_FALSE(ReadPageToken(ListKind::kTokens, 77, text).ok());
  EXPECT_FALSE(ReadPageToken(ListKind::kUses, 78, text).ok());
  for (const std::string& bad : {std::string("x"), text.substr(1), text + "AAAA", std::string("{}"),
                                 std::string(1000, 'A')}) {
    const absl::Status status = ReadPageToken(ListKind::kUses, 77, bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_TRUE(status.message().find("page_token:") == 0) << status;
  }
  // The fingerprint tells every filter apart, and not the page.
  std::set<uint64_t> seen;
  for (const char* name : {"since", "until", "host", "provider", "workload", "endpoint"}) {
    EXPECT_TRUE(seen.insert(Parse(name, "1h").value().fingerprint).second) << name;
  }
  v1::ListRequest second = Filtered("since", "1h");
  second.set_limit(7);
  second.set_page_token(text);
  EXPECT_TRUE(seen.contains(ParseFilter(second, absl::FromUnixMicros(kNow)).value().fingerprint));
}

}  // namespace
}  // namespace tokenwatch::testing
