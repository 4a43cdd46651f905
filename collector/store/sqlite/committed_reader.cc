#include "collector/store/sqlite/committed_reader.h"

#include <limits>

#include "absl/container/flat_hash_map.h"
#include "collector/store/outcome.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/text.h"
#include "collector/store/sqlite/use_parts.h"
#include "collector/store/sqlite/use_reader.h"

namespace tokenwatch::sqlite {

struct CommittedReader::Fresh {
  absl::flat_hash_map<int64_t, std::shared_ptr<const UseToken>> tokens;
  absl::flat_hash_map<int64_t, std::shared_ptr<const std::string>> credentials;  // by token
  absl::flat_hash_map<int64_t, std::shared_ptr<const std::string>> texts;        // by credential
};

std::vector<CommittedUse> CommittedReader::UsesSince(Session* session, int64_t* number,
                                                     size_t limit) {
  Database* const database = session->database.get();
  Fresh fresh;
  const auto credential_of = [&](int64_t token) {
    const auto [found, added] = fresh.credentials.try_emplace(token);
    if (!added) return found->second;
    if (const int64_t credential = CredentialOf(database, token); credential != 0) {
      std::shared_ptr<const std::string>& text = fresh.texts[credential];
      if (text == nullptr) {
        text = std::make_shared<std::string>(CredentialText(database, credential));
      }
      found->second = text;
    }
    return found->second;
  };
  Selection selection({}, database, session->dimensions.get());
  const std::vector<StoredUse> stored =
      UsesAfterNumber(database, &selection, limit, std::numeric_limits<int64_t>::max(), number);
  std::vector<CommittedUse> uses;
  uses.reserve(stored.size());
  for (const StoredUse& from : stored) {
    CommittedUse& use = uses.emplace_back();
    use.number = static_cast<uint64_t>(from.number);
    use.sequence = static_cast<uint64_t>(from.sequence);
    use.source = Source(session, from.source);
    use.row.context = Context(session, from.workload, from.shape);
    if (from.token != 0) {
      use.row.token = Token(session, from.token, &fresh);
      use.credential = credential_of(from.token);
    }
    use.row.time_us = from.time_us;
    const auto code = static_cast<uint32_t>(from.status);
    use.row.status = HttpStatusOf(code);
    use.row.grpc_status = GrpcStatusOf(code);
    use.row.latency_us = static_cast<uint64_t>(from.latency_us);
    use.row.local_port = static_cast<uint32_t>(from.local_port);
    use.row.count = static_cast<uint32_t>(from.count);
    use.row.request_id = RequestIdText(from.request_id, from.request_packed);
  }
  return uses;
}

void CommittedReader::ForEachFact(Session* session, absl::Span<const std::string_view> names,
                                  absl::FunctionRef<void(const TokenFactRow&)> take) {
  absl::flat_hash_map<int64_t, std::string> wanted;
  for (const std::string_view name : names) {
    Statement& find = session->database->Cached("SELECT id FROM strings WHERE text = ?");
    find.Start(absl::string_view(name.data(), name.size()));
    if (find.Next()) wanted[find.Int(0)] = std::string(name);
    find.Reset();
  }
  if (wanted.empty()) return;
  // In the order of the table's key, so that a token's ids are read once.
  Fresh fresh;
  Statement& query = session->database->Cached("SELECT token, name, value, last FROM token_facts");
  query.Start();
  while (query.Next()) {
    const auto name = wanted.find(query.Int(1));
    if (name == wanted.end()) continue;
    const int64_t number = query.Int(0);
    if (!fresh.tokens.contains(number)) fresh.tokens.clear();
    TokenFactRow fact;
    fact.token = Token(session, number, &fresh);
    fact.name = name->second;
    fact.value = std::string(query.Bytes(2));
    fact.time_us = query.Int(3);
    take(fact);
  }
}

std::shared_ptr<const UseContext> CommittedReader::Context(Session* session, int64_t workload,
                                                           int64_t shape) {
  const std::pair<int64_t, int64_t> key = {workload, shape};
  if (const auto* known = contexts_.Find(key)) return *known;
  auto context = std::make_shared<UseContext>(ReadShape(session, shape));
  context->id = ++next_id_;
  context->workload = ReadWorkload(session, workload);
  // Not known, as ingest has it.
  if (context->workload.start_time().seconds() == 0 &&
      context->workload.start_time().nanos() == 0) {
    context->workload.clear_start_time();
  }
  return *contexts_.Insert(key, std::move(context));
}

std::shared_ptr<const UseSource> CommittedReader::Source(Session* session, int64_t id) {
  if (const auto* known = sources_.Find(id)) return *known;
  SourceText text = ReadSource(session, id);
  return *sources_.Insert(
      id, std::make_shared<UseSource>(
              UseSource{std::move(text.agent), std::move(text.address), std::move(text.stream)}));
}

const std::shared_ptr<const UseToken>& CommittedReader::Token(Session* session, int64_t number,
                                                              Fresh* fresh) {
  std::shared_ptr<const UseToken>& token = fresh->tokens[number];
  if (token != nullptr) return token;
  std::vector<std::pair<std::string, std::string>> ids = ReadTokenIds(session, number);
  // One more id may have joined it since.
  const std::shared_ptr<const UseToken>* known = tokens_.Find(number);
  if (known != nullptr && (*known)->ids == ids) {
    token = *known;
    return token;
  }
  token = std::make_shared<UseToken>(UseToken{++next_id_, std::move(ids)});
  tokens_.Insert(number, token);
  return token;
}

void CommittedReader::Forget() {
  contexts_.Clear();
  tokens_.Clear();
  sources_.Clear();
}

}  // namespace tokenwatch::sqlite
