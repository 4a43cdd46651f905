#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "agent/common/token_id.h"
#include "collector/store/outcome.h"
#include "collector/store/pod_labels.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/owner_finder.h"
#include "collector/store/sqlite/proto_time.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/text.h"
#include "collector/store/use_traits.h"
#include "collector/store/user_id.h"

namespace tokenwatch::sqlite {
namespace {

// Fills v1::Use from rows; remembers what the uses of an answer share.
class UseBuilder {
 public:
  explicit UseBuilder(Session* session)
      : database_(session->database.get()), dimensions_(session->dimensions.get()) {}

  v1::Use Build(const StoredUse& stored) {
    v1::Use use = Shape(stored.shape);
    SetTime(stored.time_us, use.mutable_time());
    const Token& token = TokenOf(stored.token);
    use.set_token_id(token.id);
    use.set_key_id(token.key);
    use.set_credential_id(token.credential);
    use.set_unresolved(token.id.empty());
    use.set_request_id(RequestIdText(stored.request_id, stored.request_packed));
    const auto code = static_cast<uint32_t>(stored.status);
    use.set_status(HttpStatusOf(code));
    use.set_outcome(OutcomeName(Classify(code)));
    use.set_latency_us(static_cast<uint64_t>(stored.latency_us));
    use.set_local_port(static_cast<uint32_t>(stored.local_port));
    use.set_count(static_cast<uint64_t>(stored.count));
    use.set_sequence(static_cast<uint64_t>(stored.sequence));
    const Source& source = SourceOf(stored.source);
    use.set_agent(source.agent);
    use.set_stream(source.stream);
    use.set_agent_address(source.address);
    *use.mutable_workload() = Workload(stored.workload);
    if (const OwnerRow* owner =
            dimensions_->owners()->OfUse(stored.token, stored.workload, stored.shape)) {
      use.set_owner(owner->owner);
    }
    return use;
  }

 private:
  struct Token {
    std::string id, key, credential;
  };
  struct Source {
    std::string agent, stream, address;
  };

  const std::string& Text(int64_t string) { return dimensions_->Text(string); }

  const v1::Use& Shape(int64_t id) {
    const auto [found, added] = shapes_.try_emplace(id);
    v1::Use& use = found->second;
    if (!added) return use;
    Statement& query = database_->Cached(
        "SELECT resource, format, carrier, token_length, scheme, query, http_version, user_agent, "
        "peer_address, peer_port, peer_certainty, local_address, probe, user_id FROM shapes WHERE "
        "id = ?");
    query.Start(id);
    if (!query.Next()) return use;
    const ResourceRow& resource = dimensions_->Resource(query.Int(0));
    use.set_method(Text(resource.method));
    use.set_host(Text(resource.host));
    use.set_path(Text(resource.path));
    use.set_provider(Text(resource.provider));
    use.set_direction(resource.inbound ? "inbound" : "outbound");
    for (const UseTraitRow& row : kUseTraits) (use.*row.set)((resource.traits & row.bit) != 0);
    use.set_format(Text(query.Int(1)));
    use.set_carrier(Text(query.Int(2)));
    use.set_token_length(static_cast<uint32_t>(query.Int(3)));
    use.set_scheme(Text(query.Int(4)));
    use.set_query(Text(query.Int(5)));
    use.set_http_version(Text(query.Int(6)));
    use.set_user_agent(Text(query.Int(7)));
    use.set_peer_address(Text(query.Int(8)));
    use.set_peer_port(static_cast<uint32_t>(query.Int(9)));
    use.set_peer_certainty(Text(query.Int(10)));
    use.set_local_address(Text(query.Int(11)));
    use.set_probe(Text(query.Int(12)));
    use.set_user_id(UserIdText(query.Bytes(13)));
    query.Reset();
    return use;
  }

  const v1::Workload& Workload(int64_t id) {
    const auto [found, added] = workloads_.try_emplace(id);
    v1::Workload& workload = found->second;
    if (!added) return workload;
    Statement& query = database_->Cached(
        "SELECT program, pid, started, parent_exe, uid, login_user, cgroup, labels FROM workloads "
        "WHERE id = ?");
    query.Start(id);
    if (!query.Next()) return workload;
    const ProgramRow& program = dimensions_->Program(query.Int(0));
    workload.set_host(Text(program.machine));
    workload.set_comm(Text(program.comm));
    workload.set_exe(Text(program.exe));
    workload.set_script(Text(program.script));
    workload.set_user(Text(program.user));
    workload.set_unit(Text(program.unit));
    workload.set_container_id(Text(program.container));
    workload.set_pod(Text(program.pod));
    workload.set_namespace_(Text(program.name_space));
    workload.set_service_account(Text(program.service_account));
    workload.set_container_name(Text(program.container_name));
    workload.set_image(Text(program.image));
    workload.set_pid(static_cast<uint32_t>(query.Int(1)));
    SetTime(query.Int(2), workload.mutable_start_time());
    workload.set_parent_exe(Text(query.Int(3)));
    workload.set_uid(static_cast<uint32_t>(query.Int(4)));
    workload.set_login_user(Text(query.Int(5)));
    workload.set_cgroup(Text(query.Int(6)));
    SplitPodLabels(Text(query.Int(7)), workload.mutable_labels());
    query.Reset();
    return workload;
  }

  const Token& TokenOf(int64_t number) {
    const auto [found, added] = tokens_.try_emplace(number);
    if (!added || number == 0) return found->second;
    Statement& query = database_->Cached("SELECT id, key FROM tokens WHERE number = ?");
    query.Start(number);
    if (query.Next()) {
      const absl::string_view id = query.Bytes(0);
      found->second.id = TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()});
      found->second.key = Text(query.Int(1));
    }
    query.Reset();
    if (const int64_t credential = CredentialOf(database_, number); credential != 0) {
      const auto [text, unread] = credentials_.try_emplace(credential);
      if (unread) text->second = CredentialText(database_, credential);
      found->second.credential = text->second;
    }
    return found->second;
  }

  const Source& SourceOf(int64_t id) {
    const auto [found, added] = sources_.try_emplace(id);
    if (!added) return found->second;
    Statement& query = database_->Cached(
        "SELECT agents.agent, streams.stream, sources.address FROM sources JOIN streams ON "
        "streams.id = sources.stream JOIN agents ON agents.id = streams.agent WHERE sources.id = "
        "?");
    query.Start(id);
    if (query.Next()) {
      found->second.agent = std::string(query.Bytes(0));
      found->second.stream = absl::BytesToHexString(query.Bytes(1));
      found->second.address = Text(query.Int(2));
    }
    query.Reset();
    return found->second;
  }

  Database* const database_;
  Dimensions* const dimensions_;
  absl::node_hash_map<int64_t, v1::Use> shapes_;
  absl::node_hash_map<int64_t, v1::Workload> workloads_;
  absl::node_hash_map<int64_t, Token> tokens_;
  absl::node_hash_map<int64_t, std::string> credentials_;
  absl::node_hash_map<int64_t, Source> sources_;
};

}  // namespace

std::vector<v1::Use> BuildUses(Session* session, const std::vector<StoredUse>& stored) {
  UseBuilder builder(session);
  std::vector<v1::Use> uses;
  uses.reserve(stored.size());
  for (const StoredUse& use : stored) uses.push_back(builder.Build(use));
  return uses;
}

v1::ListUsesResponse ListUses(Session* session, const Filter& filter, const PagePosition* page,
                              int64_t last_use) {
  Selection selection(filter, session->database.get(), session->dimensions.get());
  UseOrder before;
  if (page != nullptr) before = {page->time_us, page->row};
  std::vector<StoredUse> stored =
      NewestUses(session->database.get(), &selection, before, last_use, size_t{filter.limit} + 1);
  v1::ListUsesResponse response;
  if (stored.size() > filter.limit) {
    stored.pop_back();
    const StoredUse& last = stored.back();
    response.set_next_page_token(
        WritePageToken(ListKind::kUses, filter.fingerprint,
                       {filter.since_us, filter.until_us, last.time_us, last.number, last_use}));
  }
  for (v1::Use& use : BuildUses(session, stored)) *response.add_uses() = std::move(use);
  return response;
}

}  // namespace tokenwatch::sqlite
