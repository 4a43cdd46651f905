// The HTTP interface over a real socket, each answer held against its own description.
#include "collector/api/http_api.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "absl/time/clock.h"
#include "agent/common/http_server.h"
#include "collector/api/openapi.h"
#include "collector/api/routes.h"
#include "collector/store/fake_store.h"
#include "tests/unit/collector/api/schema_check.h"
#include "tests/unit/raw_http.h"

namespace tokenwatch {
namespace {

constexpr char kTokenId[] = "tok_35602yf42tr1pnyk1wrynxw9gd";
constexpr char kFindingId[] = "fnd_35602yf42tr1pnyk1wrynxw9gd";

class HttpApiTest : public testing::Test {
 protected:
  HttpApiTest() {
    const absl::StatusOr<Address> any = ParseAddress("127.0.0.1:0");
    absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Create(
        *any, {}, [this](const HttpRequest& request) { return api_.Handle(request); });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  HttpReply Get(const std::string& target) { return Ask(server_->ListenAddress(), target); }
  Json GetJson(const std::string& target) {
    const HttpReply reply = Get(target);
    EXPECT_EQ(reply.status, 200) << target << "\n" << reply.all;
    EXPECT_NE(reply.fields.find("Content-Type: application/json"), std::string::npos);
    return Json::parse(reply.body, nullptr, false);
  }
  // Asks, and holds the answer against the description of `path`.
  Json GetDescribed(const std::string& target, const std::string& path) {
    const Json json = GetJson(target);
    const Json open_api = OpenApi();
    const Json& schema = open_api.at("paths")
                             .at(path)
                             .at("get")
                             .at("responses")
                             .at("200")
                             .at("content")["application/json"]["schema"];
    EXPECT_EQ(SchemaError(open_api, schema, json), "") << json.dump(1);
    return json;
  }
  void ExpectError(const HttpReply& reply, int status, const std::string& code,
                   const std::string& message) {
    EXPECT_EQ(reply.status, status) << reply.all;
    const Json json = Json::parse(reply.body, nullptr, false);
    const Json open_api = OpenApi();
    EXPECT_EQ(SchemaError(open_api, open_api["components"]["schemas"]["Error"], json), "")
        << reply.all;
    EXPECT_EQ(json.value("code", ""), code);
    EXPECT_EQ(json.value("message", ""), message);
  }
  void Fill() {
    v1::Use* use = store_.list_uses.add_uses();
    use->mutable_time()->set_seconds(1795372101);
    use->set_token_id(kTokenId);
    use->set_host("api\xff.example");
    use->mutable_workload()->set_pid(1);
    store_.list_uses.add_uses()->set_unresolved(true);
    store_.list_uses.set_next_page_token("more");
    v1::Token* token = store_.list_tokens.add_tokens();
    token->set_token_id(kTokenId);
    token->add_hosts("api.example");
    v1::TokenDetail detail;
    *detail.mutable_token() = *token;
    detail.add_usage()->set_comm("curl");
    v1::Fact* fact = detail.add_facts();
    fact->set_name("scope");
    fact->add_values("repo");
    detail.add_unneeded_scopes("gist");
    store_.token_detail = detail;
    store_.stats.set_uses(2);
    v1::Owner& nobody = store_.owners.emplace_back();
    nobody.set_owner("none");
    nobody.set_tokens(7);
    DetectionCommit commit;
    v1::Finding& finding = commit.findings.emplace_back().finding;
    finding.set_finding_id(kFindingId);
    finding.set_rule("new_host");
    finding.set_severity("high");
    finding.set_state("open");
    finding.set_title("met evil\xff.example");
    finding.set_token_id(kTokenId);
    finding.set_confidence(0.5);
    finding.mutable_last_seen()->set_seconds(absl::ToUnixSeconds(absl::Now()));
    *finding.add_evidence() = *use;
    ASSERT_TRUE(store_.detection()->CommitDetection(commit).ok());
    v1::Agent* agent = store_.list_agents.add_agents();
    agent->set_agent("agt_on");
    (*agent->mutable_counters())["ring_full_lost"] = 1;
    agent->add_gaps()->mutable_since()->set_seconds(1);
    agent->mutable_coverage()->set_tls_connections(5);
    agent->mutable_coverage()->set_plaintext_seen(3);
    agent->mutable_coverage()->set_dark(2);
    v1::ProgramCoverage* program = store_.list_agents.add_coverage();
    program->set_agent("agt_on");
    program->set_exe("/tmp/\xff");
    program->set_dark(2);
    program->mutable_first_seen()->set_seconds(1);
    v1::DarkReason* reason = program->add_reasons();
    reason->set_reason("go");
    reason->set_connections(2);
    store_.list_agents.add_agents()->set_agent("agt_off");
    store_.fleet = {.known = 2,
                    .agents = {{.agent = "agt_on", .host = "web\n\"1\""}, {.agent = "agt_off"}}};
    store_.space = {.bytes = 4096, .free_bytes = 1 << 20, .capacity_bytes = 1 << 21};
    store_.tls_totals =
        std::vector<TlsTotal>{{"agt_on", "web\n\"1\"", "", 3}, {"agt_on", "web\n\"1\"", "go", 2}};
  }

  FakeStore store_;
  Queries queries_{&store_, [](const std::string& agent) { return agent == "agt_on"; }};
  RequestCounts grpc_counts_;
  HttpApi api_{
      {.add_counters =
           [](Counters* counters) {
             (*counters)["ingest_uses"] = 5;
             (*counters)["ingest_connected_agents"] = 1;
             (*counters)["something_else"] = 2;
           },
       .certificates =
           [] { return std::vector<CertificateLife>{{"server", absl::Hours(1), absl::Hours(24)}}; },
       .grpc_counts = &grpc_counts_}};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpApiTest, EveryAnswerIsAsDescribed) {
  Fill();
  api_.SetReady(&queries_);
  std::set<std::string> asked;
  const auto ask = [&](const std::string& target, const std::string& path) {
    asked.insert(path);
    return GetDescribed(target, path);
  };
  const Json uses = ask("/v1/uses?since=24h&limit=2", "/v1/uses");
  EXPECT_EQ(uses["uses"][0]["host"], "api\xef\xbf\xbd.example");
  EXPECT_EQ(uses["uses"][0]["unresolved"], false);
  EXPECT_FALSE(uses["uses"][1].contains("tokenId"));
  EXPECT_EQ(uses["nextPageToken"], "more");
  EXPECT_EQ(ask("/v1/tokens", "/v1/tokens")["tokens"][0]["tokenId"], kTokenId);
  EXPECT_EQ(ask(std::string("/v1/tokens/") + kTokenId, "/v1/tokens/{id}")["usage"][0]["comm"],
            "curl");
  EXPECT_EQ(
      ask("/v1/tokens/cred_35602YF42TR1PNYK1WRYNXW9GD", "/v1/tokens/{id}")["facts"][0]["name"],
      "scope");
  EXPECT_EQ(ask("/v1/uses?trait=foreignHost", "/v1/uses")["uses"].size(), 2U);
  EXPECT_EQ(ask("/v1/stats", "/v1/stats")["uses"], 2);
  EXPECT_EQ(ask("/v1/owners?since=1h", "/v1/owners")["owners"][0]["tokens"], 7);
  EXPECT_EQ(ask("/v1/policy", "/v1/policy")["file"], "");
  const Json findings =
      ask("/v1/findings?severity=medium&state=open&rule=new_host&owner=none", "/v1/findings");
  ASSERT_EQ(findings["findings"].size(), 1U);
  EXPECT_EQ(findings["findings"][0]["findingId"], kFindingId);
  EXPECT_EQ(findings["findings"][0]["title"], "met evil\xef\xbf\xbd.example");
  EXPECT_EQ(GetDescribed("/v1/findings?severity=critical", "/v1/findings")["findings"].size(), 0U);
  const Json finding = ask("/v1/findings/fnd_35602YF42TR1PNYK1WRYNXW9GD", "/v1/findings/{id}");
  EXPECT_EQ(finding["confidence"], 0.5);
  EXPECT_EQ(finding["evidence"][0]["tokenId"], kTokenId);
  EXPECT_EQ(ask("/v1/tokens?state=dormant", "/v1/tokens")["tokens"].size(), 1U);
  const Json agents = ask("/v1/agents?host=h", "/v1/agents");
  EXPECT_EQ(agents["agents"][0]["connected"], true);
  EXPECT_EQ(agents["agents"][1]["connected"], false);
  EXPECT_EQ(agents["agents"][0]["coverage"].dump(),
            R"({"tlsConnections":5,"plaintextSeen":3,"dark":2})");
  EXPECT_EQ(GetDescribed("/v1/agents?coverage=true", "/v1/agents")["coverage"][0].dump(),
            R"({"agent":"agt_on","host":"","comm":"","exe":"/tmp/)"
            "\xef\xbf\xbd"
            R"(","containerId":"","pod":"","namespace":"","unit":"","tlsConnections":0,)"
            R"("plaintextSeen":0,"dark":2,"reasons":[{"reason":"go","connections":2}],)"
            R"("firstSeen":"1970-01-01T00:00:01.000000Z","lastSeen":null,"pid":0})");
  EXPECT_EQ(ask("/v1/uses/tail", "/v1/uses/tail")["nextPageToken"], "end");
  EXPECT_EQ(ask("/healthz", "/healthz")["status"], "ok");
  EXPECT_EQ(ask("/readyz", "/readyz")["status"], "ok");
  EXPECT_EQ(ask("/openapi.json", "/openapi.json"), OpenApi());
  asked.insert("/metrics");  // text; see below
  const nlohmann::json paths = OpenApi().at("paths");
  for (auto path = paths.begin(); path != paths.end(); ++path) {
    EXPECT_TRUE(asked.contains(path.key())) << path.key() << " is described and not asked here";
  }
}

TEST_F(HttpApiTest, TheTailComesAsOcsfToo) {
  api_.SetReady(&queries_);
  for (int i = 1; i <= 2; ++i) {
    v1::Use* const use = store_.list_uses.add_uses();
    use->set_agent("agt");
    use->set_stream("00");
    use->set_sequence(static_cast<uint64_t>(i));
    use->set_path("/caf\xc3\xa9");
  }
  const HttpReply reply = Get("/v1/uses/tail?format=ocsf&limit=10");
  EXPECT_EQ(reply.status, 200) << reply.all;
  EXPECT_NE(reply.fields.find("Content-Type: application/x-ndjson"), std::string::npos);
  EXPECT_NE(reply.fields.find("X-Tokenwatch-Next-Page-Token: end"), std::string::npos);
  std::istringstream lines(reply.body);
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(Json::parse(line)["metadata"]["uid"], absl::StrCat("agt/00/", ++count));
  }
  EXPECT_EQ(count, 2);
  EXPECT_EQ(Get("/v1/uses/tail?format=json&pageToken=end").body,
            "{\"uses\":[],\"nextPageToken\":\"end\",\"dropped\":0}\n");
  ExpectError(Get("/v1/uses/tail?format=cef"), 400, "invalid_argument",
              "parameter 'format': \"cef\" is no form; it is json or ocsf");
  EXPECT_EQ(Get("/v1/uses/tail?format=ocsf&format=ocsf").status, 400);
  EXPECT_EQ(Get("/v1/uses?format=ocsf").status, 400);
}

TEST_F(HttpApiTest, EmptyListsAreLists) {
  api_.SetReady(&queries_);
  EXPECT_EQ(Get("/v1/uses").body, "{\"uses\":[],\"nextPageToken\":\"\"}\n");
  EXPECT_EQ(Get("/v1/tokens").body, "{\"tokens\":[],\"nextPageToken\":\"\"}\n");
  EXPECT_EQ(Get("/v1/findings").body, "{\"findings\":[],\"nextPageToken\":\"\"}\n");
  EXPECT_EQ(Get("/v1/agents").body, "{\"agents\":[],\"nextPageToken\":\"\",\"coverage\":[]}\n");
}

TEST_F(HttpApiTest, DescriptionIsSound) {
  const Json open_api = OpenApi();
  EXPECT_TRUE(std::regex_match(open_api["openapi"].get<std::string>(), std::regex("3\\.1\\.\\d")));
  std::set<std::string> operations;
  const auto walk = [&](const auto& self, const Json& json) -> void {
    if (json.is_object() && json.contains("$ref")) {
      const std::string reference = json["$ref"].get<std::string>();
      EXPECT_TRUE(open_api.contains(Json::json_pointer(reference.substr(1)))) << reference;
    }
    if (!json.is_structured()) return;
    for (const auto& [unused, part] : json.items()) self(self, part);
  };
  walk(walk, open_api);
  for (const auto& [path, item] : open_api["paths"].items()) {
    EXPECT_TRUE(operations.insert(item["get"]["operationId"].get<std::string>()).second) << path;
    EXPECT_NE(item["get"]["summary"], "");
  }
  for (const Route& route : Routes()) {
    EXPECT_NE(
        v1::ListUsesResponse::descriptor()->file()->FindServiceByName("Query")->FindMethodByName(
            route.operation),
        nullptr)
        << route.operation << " is no rpc";
  }
  EXPECT_EQ(static_cast<int>(Routes().size()),
            v1::Use::descriptor()->file()->FindServiceByName("Query")->method_count());
}

TEST_F(HttpApiTest, MistakesAreJsonWithTheRightStatus) {
  api_.SetReady(&queries_);
  ExpectError(Get("/v1/uses?colour=red"), 400, "invalid_argument",
              "unknown parameter 'colour'; there are since, until, token, host, provider, "
              "workload, endpoint, status, limit, pageToken, direction, trait, user, owner");
  ExpectError(Get("/v1/agents?token=x"), 400, "invalid_argument",
              "unknown parameter 'token'; there are since, until, host, limit, pageToken, "
              "coverage");
  ExpectError(Get("/v1/uses?coverage=true"), 400, "invalid_argument",
              "unknown parameter 'coverage'; there are since, until, token, host, provider, "
              "workload, endpoint, status, limit, pageToken, direction, trait, user, owner");
  ExpectError(Get("/v1/agents?coverage=1"), 400, "invalid_argument",
              "parameter 'coverage' must be true or false");
  ExpectError(Get("/healthz?x"), 400, "invalid_argument",
              "unknown parameter 'x'; there are none here");
  ExpectError(Get("/v1/uses?limit=x"), 400, "invalid_argument",
              "parameter 'limit' must be a number");
  ExpectError(Get("/v1/tokens/ghp_nothing"), 400, "invalid_argument",
              "a token id is tok_ and 26 letters and digits, as tok_35602yf42tr1pnyk1wrynxw9gd; a "
              "credential id is cred_ and as many");
  ExpectError(Get(std::string("/v1/tokens/") + kTokenId), 404, "not_found", "no such token");
  ExpectError(Get("/v1/findings/tok_x"), 400, "invalid_argument",
              "a finding id is fnd_ and 26 letters and digits, as fnd_35602yf42tr1pnyk1wrynxw9gd");
  ExpectError(Get(std::string("/v1/findings/") + kFindingId), 404, "not_found",
              std::string("there is no finding ") + kFindingId);
  ExpectError(Get("/v1/findings?severity=urgent"), 400, "invalid_argument",
              "severity: \"urgent\" is no severity; for example info, low, medium, high, critical");
  ExpectError(Get("/v1/findings?status=403"), 400, "invalid_argument",
              "unknown parameter 'status'; there are since, until, token, host, provider, "
              "workload, limit, pageToken, owner, rule, severity, state");
  for (const char* path : {"/", "/v1", "/v1/", "/v1/uses/", "/v1/tokens/", "/v1/tokens/a/b",
                           "/v1/nothing", "/V1/uses", "/healthz/x", "//v1/uses"}) {
    ExpectError(Get(path), 404, "not_found", "there is nothing at this path; see /openapi.json");
  }
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "ODD"}) {
    const HttpReply reply = Ask(server_->ListenAddress(), "/v1/uses", method);
    ExpectError(reply, 405, "unimplemented",
                "only GET and HEAD are answered: this interface changes nothing");
    EXPECT_NE(reply.fields.find("Allow: GET, HEAD"), std::string::npos);
  }
  EXPECT_EQ(Ask(server_->ListenAddress(), "/v1/nothing", "POST").status, 404);
}

TEST_F(HttpApiTest, HeadIsGetWithoutTheBody) {
  api_.SetReady(&queries_);
  const HttpReply reply = Ask(server_->ListenAddress(), "/v1/uses", "HEAD");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "");
  EXPECT_NE(reply.fields.find("Content-Length: 31\r\n"), std::string::npos) << reply.fields;
}

TEST_F(HttpApiTest, NotReadyWhileTheListenerForAgentsIsSilent) {
  absl::Status health = absl::UnavailableError("nobody answers at 127.0.0.1:7443");
  HttpApi api({.health = [&health] { return health; }});
  const HttpRequest request{.method = "GET", .target = {.path = "/readyz"}};
  api.SetReady(&queries_);
  const HttpResponse response = api.Handle(request);
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.body.find("nobody answers at 127.0.0.1:7443"), std::string::npos);
  health = absl::OkStatus();
  EXPECT_EQ(api.Handle(request).status, 200);
}

TEST_F(HttpApiTest, NotReadyBeforeTheStoreIs) {
  EXPECT_EQ(Get("/healthz").status, 200);
  ExpectError(Get("/readyz"), 503, "unavailable", "the collector is starting");
  ExpectError(Get("/v1/uses"), 503, "unavailable", "the collector is starting; ask again soon");
  EXPECT_EQ(Get("/openapi.json").status, 200);
  api_.SetReady(&queries_);
  EXPECT_EQ(Get("/readyz").status, 200);
  store_.health = absl::ResourceExhaustedError("the disk is full");
  ExpectError(Get("/readyz"), 503, "unavailable", "uses cannot be written: the disk is full");
  EXPECT_NE(Get("/metrics").body.find("\ntokenwatch_collector_store_damaged 0\n"),
            std::string::npos);
  store_.health = absl::DataLossError("/data/tokenwatch.db is damaged: stop");
  ExpectError(Get("/readyz"), 503, "unavailable", "/data/tokenwatch.db is damaged: stop");
  const std::string metrics = Get("/metrics").body;
  EXPECT_NE(metrics.find("\ntokenwatch_collector_store_damaged 1\n"), std::string::npos);
  EXPECT_NE(metrics.find("\ntokenwatch_collector_ready 0\n"), std::string::npos);
}

TEST_F(HttpApiTest, AStoresFailureIsNotShown) {
  api_.SetReady(&queries_);
  store_.token_detail = absl::DataLossError("page 17 of /secret/place is damaged");
  ExpectError(Get(std::string("/v1/tokens/") + kTokenId), 500, "internal",
              "the query failed; the collector's log says why");
  store_.token_detail = absl::UnavailableError("busy");
  ExpectError(Get(std::string("/v1/tokens/") + kTokenId), 503, "unavailable", "busy");
}

TEST_F(HttpApiTest, OtherHostsAreRefused) {
  api_.SetReady(&queries_);
  const std::pair<std::string, int> rows[] = {
      {"localhost", 200},
      {"LocalHost:7480", 200},
      {"127.0.0.1:1", 200},
      {"127.9.9.9", 200},
      {"[::1]:7480", 200},
      {"[::1]", 200},
      {"rebound.example", 403},
      {"localhost.evil.example", 403},
      {"127.0.0.1.evil.example", 403},
      {"192.0.2.1:7480", 403},
  };
  for (const auto& [host, status] : rows) {
    EXPECT_EQ(Ask(server_->ListenAddress(), "/v1/uses", "GET", host).status, status) << host;
  }
  EXPECT_EQ(ExchangeBytes(server_->ListenAddress(), "GET /healthz HTTP/1.0\r\n\r\n").status, 200);

  HttpApi open({.local_hosts_only = false});
  EXPECT_EQ(open.Handle({.method = "GET", .target = {.path = "/healthz"}, .host = "x"}).status,
            200);
}

TEST_F(HttpApiTest, MetricsAreValidText) {
  EXPECT_EQ(Get("/metrics").body.find("tokenwatch_fleet"), std::string::npos);
  Fill();
  api_.SetReady(&queries_);
  grpc_counts_.Add("ListUses", "ok");
  Get("/v1/uses");
  Get("/v1/uses?x=1");
  Get("/anything");
  const HttpReply reply = Get("/metrics");
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.fields.find("Content-Type: text/plain; version=0.0.4"), std::string::npos);
  for (
      const char* line :
      {"# TYPE tokenwatch_build_info gauge",
       "tokenwatch_collector_ready 1",
       "tokenwatch_http_requests_total{path=\"/v1/uses\",code=\"200\"} 1",
       "tokenwatch_http_requests_total{path=\"/v1/uses\",code=\"400\"} 1",
       "tokenwatch_http_requests_total{path=\"other\",code=\"404\"} 1",
       "tokenwatch_grpc_queries_total{method=\"ListUses\",code=\"ok\"} 1",
       "# TYPE tokenwatch_ingest_uses_total counter",
       "tokenwatch_ingest_uses_total 5",
       "# TYPE tokenwatch_ingest_connected_agents gauge",
       "tokenwatch_ingest_connected_agents 1",
       "# TYPE tokenwatch_tls_connections_total counter",
       R"(tokenwatch_tls_connections_total{agent="agt_on",host="web\n\"1\"",seen="true",reason=""} 3)",
       R"(tokenwatch_tls_connections_total{agent="agt_on",host="web\n\"1\"",seen="false",)"
       R"(reason="go"} 2)",
       R"(tokenwatch_fleet_agent_connected{agent="agt_on",host="web\n\"1\""} 1)",
       R"(tokenwatch_fleet_agent_connected{agent="agt_off",host=""} 0)",
       "tokenwatch_store_bytes 4096",
       "# TYPE tokenwatch_findings_open gauge",
       "tokenwatch_findings_open{severity=\"high\"} 1",
       "tokenwatch_findings_open{severity=\"critical\"} 0",
       "tokenwatch_findings_open_by_rule{rule=\"new_host\"} 1",
       "# TYPE tokenwatch_certificate_left_seconds gauge",
       "tokenwatch_certificate_left_seconds{of=\"server\"} 3600",
       "tokenwatch_certificate_lifetime_seconds{of=\"server\"} 86400",
       "tokenwatch_enrol_ended_agents 0",
       "tokenwatch_store_free_bytes 1048576",
       "tokenwatch_store_capacity_bytes 2097152",
       "# TYPE process_cpu_seconds_total counter",
       "tokenwatch_ingest_commit_failures_total 0",
       "tokenwatch_something_else_total 2"}) {
    EXPECT_NE(reply.body.find(std::string(line) + "\n"), std::string::npos) << line << "\n"
                                                                            << reply.body;
  }
  const std::regex grammar(
      "(# HELP [a-z_]+ .+\n# TYPE [a-z_]+ (counter|gauge)\n"
      "([a-z_]+(\\{[a-z]+=\"([^\"\\\\]|\\\\.)*\"(,[a-z]+=\"([^\"\\\\]|\\\\.)*\")*\\})? "
      "[0-9.]+\n)+)+");
  EXPECT_TRUE(std::regex_match(reply.body, grammar)) << reply.body;
}

TEST(HttpApiCredential, IsAskedForEverythingButHealth) {
  FakeStore store;
  const Queries queries(&store, [](const std::string&) { return false; });
  HttpApi api(
      {.local_hosts_only = false, .authorize = [](std::string_view authorization, bool metrics) {
         if (authorization.empty()) return absl::UnauthenticatedError("no credential");
         if (authorization == "Bearer all" || (metrics && authorization == "Bearer some")) {
           return absl::OkStatus();
         }
         return absl::PermissionDeniedError("not with this one");
       }});
  api.SetReady(&queries);
  const struct {
    const char* path;
    const char* credential;
    int status;
  } cases[] = {
      {"/healthz", "", 200},
      {"/readyz", "", 200},
      {"/metrics", "", 401},
      {"/metrics", "Bearer some", 200},
      {"/metrics", "Bearer all", 200},
      {"/v1/tokens", "", 401},
      {"/v1/tokens", "Bearer some", 403},
      {"/v1/tokens", "Bearer all", 200},
      {"/openapi.json", "", 401},
      {"/v1/nothing", "", 401},
      {"/v1/nothing", "Bearer all", 404},
  };
  for (const auto& row : cases) {
    const HttpResponse response = api.Handle({.method = "GET",
                                              .target = {.path = row.path},
                                              .host = "c",
                                              .authorization = row.credential});
    EXPECT_EQ(response.status, row.status) << row.path << " " << row.credential;
    const bool challenged =
        std::any_of(response.fields.begin(), response.fields.end(),
                    [](const auto& field) { return field.first == "WWW-Authenticate"; });
    EXPECT_EQ(challenged, row.status == 401);
  }
}

}  // namespace
}  // namespace tokenwatch
