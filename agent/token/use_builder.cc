#include "agent/token/use_builder.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "agent/common/facts.h"
#include "agent/common/text.h"
#include "agent/common/token_id.h"
#include "agent/token/answers/answer_facts.h"
#include "agent/token/lives/life_bodies.h"
#include "agent/token/paths/graphql.h"
#include "agent/token/paths/path.h"
#include "agent/token/request_text.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr size_t kMethodMax = 32;
constexpr size_t kUserAgentMax = 256;
constexpr size_t kCodingMax = 16;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Plain HTTP that another machine, or whoever is between, can read.
bool IsReadOnTheWay(const TokenUse& use) {
  const std::string& peer = use.peer.peer_address;
  return use.probe == "socket" && use.scheme == "http" && !peer.empty() &&
         peer != use.peer.local_address && !peer.starts_with("127.") && peer != "::1" &&
         !peer.starts_with("::ffff:127.");
}

}  // namespace

UseBuilder::UseBuilder(TokenReader* tokens, std::vector<std::string> cookies, const Clock* clock,
                       UseSink* sink, Limits limits)
    : tokens_(tokens),
      shapes_(&tokens->formats()),
      carriers_{.cookies = std::move(cookies), .shapes = &shapes_},
      clock_(clock),
      sink_(sink),
      limits_(limits) {}

void UseBuilder::OnRequest(const RequestHead& request) {
  const absl::Cleanup wipe = [this] { found_.Clear(); };
  FindCredentials(request, carriers_, &found_);
  Count(request, found_);
  const bool may_be_life =
      request.version_major == 1 && MayBeLifeCall(PathOfTarget(request.target));
  if (found_.credentials.empty() && request.unknown_fields == 0 && !may_be_life) return;
  const std::optional<TokenCache::Key> shape =
      may_be_life ? std::nullopt : ShapeOf(request, found_);
  std::optional<Draft> known =
      shape.has_value() ? BuildKnown(request, found_, *shape) : std::nullopt;
  Draft draft = known.has_value() ? *std::move(known) : Build(request, found_, shape);
  if (draft.uses.empty() && draft.life == nullptr) return;
  if (drafts_.size() >= limits_.exchanges) {
    ++counts_.answers_unseen;
    const Peer unknown;
    Answer none;
    none.peer = &unknown;
    if (drafts_.front().life == nullptr || !drafts_.front().life->answered) {
      TakeAnswer(none, &drafts_.front());
    }
    Finish(drafts_.begin());
  }
  drafts_.push_back(std::move(draft));
  by_exchange_[request.exchange] = std::prev(drafts_.end());
  counts_.waiting = drafts_.size();
}

void UseBuilder::OnAnswer(const Answer& answer) {
  const auto known = by_exchange_.find(answer.exchange);
  if (known == by_exchange_.end()) return;  // the request had no credential
  const Drafts::iterator draft = known->second;
  if (answer.kind == AnswerKind::kDiscarded) {
    counts_.discarded += draft->uses.size();
    draft->uses.clear();
    Finish(draft);
    return;
  }
  TakeAnswer(answer, &*draft);
  if (draft->life == nullptr || !patient_ || draft->life->until < clock_->Now()) Finish(draft);
}

void UseBuilder::OnBody(const Body& body) {
  const auto known = by_exchange_.find(body.exchange);
  // Of no call that is in the table: the kernel side knows it less well.
  if (known == by_exchange_.end() || known->second->life == nullptr) {
    ++counts_.bodies_unread;
    return;
  }
  const Drafts::iterator draft = known->second;
  if (!body.answer) {
    ReadAsked(body, &*draft);
    return;
  }
  ReadGiven(body, &*draft);
  Finish(draft);
}

void UseBuilder::Sweep() {
  const absl::Time now = clock_->Now();
  // Not by age: an early one may still wait for its answer.
  for (auto at = drafts_.begin(); at != drafts_.end();) {
    const Drafts::iterator draft = at++;
    if (draft->life == nullptr || !draft->life->answered || draft->life->until >= now) continue;
    ++counts_.bodies_unseen;
    Finish(draft);
  }
}

void UseBuilder::SetPatience(bool patient) {
  patient_ = patient;
  if (patient) return;
  for (auto at = drafts_.begin(); at != drafts_.end();) {
    const Drafts::iterator draft = at++;
    if (draft->life != nullptr && draft->life->answered) Finish(draft);
  }
}

void UseBuilder::Finish(Drafts::iterator draft) {
  Drafts finished;
  finished.splice(finished.begin(), drafts_, draft);
  by_exchange_.erase(draft->exchange);
  counts_.waiting = drafts_.size();
  for (DraftUse& one : draft->uses) {
    ++counts_.uses;
    if (one.use.unresolved) ++counts_.unresolved;
    sink_->OnUse(std::move(one.use));
  }
}

void UseBuilder::TakeAnswer(const Answer& answer, Draft* draft) {
  for (DraftUse& one : draft->uses) {
    TokenUse& use = one.use;
    use.peer = *answer.peer;
    if (IsReadOnTheWay(use)) use.traits |= trait::kCleartext;
    if (answer.kind != AnswerKind::kAnswered) continue;
    use.status = answer.status;
    use.grpc_status = answer.grpc_status;
    use.latency_us = answer.latency_ns / 1000;
    if (!use.unresolved) TakeAnswerFacts(answer, &one);
  }
  if (draft->life == nullptr) return;
  Life& life = *draft->life;
  life.answered = true;
  life.common.peer = *answer.peer;
  life.common.status = answer.status;
  life.common.latency_us = answer.latency_ns / 1000;
  const bool gives = life.row->gives_text || !life.row->given.front().name.empty();
  if (answer.kind != AnswerKind::kAnswered || answer.status / 100 != 2) return;
  if (life.row->event == LifeEvent::kRevokes) TellRevoked(draft);
  const std::string_view length = FirstField(answer.fields, "content-length");
  if (!gives || answer.status == 204 || length == "0") return;
  life.coding = FirstField(answer.fields, "content-encoding").substr(0, kCodingMax);
  life.until = clock_->Now() + kBodyPatience;
}

void UseBuilder::TellRevoked(Draft* draft) {
  const Life& life = *draft->life;
  const size_t by = life.proof != Life::kNone || draft->uses.empty() ? life.proof : 0;
  const size_t subject = life.subject != Life::kNone ? life.subject : by;
  if (subject >= draft->uses.size() || draft->uses[subject].use.unresolved) return;
  TokenUse& use = draft->uses[subject].use;
  std::vector<TokenFact> facts;
  facts.push_back(
      {fact::kRevoked, absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", use.time, absl::UTCTimeZone())});
  if (by < draft->uses.size() && !draft->uses[by].use.unresolved) {
    facts.push_back({fact::kRevokedBy, TokenIdText(draft->uses[by].use.tokens.front().token_id)});
  }
  Tell(std::move(facts), &use);
}

void UseBuilder::ReadAsked(const Body& body, Draft* draft) {
  Life& life = *draft->life;
  std::optional<AskedBody> asked = ReadAskedBody(*life.row, life.coding, body);
  life.coding.clear();
  if (!asked.has_value()) {
    ++counts_.bodies_undecoded;
    return;
  }
  if (!asked->is_call) life.row = &NoLifeCall();
  const std::string_view host = WithoutPort(life.common.host);
  for (const AskedSecret& one : asked->secrets) {
    Credential credential;
    credential.carrier = one.field->carrier;
    credential.secret = one.secret.view();
    DraftUse draft_use{.use = life.common};
    draft_use.use.carrier = credential.carrier;
    draft_use.use.unresolved = true;
    Describe(credential, host, "", &draft_use);
    // A client secret in header and body is one use.
    const auto same =
        std::find_if(draft->uses.begin(), draft->uses.end(), [&](const DraftUse& known) {
          return !known.use.unresolved && !draft_use.use.unresolved && known.key == draft_use.key;
        });
    const size_t place = static_cast<size_t>(same - draft->uses.begin());
    if (same == draft->uses.end()) {
      if (!draft_use.use.unresolved) Finalize(tokens_->Find(draft_use.key), &draft_use);
      draft->uses.push_back(std::move(draft_use));
    }
    size_t& role = one.field->role == AskedRole::kSpent     ? life.spent
                   : one.field->role == AskedRole::kSubject ? life.subject
                                                            : life.proof;
    if (role == Life::kNone) role = place;
  }
}

void UseBuilder::ReadGiven(const Body& body, Draft* draft) {
  Life& life = *draft->life;
  // Of an answer that gives nothing: an error, or a call that only asks.
  if (life.until == absl::InfinitePast()) return;
  const std::optional<std::vector<GivenSecret>> all = ReadGivenBody(*life.row, life.coding, body);
  if (!all.has_value()) {
    ++counts_.bodies_undecoded;
    return;
  }
  // The one that obtained them: what was spent for them, else what proved the right to have them,
  // else the first credential of the request.
  const size_t parent = life.spent != Life::kNone   ? life.spent
                        : life.proof != Life::kNone ? life.proof
                        : draft->uses.empty()       ? Life::kNone
                                                    : 0;
  const bool has_parent = parent < draft->uses.size() && !draft->uses[parent].use.unresolved;
  const std::vector<TokenPair> none;
  for (const GivenSecret& one : *all) {
    const bool replaces =
        has_parent && ((one.role == GivenRole::kRefresh && parent == life.spent) ||
                       one.role == GivenRole::kReplacement);
    const std::vector<TokenPair>& old = has_parent ? draft->uses[parent].use.tokens : none;
    const std::vector<TokenPair> given =
        tokens_->Learn(one.secret.view(), replaces ? fact::kRotatedFrom : fact::kBornFrom, old);
    // A server may answer with the refresh token that it was sent.
    if (given.empty() || !has_parent || given.front().token_id == old.front().token_id) continue;
    std::vector<TokenFact> facts;
    facts.push_back(
        {replaces ? fact::kRotatedTo : fact::kIssued, TokenIdText(given.front().token_id)});
    Tell(std::move(facts), &draft->uses[parent].use);
  }
}

void UseBuilder::TakeAnswerFacts(const Answer& answer, DraftUse* draft) {
  TokenUse& use = draft->use;
  const std::string_view host = WithoutPort(use.host);
  if (IsRedirect(answer.status)) {
    redirects_.Add(use.tokens.front().token_id, use.process, host,
                   HostOfLocation(FirstField(answer.fields, "location")), use.time);
  }
  const TokenAnswer what = {
      .fields = answer.fields, .status = answer.status, .host = host, .provider = use.provider};
  const uint64_t digest = AnswerDigest(what);
  if (digest == 0) return;
  KnownToken* const known = tokens_->Find(draft->key);
  const absl::Time now = clock_->Now();
  if (known != nullptr) {
    if (known->answer == digest && now - known->answer_told < kRetell) return;
    known->answer = digest;
    known->answer_told = now;
  }
  std::vector<TokenFact> facts;
  AddAnswerFacts(
      what, [this](std::string_view person) { return tokens_->HashPerson(person); },
      [this](std::string_view value) { return tokens_->MayHoldSecret(value); }, &facts);
  Tell(std::move(facts), &use);
}

void UseBuilder::Tell(std::vector<TokenFact> facts, TokenUse* use) {
  for (TokenFact& fact : facts) {
    if (use->facts.size() >= fact::kPerUseMax) {
      ++counts_.facts_dropped;
      continue;
    }
    use->facts.push_back(std::move(fact));
  }
}

std::optional<TokenCache::Key> UseBuilder::ShapeOf(const RequestHead& request,
                                                   const Extraction& found) {
  if (found.credentials.empty()) return std::nullopt;
  std::string_view host, user_agent;
  for (const HeaderField& field : request.fields) {
    if (field.name.size() == 4 && host.empty() && EqualsIgnoreCase(field.name, "host")) {
      host = field.value;
    } else if (field.name.size() == 10 && user_agent.empty() &&
               EqualsIgnoreCase(field.name, "user-agent")) {
      user_agent = field.value;
    } else if (field.name.size() == 4 && EqualsIgnoreCase(field.name, "dpop")) {
      return std::nullopt;
    } else if (field.name.size() > 20 &&
               EqualsIgnoreCase(field.name.substr(field.name.size() - 14), "operation-name")) {
      return std::nullopt;
    }
  }
  if (request.target.find("operationName") != std::string_view::npos) return std::nullopt;
  const char flags[] = {static_cast<char>(request.tls), static_cast<char>(request.inbound),
                        static_cast<char>(request.cut && request.fields.empty()),
                        static_cast<char>(request.version_major),
                        static_cast<char>(request.version_minor)};
  parts_.clear();
  for (const std::string_view part : {std::string_view(flags, sizeof(flags)), request.method,
                                      request.target, request.scheme, host, user_agent}) {
    parts_.push_back(part);
  }
  for (const Credential& credential : found.credentials) {
    if (credential.unresolved) return std::nullopt;
    parts_.push_back(credential.carrier);
    parts_.push_back(credential.secret);
    parts_.push_back(credential.user);
  }
  return tokens_->KeyOf(parts_);
}

std::optional<UseBuilder::Draft> UseBuilder::BuildKnown(const RequestHead& request,
                                                        const Extraction& found,
                                                        const TokenCache::Key& key) {
  const Shape* const shape = shapes_known_.Find(key);
  if (shape == nullptr) return std::nullopt;
  for (const DraftUse& one : shape->uses) {
    if (tokens_->Find(one.key) == nullptr) return std::nullopt;
  }
  Draft draft{.exchange = request.exchange, .begun = clock_->FromMonotonic(request.mono_ns)};
  draft.uses = shape->uses;
  const std::string request_id = RequestIdOf(request, found);
  // Each request counts for what the host's paths are.
  const std::string path =
      request.inbound ? shape->path : paths_.Learn(shape->uses.front().use.host, shape->path);
  for (DraftUse& one : draft.uses) {
    one.use.path = KeptPath(path, tokens_->privacy().paths);
    one.use.exchange = request.exchange;
    one.use.time = draft.begun;
    one.use.process = request.process;
    one.use.pid = request.pid;
    one.use.request_id = request_id;
    Finalize(tokens_->Find(one.key), &one);
  }
  return draft;
}

UseBuilder::Draft UseBuilder::Build(const RequestHead& request, const Extraction& found,
                                    const std::optional<TokenCache::Key>& shape) {
  std::vector<std::string_view> secret_bytes;
  secret_bytes.reserve(found.credentials.size());
  for (const Credential& credential : found.credentials) secret_bytes.push_back(credential.secret);
  const SecretFinder secrets(secret_bytes);

  const Privacy& privacy = tokens_->privacy();
  Resource resource = DescribeResource(request, secrets);
  // Inbound paths are of the host's own servers.
  const std::string reduced = resource.path;
  if (!request.inbound) {
    const std::string_view operation = OperationName(request, secrets);
    resource.path = paths_.Learn(resource.host, std::move(resource.path), operation);
    // Joined to the path it could complete a secret.
    if (!operation.empty() && secrets.Occurs(resource.path)) resource.path = kSecretMark;
  }
  TokenUse common;
  common.exchange = request.exchange;
  common.time = clock_->FromMonotonic(request.mono_ns);
  common.format = "opaque";
  common.method = SafeText(request.method, kMethodMax, secrets);
  common.scheme = std::move(resource.scheme);
  common.host = std::move(resource.host);
  common.path = KeptPath(std::move(resource.path), privacy.paths);
  if (privacy.query_names) common.query = std::move(resource.query);
  common.http_version = request.version_major == 1 ? absl::StrCat("1.", request.version_minor)
                                                   : absl::StrCat(request.version_major);
  common.user_agent =
      SafeText(KeptUserAgent(FirstField(request.fields, "user-agent"), privacy.user_agent),
               kUserAgentMax, secrets);
  common.request_id = RequestIdOf(request, found);
  common.process = request.process;
  common.pid = request.pid;
  common.inbound = request.inbound;
  common.probe = request.tls ? "openssl" : "socket";

  const std::string_view host = WithoutPort(common.host);
  const std::string_view dpop = FirstField(request.fields, "dpop");
  Draft draft{.exchange = request.exchange, .begun = common.time};
  draft.uses.reserve(found.credentials.size());
  for (const Credential& credential : found.credentials) {
    DraftUse one{.use = common};
    one.use.carrier = credential.carrier;
    one.use.unresolved = true;
    if (!credential.unresolved) Describe(credential, host, dpop, &one);
    draft.uses.push_back(std::move(one));
  }
  const auto is_resolved = [](const DraftUse& one) { return !one.use.unresolved; };
  if (shape.has_value() && shapes_known_.Find(*shape) == nullptr &&
      std::all_of(draft.uses.begin(), draft.uses.end(), is_resolved)) {
    Shape& known = shapes_known_.Add(*shape);
    known.uses = draft.uses;
    known.path = reduced;
  }
  for (DraftUse& one : draft.uses) {
    if (!one.use.unresolved) Finalize(tokens_->Find(one.key), &one);
  }
  // One of the fields that are unknown may hold a credential: counted, never guessed.
  if (draft.uses.empty() && request.unknown_fields != 0) {
    draft.uses.push_back({.use = common});
    draft.uses.back().use.unresolved = true;
  }
  if (request.version_major == 1) draft.life = BeginLife(request, common, host);
  return draft;
}

std::unique_ptr<UseBuilder::Life> UseBuilder::BeginLife(const RequestHead& request,
                                                        const TokenUse& common,
                                                        std::string_view host) {
  const std::string_view path = PathOfTarget(request.target);
  if (!MayBeLifeCall(path)) return nullptr;
  const LifeCallRow* const row = FindLifeCall(request.method, host, path);
  if (row == nullptr) return nullptr;
  ++counts_.life_calls;
  auto life = std::make_unique<Life>();
  life->row = row;
  life->common = common;
  life->coding = FirstField(request.fields, "content-encoding").substr(0, kCodingMax);
  return life;
}

void UseBuilder::Describe(const Credential& credential, std::string_view host,
                          std::string_view dpop, DraftUse* draft) {
  KnownToken* const known = tokens_->Read(credential, host, dpop);
  if (known == nullptr) return;
  TokenUse& use = draft->use;
  draft->key = tokens_->last_key();
  use.unresolved = false;
  use.tokens = known->tokens;
  use.format = known->format;
  use.provider = known->provider;
  use.token_length = static_cast<uint32_t>(credential.secret.size());
  use.user_ids = known->user_ids;
  use.traits = known->traits;
  if (!credential.secret_is_public &&
      (use.carrier.starts_with("query/") || use.carrier == "userinfo")) {
    use.traits |= trait::kInQuery;
  }
}

void UseBuilder::Finalize(KnownToken* known, DraftUse* draft) {
  TokenUse& use = draft->use;
  const std::string_view host = WithoutPort(use.host);
  if (known->expires.has_value() && use.time > *known->expires) {
    use.traits |= trait::kExpired;
  }
  if (redirects_.Follows(use.tokens.front().token_id, use.process, host, use.time)) {
    use.traits |= trait::kRedirected;
  }
  if (const absl::Time now = clock_->Now(); now - known->told >= kRetell) {
    known->told = now;
    Tell(known->facts, &use);
  }
  if (!known->links.empty()) Tell(std::exchange(known->links, {}), &use);
}

void UseBuilder::Count(const RequestHead& request, const Extraction& found) {
  ++counts_.requests;
  counts_.per_request += found.per_request;
  counts_.empty += found.empty;
  counts_.dropped += found.dropped;
  if (!found.credentials.empty()) return;
  if (request.unknown_fields != 0) {
    ++counts_.fields_unknown;
    return;
  }
  ++counts_.requests_without_token;
  // A credential may have stood where bytes are missing.
  if (request.cut) ++counts_.cut_without_token;
}

absl::Time UseBuilder::WaitingSince() const {
  return drafts_.empty() ? absl::InfiniteFuture() : drafts_.front().begun;
}

size_t UseBuilder::WaitingBefore(absl::Time time) const {
  return static_cast<size_t>(std::count_if(drafts_.begin(), drafts_.end(),
                                           [&](const Draft& draft) { return draft.begun < time; }));
}

void UseBuilder::AddCounters(Counters* counters) const {
  (*counters)["requests"] += counts_.requests;
  (*counters)["requests_without_token"] += counts_.requests_without_token;
  (*counters)["requests_with_unknown_fields"] += counts_.fields_unknown;
  (*counters)["requests_cut_token_unseen"] += counts_.cut_without_token;
  (*counters)["uses"] += counts_.uses;
  (*counters)["uses_unresolved"] += counts_.unresolved;
  (*counters)["uses_discarded"] += counts_.discarded;
  (*counters)["uses_waiting"] += counts_.waiting;
  (*counters)["credentials_per_request"] += counts_.per_request;
  (*counters)["credentials_empty"] += counts_.empty;
  (*counters)["credentials_dropped"] += counts_.dropped;
  (*counters)["answers_unseen"] += counts_.answers_unseen;
  (*counters)["token_facts_dropped"] += counts_.facts_dropped;
  (*counters)["life_calls"] += counts_.life_calls;
  (*counters)["bodies_unread"] += counts_.bodies_unread;
  (*counters)["bodies_undecoded_lost"] += counts_.bodies_undecoded;
  (*counters)["bodies_unseen"] += counts_.bodies_unseen;
  paths_.AddCounters(counters);
}

}  // namespace tokenwatch
