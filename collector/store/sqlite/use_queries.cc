#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "agent/common/token_id.h"
#include "collector/store/outcome.h"
#include "collector/store/proto_time.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/owner_finder.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/text.h"
#include "collector/store/sqlite/use_parts.h"
#include "collector/store/use_traits.h"
#include "collector/store/user_id.h"

namespace tokenwatch::sqlite {
namespace {

// Fills v1::Use from rows; remembers what the uses of an answer share.
class UseBuilder {
 public:
  explicit UseBuilder(Session* session)
      : session_(session),
        database_(session->database.get()),
        dimensions_(session->dimensions.get()) {}

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
    const SourceText& source = SourceOf(stored.source);
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

  const std::string& Text(int64_t string) { return dimensions_->Text(string); }

  const v1::Use& Shape(int64_t id) {
    const auto [found, added] = shapes_.try_emplace(id);
    v1::Use& use = found->second;
    if (!added) return use;
    const UseContext context = ReadShape(session_, id);
    use.set_method(context.method);
    use.set_host(context.host);
    use.set_path(context.path);
    use.set_provider(context.provider);
    use.set_direction(context.direction);
    for (const UseTraitRow& row : kUseTraits) (use.*row.set)((context.traits & row.bit) != 0);
    use.set_format(context.format);
    use.set_carrier(context.carrier);
    use.set_token_length(context.token_length);
    use.set_scheme(context.scheme);
    use.set_query(context.query);
    use.set_http_version(context.http_version);
    use.set_user_agent(context.user_agent);
    use.set_peer_address(context.peer_address);
    use.set_peer_port(context.peer_port);
    use.set_peer_certainty(context.peer_certainty);
    use.set_local_address(context.local_address);
    use.set_probe(context.probe);
    use.set_user_id(UserIdText(context.user_id));
    return use;
  }

  const v1::Workload& Workload(int64_t id) {
    const auto [found, added] = workloads_.try_emplace(id);
    if (added) found->second = ReadWorkload(session_, id);
    return found->second;
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

  const SourceText& SourceOf(int64_t id) {
    const auto [found, added] = sources_.try_emplace(id);
    if (added) {
      found->second = ReadSource(session_, id);
      found->second.stream = absl::BytesToHexString(found->second.stream);
    }
    return found->second;
  }

  Session* const session_;
  Database* const database_;
  Dimensions* const dimensions_;
  absl::node_hash_map<int64_t, v1::Use> shapes_;
  absl::node_hash_map<int64_t, v1::Workload> workloads_;
  absl::node_hash_map<int64_t, Token> tokens_;
  absl::node_hash_map<int64_t, std::string> credentials_;
  absl::node_hash_map<int64_t, SourceText> sources_;
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
