// Names, types and required attributes are those of schema 1.5.0, https://schema.ocsf.io/1.5.0/.
#include "collector/notify/ocsf.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/version.h"
#include "collector/store/finding_words.h"

namespace tokenwatch {
namespace {

constexpr int kOther = 99;
// The values of http_method.
constexpr const char* kHttpMethods[] = {"CONNECT", "DELETE", "GET", "HEAD",
                                        "OPTIONS", "POST",   "PUT", "TRACE"};
constexpr uint32_t kMostPid = 1U << 22;

// A class's or an object's number with the caption that goes with it.
struct Choice {
  int id;
  std::string caption;
};

void Put(Json* object, const char* name, const std::string& text) {
  if (!text.empty()) (*object)[name] = text;
}

void PutObject(Json* object, const char* name, Json value) {
  if (!value.empty()) (*object)[name] = std::move(value);
}

// timestamp_t: milliseconds since the epoch.
int64_t Milliseconds(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1000 + time.nanos() / 1'000'000;
}

Json MetadataOf(const std::string& uid, Json profiles) {
  Json metadata = {
      {"version", std::string(kOcsfVersion)},
      {"product", {{"name", "tokenwatch"}, {"vendor_name", "tokenwatch"}, {"version", Version()}}},
      {"uid", uid}};
  PutObject(&metadata, "profiles", std::move(profiles));
  return metadata;
}

// What every class begins with.
Json Event(int class_uid, const char* class_name, int category_uid, const char* category_name,
           const Choice& activity, const Choice& severity) {
  return {{"class_uid", class_uid},
          {"class_name", class_name},
          {"category_uid", category_uid},
          {"category_name", category_name},
          {"activity_id", activity.id},
          {"activity_name", activity.caption},
          {"type_uid", class_uid * 100 + activity.id},
          {"type_name", absl::StrCat(class_name, ": ", activity.caption)},
          {"severity_id", severity.id},
          {"severity", severity.caption}};
}

Choice SeverityOf(const std::string& severity) {
  static constexpr const char* kCaptions[] = {"Informational", "Low", "Medium", "High", "Critical"};
  const std::optional<uint32_t> rank = SeverityRank(severity);
  if (!rank.has_value()) return {kOther, severity.empty() ? "Other" : severity};
  return {static_cast<int>(*rank) + 1, kCaptions[*rank]};
}

Choice ActivityOf(const v1::Finding& finding) {
  if (finding.state() == kFindingClosed) return {3, "Close"};
  return finding.revision() > 1 ? Choice{2, "Update"} : Choice{1, "Create"};
}

Choice StateOf(const std::string& state) {
  if (state == kFindingOpen) return {1, "New"};
  if (state == kFindingSuppressed) return {3, "Suppressed"};
  if (state == kFindingClosed) return {4, "Resolved"};
  return {kOther, state.empty() ? "Other" : state};
}

Choice ConfidenceOf(double confidence) {
  if (confidence < 0.4) return {1, "Low"};
  return confidence < 0.75 ? Choice{2, "Medium"} : Choice{3, "High"};
}

Choice ActivityOf(const v1::Use& use) {
  const std::string& method = use.method();
  if (method == "POST") return {1, "Create"};
  if (method == "GET" || method == "HEAD" || method == "OPTIONS") return {2, "Read"};
  if (method == "PUT" || method == "PATCH") return {3, "Update"};
  if (method == "DELETE") return {4, "Delete"};
  return {kOther, method.empty() ? "Other" : method};
}

Choice StatusOf(const std::string& outcome) {
  if (outcome == "ok") return {1, "Success"};
  if (outcome == "denied" || outcome == "throttled" || outcome == "failed") return {2, "Failure"};
  return {kOther, outcome.empty() ? "Other" : outcome};
}

std::string BaseName(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.empty() ? path : name;
}

// An integer_t has 32 bits.
int64_t Integer(uint64_t number) {
  return static_cast<int64_t>(std::min<uint64_t>(number, std::numeric_limits<int32_t>::max()));
}

void PutAddress(Json* object, const std::string& address) {
  in6_addr ignored{};
  if (inet_pton(AF_INET, address.c_str(), &ignored) == 1 ||
      inet_pton(AF_INET6, address.c_str(), &ignored) == 1) {
    (*object)["ip"] = address;
  }
}

bool IsInbound(const v1::Use& use) { return use.direction() == "inbound"; }

// Empty where its id is not known, which the schema wants; Linux gives none above 2^22.
Json ProcessOf(const v1::Workload& workload) {
  Json process = Json::object();
  if (workload.pid() == 0 || workload.pid() > kMostPid) return process;
  process["pid"] = workload.pid();
  Put(&process, "name", workload.comm());
  if (workload.has_start_time()) process["created_time"] = Milliseconds(workload.start_time());
  if (!workload.exe().empty()) {
    process["file"] = {{"name", BaseName(workload.exe())},
                       {"path", workload.exe()},
                       {"type_id", 1},
                       {"type", "Regular File"}};
  }
  if (!workload.container_id().empty()) {
    Json container = {{"uid", workload.container_id()}};
    Put(&container, "name", workload.container_name());
    if (!workload.image().empty()) {
      // Of the image only its reference is known, which the schema's required id may be.
      container["image"] = {{"name", workload.image()}, {"uid", workload.image()}};
    }
    process["container"] = std::move(container);
  }
  return process;
}

Json ActorOf(const v1::Use& use) {
  Json actor = Json::object();
  Json user = Json::object();
  if (IsInbound(use)) {
    actor["app_name"] = use.user_agent().empty() ? "unknown" : use.user_agent();
    // Of who calls only the credential is known, and perhaps who it came with.
    if (!use.user_id().empty() || !use.token_id().empty()) {
      user["uid"] = use.user_id().empty() ? use.token_id() : use.user_id();
    }
  } else {
    PutObject(&actor, "process", ProcessOf(use.workload()));
    if (!actor.contains("process")) Put(&actor, "app_name", use.workload().comm());
    Put(&user, "name", use.workload().user());
    user["uid"] = absl::StrCat(use.workload().uid());
  }
  // Of the token this is the keyed hash; the secret is nowhere.
  Put(&user, "credential_uid", use.token_id());
  PutObject(&actor, "user", std::move(user));
  return actor;
}

Json EndpointOf(const std::string& host, const std::string& address, uint32_t port) {
  Json endpoint = Json::object();
  Put(&endpoint, "hostname", host);
  PutAddress(&endpoint, address);
  if (port != 0) endpoint["port"] = port;
  // One name at least is required.
  if (host.empty() && !endpoint.contains("ip")) endpoint["name"] = "unknown";
  return endpoint;
}

Json ClientOf(const v1::Use& use) {
  if (IsInbound(use)) return EndpointOf("", use.peer_address(), use.peer_port());
  return EndpointOf(use.workload().host(), use.local_address(), use.local_port());
}

Json ServerOf(const v1::Use& use) {
  if (IsInbound(use)) return EndpointOf(use.host(), use.local_address(), use.local_port());
  return EndpointOf(use.host(), use.peer_address(), use.peer_port());
}

Json UrlOf(const v1::Use& use) {
  Json url = Json::object();
  Put(&url, "url_string", absl::StrCat(use.scheme(), "://", use.host(), use.path()));
  Put(&url, "scheme", use.scheme());
  Put(&url, "hostname", use.host());
  Put(&url, "path", use.path());
  Put(&url, "query_string", use.query());
  return url;
}

Json ApiOf(const v1::Use& use) {
  Json api = {{"operation", absl::StrCat(use.method(), " ", use.path())}};
  if (!use.host().empty()) api["service"] = {{"name", use.host()}};
  if (!use.request_id().empty()) api["request"] = {{"uid", use.request_id()}};
  if (use.status() != 0) {
    api["response"] = {{"code", use.status()}};
    if (use.outcome() != "ok") api["response"]["error"] = use.outcome();
  }
  return api;
}

// What no attribute of the schema is for, under the API's names.
Json OwnPartOf(const v1::Use& use) {
  Json own = Json::object();
  Put(&own, "credentialId", use.credential_id());
  Put(&own, "keyId", use.key_id());
  Put(&own, "format", use.format());
  Put(&own, "provider", use.provider());
  Put(&own, "carrier", use.carrier());
  Put(&own, "owner", use.owner());
  Put(&own, "userId", use.user_id());
  Put(&own, "direction", use.direction());
  Put(&own, "outcome", use.outcome());
  Put(&own, "peerCertainty", use.peer_certainty());
  Put(&own, "script", use.workload().script());
  Put(&own, "parentExe", use.workload().parent_exe());
  Put(&own, "unit", use.workload().unit());
  Put(&own, "pod", use.workload().pod());
  Put(&own, "namespace", use.workload().namespace_());
  Put(&own, "serviceAccount", use.workload().service_account());
  const std::pair<const char*, bool> traits[] = {
      {"unresolved", use.unresolved()},   {"foreignHost", use.foreign_host()},
      {"inQuery", use.in_query()},        {"cleartext", use.cleartext()},
      {"expired", use.expired()},         {"algNone", use.alg_none()},
      {"redirected", use.redirected()},   {"byContext", use.by_context()},
      {"badChecksum", use.bad_checksum()}};
  for (const auto& [name, holds] : traits) {
    if (holds) own[name] = true;
  }
  return own;
}

Json EvidenceOf(const v1::Use& use) {
  Json data = OwnPartOf(use);
  data["time"] = Milliseconds(use.time());
  data["status"] = use.status();
  data["count"] = use.count();
  Put(&data, "userAgent", use.user_agent());
  return {{"actor", ActorOf(use)},         {"api", ApiOf(use)}, {"src_endpoint", ClientOf(use)},
          {"dst_endpoint", ServerOf(use)}, {"url", UrlOf(use)}, {"data", std::move(data)}};
}

Json FindingInfoOf(const v1::Finding& finding) {
  Json info = {
      {"uid", finding.finding_id()},
      {"title", finding.title()},
      {"analytic",
       {{"name", finding.rule()}, {"uid", finding.rule()}, {"type_id", 1}, {"type", "Rule"}}},
      {"types", Json::array({finding.rule()})},
      {"created_time", Milliseconds(finding.raised())},
      {"first_seen_time", Milliseconds(finding.first_seen())},
      {"last_seen_time", Milliseconds(finding.last_seen())}};
  Put(&info, "desc", finding.observed());
  return info;
}

// The token, where the finding is about one.
Json ResourcesOf(const v1::Finding& finding) {
  if (finding.token_id().empty() && finding.credential_id().empty()) return Json::array();
  Json token = {{"uid", finding.token_id().empty() ? finding.credential_id() : finding.token_id()},
                {"type", "API token"}};
  Put(&token, "name", finding.credential_id());
  Json labels = Json::array();
  if (!finding.format().empty()) labels.push_back(absl::StrCat("format:", finding.format()));
  if (!finding.provider().empty()) labels.push_back(absl::StrCat("provider:", finding.provider()));
  PutObject(&token, "labels", std::move(labels));
  if (!finding.owner().empty()) {
    token["owner"] = {{"name", finding.owner()}};
    if (finding.contact().find('@') != std::string::npos) {
      token["owner"]["email_addr"] = finding.contact();
    }
  }
  return Json::array({std::move(token)});
}

Json OwnPartOf(const v1::Finding& finding) {
  Json own = Json::object();
  Put(&own, "normal", finding.normal());
  Put(&own, "owner", finding.owner());
  Put(&own, "contact", finding.contact());
  Put(&own, "workload", finding.workload());
  Put(&own, "value", finding.value());
  Put(&own, "kind", finding.kind());
  Put(&own, "policyRule", finding.policy_rule());
  Put(&own, "suppressedBy", finding.suppressed_by());
  own["historyDays"] = finding.history_days();
  own["historyUses"] = finding.history_uses();
  own["revision"] = finding.revision();
  return own;
}

}  // namespace

Json OcsfOfFinding(const v1::Finding& finding, std::string_view key) {
  const Choice activity = ActivityOf(finding);
  Json event =
      Event(2004, "Detection Finding", 2, "Findings", activity, SeverityOf(finding.severity()));
  event["time"] = Milliseconds(finding.has_raised() ? finding.raised() : finding.last_seen());
  event["start_time"] = Milliseconds(finding.first_seen());
  event["end_time"] = Milliseconds(finding.last_seen());
  event["metadata"] = MetadataOf(std::string(key), Json::array({"container"}));
  event["message"] = finding.title();
  event["count"] = Integer(finding.uses());
  const Choice state = StateOf(finding.state());
  event["status_id"] = state.id;
  event["status"] = state.caption;
  event["is_alert"] = finding.state() == kFindingOpen;
  event["finding_info"] = FindingInfoOf(finding);
  const Choice confidence = ConfidenceOf(finding.confidence());
  event["confidence_id"] = confidence.id;
  event["confidence"] = confidence.caption;
  event["confidence_score"] =
      static_cast<int>(std::lround(std::clamp(finding.confidence(), 0.0, 1.0) * 100));
  Json evidences = Json::array();
  for (const v1::Use& use : finding.evidence()) evidences.push_back(EvidenceOf(use));
  PutObject(&event, "evidences", std::move(evidences));
  PutObject(&event, "resources", ResourcesOf(finding));
  if (!finding.advice().empty()) event["remediation"] = {{"desc", finding.advice()}};
  event["unmapped"] = OwnPartOf(finding);
  return event;
}

Json OcsfOfUse(const v1::Use& use) {
  Json event =
      Event(6003, "API Activity", 6, "Application Activity", ActivityOf(use), {1, "Informational"});
  event["time"] = Milliseconds(use.time());
  event["metadata"] = MetadataOf(absl::StrCat(use.agent(), "/", use.stream(), "/", use.sequence()),
                                 Json::array({"host", "container"}));
  event["message"] = absl::StrCat(use.method(), " ", use.host(), use.path(), ": ", use.outcome());
  if (use.count() > 1) event["count"] = Integer(use.count());
  if (use.latency_us() != 0) event["duration"] = use.latency_us() / 1000;
  const Choice status = StatusOf(use.outcome());
  event["status_id"] = status.id;
  event["status"] = status.caption;
  if (use.status() != 0) event["status_code"] = absl::StrCat(use.status());
  event["actor"] = ActorOf(use);
  event["api"] = ApiOf(use);
  event["src_endpoint"] = ClientOf(use);
  event["dst_endpoint"] = ServerOf(use);
  Json request = {{"url", UrlOf(use)}};
  // Others are in api.operation.
  for (const char* method : kHttpMethods) {
    if (use.method() == method) request["http_method"] = method;
  }
  Put(&request, "user_agent", use.user_agent());
  Put(&request, "version", use.http_version());
  Put(&request, "uid", use.request_id());
  event["http_request"] = std::move(request);
  if (use.status() != 0) event["http_response"] = {{"code", use.status()}};
  if (!use.workload().host().empty()) {
    event["device"] = {{"hostname", use.workload().host()}, {"type_id", 0}, {"type", "Unknown"}};
    PutAddress(&event["device"], use.agent_address());
  }
  event["unmapped"] = OwnPartOf(use);
  return event;
}

Json OcsfOfGap(uint64_t dropped, std::string_view key, int64_t time_us) {
  Json event = Event(0, "Base Event", 0, "Uncategorized", {kOther, "gap"}, {3, "Medium"});
  event["time"] = time_us / 1000;
  event["metadata"] = MetadataOf(std::string(key), Json::array());
  event["message"] = absl::StrCat("gap: retention dropped ", dropped,
                                  " uses before this stream read them; read more often, or keep "
                                  "uses for longer (retention-days)");
  event["count"] = Integer(dropped);
  event["unmapped"] = {{"gap", "retention"}, {"usesDropped", dropped}};
  return event;
}

}  // namespace tokenwatch
