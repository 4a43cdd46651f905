#include "agent/report/stream_encoder.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "agent/common/facts.h"

namespace tokenwatch {
namespace {

constexpr size_t kTokenIdSize = 16;
constexpr int64_t kTellAgainMicros = int64_t{3600} * 1'000'000;

size_t TokensIn(const v1::TokenBlock& block) {
  const size_t size = kTokenIdSize * static_cast<size_t>(block.key_ids_size());
  return size == 0 ? 0 : block.token_ids().size() / size;
}

size_t TokensIn(const v1::Definitions& definitions) {
  size_t tokens = 0;
  for (const v1::TokenBlock& block : definitions.tokens()) tokens += TokensIn(block);
  return tokens;
}

// Calls `visit` with a pointer to each string index of a record, by its accessors.
template <typename Visit>
void ForStrings(v1::WorkloadRecord* w, Visit visit) {
  w->set_host(visit(w->host()));
  w->set_comm(visit(w->comm()));
  w->set_exe(visit(w->exe()));
  w->set_script(visit(w->script()));
  w->set_parent_exe(visit(w->parent_exe()));
  w->set_user(visit(w->user()));
  w->set_login_user(visit(w->login_user()));
  w->set_cgroup(visit(w->cgroup()));
  w->set_unit(visit(w->unit()));
  w->set_container_id(visit(w->container_id()));
  w->set_pod(visit(w->pod()));
  w->set_namespace_(visit(w->namespace_()));
  w->set_service_account(visit(w->service_account()));
  w->set_container_name(visit(w->container_name()));
  w->set_image(visit(w->image()));
  w->set_labels(visit(w->labels()));
}

template <typename Visit>
void ForStrings(v1::ContextRecord* c, Visit visit) {
  c->set_format(visit(c->format()));
  c->set_provider(visit(c->provider()));
  c->set_carrier(visit(c->carrier()));
  c->set_method(visit(c->method()));
  c->set_scheme(visit(c->scheme()));
  c->set_host(visit(c->host()));
  c->set_path(visit(c->path()));
  c->set_query(visit(c->query()));
  c->set_http_version(visit(c->http_version()));
  c->set_user_agent(visit(c->user_agent()));
  c->set_peer_address(visit(c->peer_address()));
  c->set_peer_certainty(visit(c->peer_certainty()));
  c->set_local_address(visit(c->local_address()));
  c->set_direction(visit(c->direction()));
  c->set_probe(visit(c->probe()));
}

template <typename Visit>
void ForStrings(v1::TlsCoverageRecord* r, Visit visit) {
  r->set_reason(visit(r->reason()));
  r->set_comm(visit(r->comm()));
  r->set_exe(visit(r->exe()));
  r->set_container_id(visit(r->container_id()));
  r->set_pod(visit(r->pod()));
  r->set_namespace_(visit(r->namespace_()));
  r->set_unit(visit(r->unit()));
}

bool AllBelow(const google::protobuf::RepeatedField<uint32_t>& indices, size_t limit) {
  return std::all_of(indices.begin(), indices.end(), [&](uint32_t i) { return i <= limit; });
}

// Whether every index has a definition.
bool Sound(v1::Batch* record) {
  v1::Definitions* definitions = record->mutable_definitions();
  const auto strings = static_cast<size_t>(definitions->strings_size());
  bool sound = true;
  const auto check = [&](uint32_t index) {
    sound = sound && index <= strings;
    return index;
  };
  for (v1::WorkloadRecord& workload : *definitions->mutable_workloads()) {
    ForStrings(&workload, check);
  }
  for (v1::ContextRecord& context : *definitions->mutable_contexts()) {
    ForStrings(&context, check);
    sound = sound && context.workload() <= static_cast<uint32_t>(definitions->workloads_size());
  }
  for (const v1::TokenBlock& block : definitions->tokens()) {
    sound = sound && AllBelow(block.key_ids(), strings);
  }
  const size_t tokens = TokensIn(*definitions);
  for (const v1::TokenFact& fact : definitions->token_facts()) {
    check(fact.name());
    check(fact.value());
    sound = sound && fact.token() != 0 && fact.token() <= tokens;
  }
  for (v1::TlsCoverageRecord& row : *record->mutable_tls_coverage()) ForStrings(&row, check);
  const v1::UseColumns& uses = record->uses();
  return sound && AllBelow(uses.request_id(), strings) && AllBelow(uses.token(), tokens) &&
         AllBelow(uses.context(), static_cast<size_t>(definitions->contexts_size()));
}

}  // namespace

bool StreamEncoder::Fits(const v1::Definitions& definitions) const {
  size_t bytes = string_bytes_;
  for (const std::string& text : definitions.strings()) bytes += text.size();
  const auto fits = [](size_t held, size_t more, size_t limit) { return held + more <= limit; };
  return bytes <= limits_.string_bytes &&
         fits(strings_.size(), static_cast<size_t>(definitions.strings_size()), limits_.strings) &&
         fits(workloads_.size(), static_cast<size_t>(definitions.workloads_size()),
              limits_.workloads) &&
         fits(contexts_.size(), static_cast<size_t>(definitions.contexts_size()),
              limits_.contexts) &&
         fits(tokens_.size(), TokensIn(definitions), limits_.tokens) &&
         fits(token_facts_.size() + whole_.size(),
              static_cast<size_t>(definitions.token_facts_size()), limits_.token_facts);
}

void StreamEncoder::Reset() {
  strings_.clear();
  workloads_.clear();
  contexts_.clear();
  tokens_.clear();
  token_facts_.clear();
  whole_.clear();
  string_bytes_ = 0;
  ++resets_;
}

absl::StatusOr<v1::Batch> StreamEncoder::Encode(v1::Batch record, std::string_view stream_id,
                                                uint64_t first_sequence) {
  if (!Sound(&record)) {
    return absl::InvalidArgumentError(
        absl::StrCat("record ", first_sequence, " uses what it does not define"));
  }
  v1::Batch batch;
  batch.set_stream_id(stream_id.data(), stream_id.size());
  batch.set_first_sequence(first_sequence);
  batch.set_base_time_us(record.base_time_us());
  if (!strings_.empty() && !Fits(record.definitions())) {
    Reset();
    batch.set_reset_dictionary(true);
  }
  v1::Definitions* from = record.mutable_definitions();
  v1::Definitions* to = batch.mutable_definitions();
  Translation map;
  TranslateStrings(*from, to, &map);
  TranslateWorkloads(from, to, &map);
  TranslateTokens(*from, to, &map);
  TranslateContexts(from, to, &map);
  TranslateFacts(*from, record.base_time_us(), to, map);
  if (to->ByteSizeLong() == 0) batch.clear_definitions();
  if (record.has_uses()) {
    v1::UseColumns* uses = record.mutable_uses();
    for (uint32_t& index : *uses->mutable_context()) index = map.contexts[index];
    for (uint32_t& index : *uses->mutable_token()) index = map.tokens[index];
    for (uint32_t& index : *uses->mutable_request_id()) index = map.strings[index];
    batch.mutable_uses()->Swap(uses);
  }
  batch.mutable_gaps()->Swap(record.mutable_gaps());
  for (v1::TlsCoverageRecord& row : *record.mutable_tls_coverage()) {
    ForStrings(&row, [&](uint32_t index) { return map.strings[index]; });
  }
  batch.mutable_tls_coverage()->Swap(record.mutable_tls_coverage());
  return batch;
}

void StreamEncoder::TranslateStrings(const v1::Definitions& from, v1::Definitions* to,
                                     Translation* map) {
  for (const std::string& text : from.strings()) {
    const auto [entry, added] =
        strings_.try_emplace(text, static_cast<uint32_t>(strings_.size() + 1));
    if (added) {
      to->add_strings(text);
      string_bytes_ += text.size();
    }
    map->strings.push_back(entry->second);
  }
}

void StreamEncoder::TranslateWorkloads(v1::Definitions* from, v1::Definitions* to,
                                       Translation* map) {
  for (v1::WorkloadRecord& workload : *from->mutable_workloads()) {
    ForStrings(&workload, [&](uint32_t index) { return map->strings[index]; });
    const auto [entry, added] = workloads_.try_emplace(
        workload.SerializeAsString(), static_cast<uint32_t>(workloads_.size() + 1));
    if (added) *to->add_workloads() = workload;
    map->workloads.push_back(entry->second);
  }
}

void StreamEncoder::TranslateTokens(const v1::Definitions& from, v1::Definitions* to,
                                    Translation* map) {
  for (const v1::TokenBlock& block : from.tokens()) {
    v1::TokenBlock fresh;
    for (const uint32_t key : block.key_ids()) fresh.add_key_ids(map->strings[key]);
    const absl::string_view keys(reinterpret_cast<const char*>(fresh.key_ids().data()),
                                 static_cast<size_t>(fresh.key_ids_size()) * sizeof(uint32_t));
    const size_t size = kTokenIdSize * static_cast<size_t>(block.key_ids_size());
    for (size_t i = 0; i < TokensIn(block); ++i) {
      const absl::string_view ids = absl::string_view(block.token_ids()).substr(i * size, size);
      const auto [entry, added] =
          tokens_.try_emplace(absl::StrCat(ids, keys), static_cast<uint32_t>(tokens_.size() + 1));
      if (added) fresh.mutable_token_ids()->append(ids.data(), ids.size());
      map->tokens.push_back(entry->second);
    }
    if (!fresh.token_ids().empty()) *to->add_tokens() = std::move(fresh);
  }
}

void StreamEncoder::TranslateContexts(v1::Definitions* from, v1::Definitions* to,
                                      Translation* map) {
  for (v1::ContextRecord& context : *from->mutable_contexts()) {
    ForStrings(&context, [&](uint32_t index) { return map->strings[index]; });
    context.set_workload(map->workloads[context.workload()]);
    const auto [entry, added] = contexts_.try_emplace(context.SerializeAsString(),
                                                      static_cast<uint32_t>(contexts_.size() + 1));
    if (added) *to->add_contexts() = context;
    map->contexts.push_back(entry->second);
  }
}

void StreamEncoder::TranslateFacts(const v1::Definitions& from, int64_t base_time_us,
                                   v1::Definitions* to, const Translation& map) {
  // A clock that was set back must not silence a fact for as long.
  const auto is_recent = [](int64_t since_us) {
    return since_us < kTellAgainMicros && since_us > -kTellAgainMicros;
  };
  const auto& facts = from.token_facts();
  for (int i = 0; i < facts.size();) {
    const v1::TokenFact& fact = facts[i];
    const int64_t time_us = base_time_us + fact.time_delta_us();
    const std::string_view word =
        fact.name() == 0 ? std::string_view()
                         : std::string_view(from.strings(static_cast<int>(fact.name()) - 1));
    // Those of one telling follow each other.
    std::vector<v1::TokenFact> told;
    do {
      v1::TokenFact& one = told.emplace_back(facts[i]);
      one.set_token(map.tokens[one.token()]);
      one.set_name(map.strings[one.name()]);
      one.set_value(map.strings[one.value()]);
      ++i;
    } while (fact::IsToldWhole(word) && i < facts.size() && facts[i].token() == fact.token() &&
             facts[i].name() == fact.name() && facts[i].time_delta_us() == fact.time_delta_us());
    const uint32_t token = told.front().token(), name = told.front().name();
    if (fact::IsToldWhole(word)) {
      std::vector<uint32_t> values;
      for (const v1::TokenFact& one : told) values.push_back(one.value());
      std::sort(values.begin(), values.end());
      const Whole now{absl::HashOf(values), time_us};
      const auto [entry, added] = whole_.try_emplace({token, name}, now);
      if (!added && entry->second.values == now.values &&
          is_recent(time_us - entry->second.sent_us)) {
        continue;
      }
      entry->second = now;
    } else {
      const auto [entry, added] =
          token_facts_.try_emplace({token, name, told.front().value()}, time_us);
      if (!added && is_recent(time_us - entry->second)) continue;
      entry->second = time_us;
    }
    for (v1::TokenFact& one : told) *to->add_token_facts() = std::move(one);
  }
}

}  // namespace tokenwatch
