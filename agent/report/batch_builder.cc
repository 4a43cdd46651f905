#include "agent/report/batch_builder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/ascii.h"
#include "agent/common/facts.h"
#include "agent/common/request_id.h"

namespace tokenwatch {
namespace {

static_assert(trait::kForeignHost == v1::USE_TRAIT_FOREIGN_HOST);
static_assert(trait::kInQuery == v1::USE_TRAIT_IN_QUERY);
static_assert(trait::kCleartext == v1::USE_TRAIT_CLEARTEXT);
static_assert(trait::kExpired == v1::USE_TRAIT_EXPIRED);
static_assert(trait::kAlgNone == v1::USE_TRAIT_ALG_NONE);
static_assert(trait::kRedirected == v1::USE_TRAIT_REDIRECTED);
static_assert(trait::kByContext == v1::USE_TRAIT_BY_CONTEXT);
static_assert(trait::kBadChecksum == v1::USE_TRAIT_BAD_CHECKSUM);

constexpr int64_t kMaxMicros = int64_t{253402300799} * 1'000'000;  // the end of the year 9999
constexpr size_t kColumnBytes = 22;                                // of one use, about
// Bytes of fixed fields and framing, about.
constexpr size_t kWorkloadBytes = 48;
constexpr size_t kContextBytes = 64;
constexpr size_t kGapBytes = 40;
constexpr size_t kTlsCoverageBytes = 48;
// More than on the wire: a collector keeps as many facts of a batch as it has bytes for.
constexpr size_t kFactBytes = 32;
constexpr size_t kMaxFactName = 64;

std::string_view Bytes(const TokenIdBytes& id) {
  return {reinterpret_cast<const char*>(id.data()), id.size()};
}

const char* Name(PeerCertainty certainty) {
  switch (certainty) {
    case PeerCertainty::kExact:
      return "exact";
    case PeerCertainty::kInferred:
      return "inferred";
    case PeerCertainty::kUnknown:
      break;
  }
  return "unknown";
}

bool IsFactName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxFactName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

// Drops a column that says nothing.
void OmitDefaults(google::protobuf::RepeatedField<uint32_t>* column) {
  if (std::all_of(column->begin(), column->end(), [](uint32_t v) { return v == 0; })) {
    column->Clear();
  }
}

}  // namespace

int64_t WireMicros(absl::Time time) {
  return std::clamp<int64_t>(absl::ToUnixMicros(time), 0, kMaxMicros);
}

bool BatchBuilder::full() const {
  return static_cast<int>(info_.uses + info_.gaps) >= kMaxRecords || bytes_ >= kMaxBytes;
}

uint32_t BatchBuilder::String(absl::string_view text) {
  if (text.empty()) return 0;
  if (text.size() > kMaxString) {
    text = text.substr(0, kMaxString);
    ++strings_cut_;
  }
  const auto [entry, added] =
      strings_.try_emplace(text, static_cast<uint32_t>(strings_.size() + 1));
  if (added) {
    batch_.mutable_definitions()->add_strings(text.data(), text.size());
    bytes_ += text.size() + 3;
  }
  return entry->second;
}

uint32_t BatchBuilder::WorkloadIndex(const std::shared_ptr<const Workload>& workload) {
  if (!workload) return 0;
  const auto [entry, added] =
      workloads_.try_emplace(workload, static_cast<uint32_t>(workloads_.size() + 1));
  if (!added) return entry->second;
  v1::WorkloadRecord* record = batch_.mutable_definitions()->add_workloads();
  record->set_host(String(workload->host));
  record->set_pid(workload->pid);
  record->set_start_time_us(WireMicros(workload->start_time));
  record->set_comm(String(workload->comm));
  record->set_exe(String(workload->exe));
  record->set_script(String(workload->script));
  record->set_parent_exe(String(workload->parent_exe));
  record->set_uid(workload->uid);
  record->set_user(String(workload->user));
  record->set_login_uid(workload->login_uid);
  record->set_login_user(String(workload->login_user));
  record->set_cgroup(String(workload->cgroup));
  record->set_unit(String(workload->unit));
  record->set_container_id(String(workload->container_id));
  record->set_pod(String(workload->pod));
  record->set_namespace_(String(workload->namespace_name));
  record->set_service_account(String(workload->service_account));
  record->set_container_name(String(workload->container_name));
  record->set_image(String(workload->image));
  record->set_labels(String(workload->labels));
  bytes_ += kWorkloadBytes;
  return entry->second;
}

uint32_t BatchBuilder::TokenIndex(const TokenUse& use) {
  if (use.credential->tokens.empty()) return 0;
  std::string ids;
  std::vector<uint32_t> keys;
  for (const TokenPair& pair : use.credential->tokens) {
    keys.push_back(String(pair.key_id));
    ids.append(Bytes(pair.token_id));
  }
  std::string identity = ids;
  identity.append(reinterpret_cast<const char*>(keys.data()), keys.size() * sizeof(uint32_t));
  const auto [entry, added] =
      tokens_.try_emplace(std::move(identity), static_cast<uint32_t>(tokens_.size() + 1));
  if (!added) return entry->second;
  auto* blocks = batch_.mutable_definitions()->mutable_tokens();
  if (blocks->empty() || !std::equal(keys.begin(), keys.end(), blocks->rbegin()->key_ids().begin(),
                                     blocks->rbegin()->key_ids().end())) {
    blocks->Add()->mutable_key_ids()->Add(keys.begin(), keys.end());
  }
  blocks->rbegin()->mutable_token_ids()->append(ids);
  bytes_ += ids.size();
  return entry->second;
}

uint32_t BatchBuilder::ContextIndex(const TokenUse& use, uint32_t workload) {
  // In the order of ContextRecord's fields.
  const std::array<uint32_t, 19> fields = {workload,
                                           String(use.credential->format),
                                           String(use.credential->provider),
                                           String(use.credential->carrier),
                                           use.credential->token_length,
                                           String(use.request->method),
                                           String(use.request->scheme),
                                           String(use.request->host),
                                           String(use.request->path),
                                           String(use.request->query),
                                           String(use.request->http_version),
                                           String(use.request->user_agent),
                                           String(use.peer.peer_address),
                                           use.peer.peer_port,
                                           String(Name(use.peer.certainty)),
                                           String(use.peer.local_address),
                                           String(use.request->inbound ? "inbound" : "outbound"),
                                           String(use.request->probe),
                                           use.traits};
  const std::string_view user = use.credential->user_ids.empty()
                                    ? std::string_view()
                                    : Bytes(use.credential->user_ids.front());
  std::string identity(reinterpret_cast<const char*>(fields.data()), sizeof(fields));
  identity.append(user);
  const auto [entry, added] =
      contexts_.try_emplace(std::move(identity), static_cast<uint32_t>(contexts_.size() + 1));
  if (!added) return entry->second;
  v1::ContextRecord* record = batch_.mutable_definitions()->add_contexts();
  record->set_workload(fields[0]);
  record->set_format(fields[1]);
  record->set_provider(fields[2]);
  record->set_carrier(fields[3]);
  record->set_token_length(fields[4]);
  record->set_user_id(user.data(), user.size());
  record->set_method(fields[5]);
  record->set_scheme(fields[6]);
  record->set_host(fields[7]);
  record->set_path(fields[8]);
  record->set_query(fields[9]);
  record->set_http_version(fields[10]);
  record->set_user_agent(fields[11]);
  record->set_peer_address(fields[12]);
  record->set_peer_port(fields[13]);
  record->set_peer_certainty(fields[14]);
  record->set_local_address(fields[15]);
  record->set_direction(fields[16]);
  record->set_probe(fields[17]);
  record->set_traits(fields[18]);
  bytes_ += kContextBytes;
  return entry->second;
}

void BatchBuilder::AddFacts(const TokenUse& use, uint32_t token) {
  if (token == 0) return;
  size_t told = 0;
  const int64_t delta_us = WireMicros(use.time) - batch_.base_time_us();
  const auto add = [&](uint32_t name, uint32_t value) {
    v1::TokenFact* record = batch_.mutable_definitions()->add_token_facts();
    record->set_token(token);
    record->set_name(name);
    record->set_value(value);
    record->set_time_delta_us(delta_us);
    bytes_ += kFactBytes;
  };
  absl::btree_map<uint32_t, std::vector<uint32_t>> whole;  // values by name
  for (const TokenFact& fact : use.facts) {
    const std::string_view value = std::string_view(fact.value).substr(0, fact::kValueMax);
    if (!IsFactName(fact.name) || value.empty() ||
        !std::all_of(value.begin(), value.end(), absl::ascii_isprint) ||
        ++told > fact::kPerUseMax) {
      ++facts_dropped_;
      continue;
    }
    const uint32_t name = String(absl::string_view(fact.name.data(), fact.name.size()));
    const uint32_t text = String(absl::string_view(value.data(), value.size()));
    if (fact::IsToldWhole(fact.name)) {
      whole[name].push_back(text);
    } else if (facts_.emplace(token, name, text).second) {
      add(name, text);
    }
  }
  for (auto& [name, values] : whole) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    std::vector<uint32_t>& last = whole_[{token, name}];
    if (values == last) continue;
    for (const uint32_t value : values) add(name, value);
    last = std::move(values);
  }
}

void BatchBuilder::AddUse(const TokenUse& use, const std::shared_ptr<const Workload>& workload) {
  const int64_t time_us = WireMicros(use.time);
  const uint32_t count = std::max<uint32_t>(use.count, 1);
  if (info_.uses == 0) {
    batch_.set_base_time_us(time_us);
    info_.since_us = info_.until_us = time_us;
  }
  v1::UseColumns* columns = batch_.mutable_uses();
  columns->add_context(ContextIndex(use, WorkloadIndex(workload)));
  const uint32_t token = TokenIndex(use);
  columns->add_token(token);
  AddFacts(use, token);
  columns->add_time_delta_us(time_us - batch_.base_time_us());
  columns->add_status(static_cast<uint32_t>(std::max(use.status, 0)));
  columns->add_grpc_status(static_cast<uint32_t>(use.grpc_status.value_or(-1) + 1));
  columns->add_latency_us(use.latency_us);
  columns->add_local_port(use.peer.local_port);
  columns->add_count(count);
  std::string request_id = PackRequestId(use.request_id);
  columns->add_request_id(request_id.empty() ? String(use.request_id) : 0);
  bytes_ += request_id.size();
  request_ids_packed_ = request_ids_packed_ || !request_id.empty();
  columns->add_packed_request_id(std::move(request_id));
  counts_differ_ = counts_differ_ || count != 1;
  bytes_ += kColumnBytes;
  ++info_.uses;
  info_.counted += count;
  info_.since_us = std::min(info_.since_us, time_us);
  info_.until_us = std::max(info_.until_us, time_us);
}

void BatchBuilder::AddGap(const Gap& gap) {
  const auto cut = [](const std::string& text) { return text.substr(0, kMaxString); };
  v1::Gap record;
  record.set_kind(cut(gap.kind));
  record.set_detail(cut(gap.detail));
  record.set_count(gap.count);
  record.set_since_us(WireMicros(gap.since));
  record.set_until_us(WireMicros(gap.until));
  record.set_pid(gap.pid);
  record.set_comm(cut(gap.comm));
  record.set_exe(cut(gap.exe));
  AddGap(record);
}

void BatchBuilder::AddGap(const v1::Gap& gap) {
  bytes_ += kGapBytes + gap.detail().size() + gap.comm().size() + gap.exe().size();
  *batch_.add_gaps() = gap;
  ++info_.gaps;
}

void BatchBuilder::AddTlsCoverage(const TlsCoverage& row) {
  v1::TlsCoverageRecord* record = batch_.add_tls_coverage();
  record->set_reason(String(row.reason));
  record->set_connections(row.connections);
  record->set_since_us(WireMicros(row.since));
  record->set_until_us(WireMicros(row.until));
  record->set_pid(row.pid);
  record->set_comm(String(row.comm));
  record->set_exe(String(row.exe));
  record->set_container_id(String(row.container_id));
  record->set_pod(String(row.pod));
  record->set_namespace_(String(row.namespace_));
  record->set_unit(String(row.unit));
  bytes_ += kTlsCoverageBytes;
  ++info_.gaps;
}

SpoolRecord BatchBuilder::Finish(uint64_t first_sequence, absl::Time spooled) {
  if (info_.uses != 0) {
    v1::UseColumns* columns = batch_.mutable_uses();
    if (!counts_differ_) columns->clear_count();
    OmitDefaults(columns->mutable_status());
    OmitDefaults(columns->mutable_grpc_status());
    OmitDefaults(columns->mutable_local_port());
    OmitDefaults(columns->mutable_request_id());
    if (!request_ids_packed_) columns->clear_packed_request_id();
    OmitDefaults(columns->mutable_token());
  }
  SpoolRecord record{info_, ""};
  record.info.first_sequence = first_sequence;
  record.info.spooled_us = WireMicros(spooled);
  batch_.SerializeToString(&record.payload);
  const uint64_t strings_cut = strings_cut_;
  const uint64_t facts_dropped = facts_dropped_;
  *this = BatchBuilder();
  strings_cut_ = strings_cut;
  facts_dropped_ = facts_dropped;
  return record;
}

std::vector<TlsCoverage> TlsCoverageOf(const v1::Batch& batch) {
  const auto& strings = batch.definitions().strings();
  std::vector<TlsCoverage> rows;
  for (const v1::TlsCoverageRecord& record : batch.tls_coverage()) {
    bool sound = true;
    const auto text = [&](uint32_t index) -> std::string {
      if (index == 0) return "";
      sound = sound && index <= static_cast<uint32_t>(strings.size());
      return sound ? strings[static_cast<int>(index - 1)] : "";
    };
    TlsCoverage row{.reason = text(record.reason()),
                    .connections = record.connections(),
                    .since = absl::FromUnixMicros(record.since_us()),
                    .until = absl::FromUnixMicros(record.until_us()),
                    .pid = record.pid(),
                    .comm = text(record.comm()),
                    .exe = text(record.exe()),
                    .container_id = text(record.container_id()),
                    .pod = text(record.pod()),
                    .namespace_ = text(record.namespace_()),
                    .unit = text(record.unit())};
    if (sound) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace tokenwatch
