#include "tests/bench/detect/use_files.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "collector/store/outcome.h"
#include "collector/store/use_traits.h"

namespace tokenwatch {
namespace {

using Json = nlohmann::json;

constexpr size_t kProblemsShown = 20;
constexpr size_t kTextMax = 4'096;
constexpr size_t kLabelsMax = 64;  // of a pod
constexpr size_t kOthersMax = 100'000;

// The part of `text` that is kept: no character of UTF-8 is cut in two.
std::string Bounded(std::string_view text, size_t most = kTextMax) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && (static_cast<uint8_t>(text[most]) & 0xc0) == 0x80) --most;
  return std::string(text.substr(0, most));
}

std::string TextOf(const Json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_string()) return "";
  return Bounded(member->get_ref<const std::string&>());
}

// At most `most`; `otherwise` where there is no number.
uint64_t NumberOf(const Json& object, const char* name, uint64_t most, uint64_t otherwise = 0) {
  const auto member = object.find(name);
  if (member == object.end()) return otherwise;
  double number = 0;
  if (member->is_number_unsigned()) return std::min(member->get<uint64_t>(), most);
  if (member->is_number()) {
    number = member->get<double>();
  } else if (!member->is_string() ||
             !absl::SimpleAtod(member->get_ref<const std::string&>(), &number)) {
    return otherwise;
  }
  if (std::isnan(number) || number < 0) return otherwise;
  return number >= static_cast<double>(most) ? most : static_cast<uint64_t>(number);
}

bool FlagOf(const Json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end()) return false;
  if (member->is_boolean()) return member->get<bool>();
  return member->is_string() && member->get_ref<const std::string&>() == "true";
}

std::optional<int64_t> TimeOf(const Json& object, const char* name) {
  absl::Time time;
  std::string problem;
  if (!absl::ParseTime(absl::RFC3339_full, TextOf(object, name), &time, &problem)) {
    return std::nullopt;
  }
  if (time < absl::FromCivil(absl::CivilYear(2000), absl::UTCTimeZone()) ||
      time >= absl::FromCivil(absl::CivilYear(2100), absl::UTCTimeZone())) {
    return std::nullopt;
  }
  return absl::ToUnixMicros(time);
}

std::string TimeText(int64_t time_us) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::FromUnixMicros(time_us),
                          absl::UTCTimeZone());
}

void ReadWorkload(const Json& json, v1::Workload* workload) {
  workload->set_host(TextOf(json, "host"));
  workload->set_pid(static_cast<uint32_t>(NumberOf(json, "pid", UINT32_MAX)));
  if (const auto start = TimeOf(json, "startTime"); start.has_value()) {
    workload->mutable_start_time()->set_seconds(*start / kSecondUs);
    workload->mutable_start_time()->set_nanos(static_cast<int32_t>(*start % kSecondUs * 1'000));
  }
  workload->set_comm(TextOf(json, "comm"));
  workload->set_exe(TextOf(json, "exe"));
  workload->set_script(TextOf(json, "script"));
  workload->set_parent_exe(TextOf(json, "parentExe"));
  workload->set_uid(static_cast<uint32_t>(NumberOf(json, "uid", UINT32_MAX)));
  workload->set_user(TextOf(json, "user"));
  workload->set_login_user(TextOf(json, "loginUser"));
  workload->set_cgroup(TextOf(json, "cgroup"));
  workload->set_container_id(TextOf(json, "containerId"));
  workload->set_pod(TextOf(json, "pod"));
  workload->set_namespace_(TextOf(json, "namespace"));
  workload->set_service_account(TextOf(json, "serviceAccount"));
  workload->set_unit(TextOf(json, "unit"));
  workload->set_container_name(TextOf(json, "containerName"));
  workload->set_image(TextOf(json, "image"));
  const auto labels = json.find("labels");
  if (labels == json.end() || !labels->is_object()) return;
  for (const auto& [name, value] : labels->items()) {
    if (workload->labels().size() >= kLabelsMax) break;
    if (value.is_string()) {
      (*workload->mutable_labels())[Bounded(name)] = Bounded(value.get_ref<const std::string&>());
    }
  }
}

UseContext ReadContext(const Json& json) {
  UseContext context;
  const auto workload = json.find("workload");
  if (workload != json.end() && workload->is_object()) ReadWorkload(*workload, &context.workload);
  context.format = TextOf(json, "format");
  context.provider = TextOf(json, "provider");
  context.carrier = TextOf(json, "carrier");
  context.token_length = static_cast<uint32_t>(NumberOf(json, "tokenLength", UINT32_MAX));
  context.method = TextOf(json, "method");
  context.scheme = TextOf(json, "scheme");
  context.host = TextOf(json, "host");
  context.path = TextOf(json, "path");
  context.query = TextOf(json, "query");
  context.http_version = TextOf(json, "httpVersion");
  context.user_agent = TextOf(json, "userAgent");
  context.peer_address = TextOf(json, "peerAddress");
  context.peer_port = static_cast<uint32_t>(NumberOf(json, "peerPort", 65'535));
  context.peer_certainty = TextOf(json, "peerCertainty");
  context.local_address = TextOf(json, "localAddress");
  context.direction = TextOf(json, "direction");
  if (context.direction.empty()) context.direction = "outbound";
  context.probe = TextOf(json, "probe");
  for (const UseTraitRow& row : kUseTraits) {
    if (FlagOf(json, row.word)) context.traits |= row.bit;
  }
  return context;
}

// Everything of a context that can differ, for finding an equal one.
std::string KeyOf(const UseContext& context) {
  std::string key = context.workload.SerializeAsString();
  for (const std::string* text :
       {&context.format, &context.provider, &context.carrier, &context.method, &context.scheme,
        &context.host, &context.path, &context.query, &context.http_version, &context.user_agent,
        &context.peer_address, &context.peer_certainty, &context.local_address, &context.direction,
        &context.probe}) {
    absl::StrAppend(&key, text->size(), ":", *text);
  }
  absl::StrAppend(&key, context.token_length, " ", context.peer_port, " ", context.traits);
  return key;
}

// What the answer was, by both words that the API has for it.
void ReadAnswer(const Json& json, TrafficUse* use) {
  use->status = static_cast<uint16_t>(NumberOf(json, "status", 999));
  struct OutcomeRow {
    std::string_view name;
    uint16_t status, grpc_status;
  };
  constexpr OutcomeRow kOutcomes[] = {
      {"ok", 200, 1}, {"denied", 403, 8}, {"throttled", 429, 9}, {"failed", 500, 14}};
  const std::string outcome = TextOf(json, "outcome");
  for (const OutcomeRow& row : kOutcomes) {
    if (outcome != row.name || outcome == OutcomeOf(use->status)) continue;
    if (use->status == 0) {
      use->status = row.status;
    } else {
      use->grpc_status = row.grpc_status;  // a gRPC call is answered 200, whatever came of it
    }
  }
}

// Calls `take` with every line that is a JSON object; what it returns is a problem, or empty.
template <typename Take>
void ForEachLine(std::istream& in, ReadProblems* problems, Take take) {
  std::string line;
  for (uint64_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const std::string problem = json.is_object() ? take(json) : std::string("not a JSON object");
    if (problem.empty()) continue;
    ++problems->lines;
    if (problems->first.size() < kProblemsShown) problems->first.push_back({number, problem});
  }
}

}  // namespace

void ReadUses(std::istream& in, Traffic* traffic, ReadProblems* problems) {
  absl::flat_hash_map<std::string, uint32_t> contexts, sources;
  ForEachLine(in, problems, [&](const Json& json) -> std::string {
    const std::optional<int64_t> time = TimeOf(json, "time");
    if (!time.has_value()) return "\"time\" is no RFC 3339 time from 2000 to 2099";
    TrafficUse use;
    use.time_us = *time;
    UseContext context = ReadContext(json);
    const auto [entry, added] = contexts.try_emplace(KeyOf(context), 0);
    if (added) entry->second = traffic->AddContext(std::move(context));
    use.context = entry->second;
    UseSource source{TextOf(json, "agent"), TextOf(json, "agentAddress"), ""};
    const auto [known, fresh] =
        sources.try_emplace(absl::StrCat(source.agent, "\n", source.agent_address), 0);
    if (fresh) known->second = traffic->AddSource(std::move(source));
    use.source = known->second;
    const std::string token = TextOf(json, "tokenId");
    if (!token.empty()) use.token = traffic->Token(token, TextOf(json, "credentialId"));
    use.latency_us = static_cast<uint32_t>(NumberOf(json, "latencyUs", UINT32_MAX));
    use.count =
        static_cast<uint32_t>(std::max<uint64_t>(1, NumberOf(json, "count", 1'000'000'000, 1)));
    ReadAnswer(json, &use);
    traffic->Add(use);
    return "";
  });
  traffic->Sort();
}

void ReadLabels(std::istream& in, Traffic* traffic, ReadProblems* problems) {
  ForEachLine(in, problems, [&](const Json& json) -> std::string {
    Label label;
    label.token_id = TextOf(json, "tokenId");
    if (label.token_id.empty()) return "no \"tokenId\"";
    const std::optional<int64_t> from = TimeOf(json, "from"), to = TimeOf(json, "to");
    if (!from.has_value() || !to.has_value()) {
      return "\"from\" and \"to\" are not both RFC 3339 times from 2000 to 2099";
    }
    if (*to < *from) return "\"to\" is before \"from\"";
    label.from_us = *from;
    label.to_us = *to;
    label.kind = TextOf(json, "kind");
    if (label.kind.empty()) label.kind = "unknown";
    if (const auto others = json.find("tokenIds"); others != json.end() && others->is_array()) {
      for (const Json& other : *others) {
        if (label.others.size() >= kOthersMax) break;
        if (other.is_string()) label.others.push_back(Bounded(other.get_ref<const std::string&>()));
      }
    }
    traffic->labels.push_back(std::move(label));
    return "";
  });
}

void WriteUses(const Traffic& traffic, std::ostream& out) {
  // Of a context everything but the time, the token and the answer, as JSON without its braces.
  absl::flat_hash_map<uint32_t, std::string> texts;
  for (const TrafficUse& use : traffic.uses()) {
    const auto [entry, added] = texts.try_emplace(use.context);
    if (added) {
      const UseContext& context = traffic.context(use.context);
      Json workload = {{"host", context.workload.host()},
                       {"pid", context.workload.pid()},
                       {"startTime", TimeText(context.workload.start_time().seconds() * kSecondUs)},
                       {"comm", context.workload.comm()},
                       {"exe", context.workload.exe()},
                       {"script", context.workload.script()},
                       {"parentExe", context.workload.parent_exe()},
                       {"uid", context.workload.uid()},
                       {"user", context.workload.user()},
                       {"loginUser", context.workload.login_user()},
                       {"cgroup", context.workload.cgroup()},
                       {"containerId", context.workload.container_id()},
                       {"pod", context.workload.pod()},
                       {"namespace", context.workload.namespace_()},
                       {"serviceAccount", context.workload.service_account()},
                       {"unit", context.workload.unit()},
                       {"containerName", context.workload.container_name()},
                       {"image", context.workload.image()}};
      Json json = {{"format", context.format},
                   {"provider", context.provider},
                   {"carrier", context.carrier},
                   {"tokenLength", context.token_length},
                   {"method", context.method},
                   {"scheme", context.scheme},
                   {"host", context.host},
                   {"path", context.path},
                   {"query", context.query},
                   {"httpVersion", context.http_version},
                   {"userAgent", context.user_agent},
                   {"peerAddress", context.peer_address},
                   {"peerPort", context.peer_port},
                   {"peerCertainty", context.peer_certainty},
                   {"localAddress", context.local_address},
                   {"direction", context.direction},
                   {"probe", context.probe},
                   {"workload", std::move(workload)}};
      for (const UseTraitRow& row : kUseTraits) {
        if ((context.traits & row.bit) != 0) json[row.word] = true;
      }
      const std::string text = json.dump();
      entry->second = text.substr(1, text.size() - 2);
    }
    out << R"({"time":")" << TimeText(use.time_us) << '"';
    if (use.token != 0) {
      out << ",\"tokenId\":" << Json(traffic.TokenName(use.token)).dump();
      const std::string& credential = traffic.CredentialOf(use.token);
      if (!credential.empty()) out << ",\"credentialId\":" << Json(credential).dump();
    }
    const UseSource& source = traffic.source(use.source);
    const uint32_t code = AnswerCode(use.status, use.grpc_status);
    out << ",\"status\":" << use.status << ",\"outcome\":\"" << OutcomeOf(code)
        << "\",\"latencyUs\":" << use.latency_us << ",\"count\":" << use.count
        << ",\"agent\":" << Json(source.agent).dump()
        << ",\"agentAddress\":" << Json(source.agent_address).dump() << ',' << entry->second
        << "}\n";
  }
}

void WriteLabels(const Traffic& traffic, std::ostream& out) {
  for (const Label& label : traffic.labels) {
    Json json = {{"tokenId", label.token_id},
                 {"from", TimeText(label.from_us)},
                 {"to", TimeText(label.to_us)},
                 {"kind", label.kind}};
    if (!label.others.empty()) json["tokenIds"] = label.others;
    out << json.dump() << '\n';
  }
}

}  // namespace tokenwatch
