#include "agent/token/use_builder.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "agent/common/facts.h"
#include "agent/common/text.h"
#include "agent/token/answers/answer_facts.h"
#include "agent/token/answers/host_text.h"
#include "agent/token/paths/graphql.h"
#include "agent/token/paths/path.h"
#include "agent/token/request_text.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr size_t kMethodMax = 32;
constexpr size_t kUserAgentMax = 256;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Plain HTTP that another machine, or whoever is between, can read.
bool IsReadOnTheWay(const TokenUse& use) {
  // Whatever scheme a request names: what was read at the socket was sent so.
  const std::string_view peer = WithoutMapping(use.peer.peer_address);
  return use.request->probe == "socket" && !peer.empty() &&
         peer != WithoutMapping(use.peer.local_address) && !IsOfThisMachine(peer);
}

std::shared_ptr<const UseCredential> Unresolved(std::string_view carrier) {
  auto credential = std::make_shared<UseCredential>();
  credential->unresolved = true;
  credential->format = "opaque";
  credential->carrier = carrier;
  return credential;
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
  const bool may_be_life = MayBeLifeCall(PathOfTarget(request.target));
  if (found_.credentials.empty() && request.unknown_fields == 0 && !may_be_life) return;
  Draft& draft = SpareDraft();
  Build(request, found_, may_be_life, &draft);
  if (draft.uses.empty() && draft.life == nullptr) return;
  Drafts built;
  built.splice(built.begin(), spare_, spare_.begin());
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
  drafts_.splice(drafts_.end(), built);
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
  if (!patient_ || !AwaitsBody(*draft)) Finish(draft);
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
  } else if (draft->life->answered) {
    ReadGiven(body, &*draft);
  } else {
    // One that calls itself gRPC ends later than its body.
    ++counts_.bodies_unread;
  }
  if (draft->life->answered && !AwaitsBody(*draft)) Finish(draft);
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

bool UseBuilder::AwaitsBody(const Draft& draft) {
  return draft.life != nullptr && (draft.life->awaits_asked || draft.life->awaits_given);
}

UseBuilder::Draft& UseBuilder::SpareDraft() {
  if (spare_.empty()) spare_.emplace_front();
  Draft& draft = spare_.front();
  draft.uses.clear();
  draft.windows.Clear();
  draft.life.reset();
  return draft;
}

void UseBuilder::Finish(Drafts::iterator draft) {
  HideTokens(&*draft);
  if (draft->life != nullptr) TellLife(&*draft);
  spare_.splice(spare_.begin(), drafts_, draft);
  TokenUse& common = draft->common;
  by_exchange_.erase(common.exchange);
  counts_.waiting = drafts_.size();
  const uint32_t traits = IsReadOnTheWay(common) ? trait::kCleartext : 0;
  for (DraftUse& one : draft->uses) {
    ++counts_.uses;
    if (one.credential->unresolved) ++counts_.unresolved;
    common.credential = std::move(one.credential);
    common.traits = one.traits | traits;
    common.facts = std::move(one.facts);
    sink_->OnUse(common);
  }
  draft->uses.clear();
  draft->windows.Clear();
  draft->life.reset();
  if (spare_.size() > kSpareDrafts) spare_.pop_back();
}

void UseBuilder::TakeAnswer(const Answer& answer, Draft* draft) {
  TokenUse& common = draft->common;
  common.peer = *answer.peer;
  if (answer.kind == AnswerKind::kAnswered) {
    common.status = answer.status;
    common.grpc_status = answer.grpc_status;
    common.latency_us = answer.latency_ns / 1000;
    const std::string_view host = WithoutPort(common.request->host);
    const absl::Time now = clock_->Now();
    for (DraftUse& one : draft->uses) {
      if (!one.credential->unresolved) TakeAnswerFacts(answer, draft, host, now, &one);
      if (one.tells_home && !common.request->inbound) {
        homes_.Observe(one.credential->provider, host, answer.status / 100 == 2, common.time);
      }
    }
  }
  if (draft->life == nullptr) return;
  Life& life = *draft->life;
  life.answered = true;
  if (answer.kind != AnswerKind::kAnswered) {
    life.awaits_asked = false;
    return;
  }
  life.succeeded = answer.status / 100 == 2;
  life.until = clock_->Now() + kBodyPatience;
  const std::string_view length = FirstField(answer.fields, "content-length");
  if (answer.status == 204 || length == "0") return;
  // Of a refusal (RFC 6749 section 5.2) the reason is awaited.
  const LifeCallRow& row = life.story.row();
  const bool gives = row.gives_text || !row.given.front().name.empty();
  const bool may_refuse =
      row.event == LifeEvent::kObtains && (answer.status == 400 || answer.status == 401);
  life.awaits_given = life.succeeded
                          ? gives || row.event == LifeEvent::kChecks || !row.denied_by.empty()
                          : may_refuse && gives;
  life.given_coding = FirstField(answer.fields, "content-encoding").substr(0, kCodingMax);
}

void UseBuilder::TakeAnswerFacts(const Answer& answer, Draft* draft, std::string_view host,
                                 absl::Time now, DraftUse* use) {
  const TokenUse& common = draft->common;
  if (IsRedirect(answer.status)) {
    redirects_.Add(use->credential->tokens.front().token_id, common.process, host,
                   HostOfLocation(FirstField(answer.fields, "location")), common.time);
  }
  const TokenAnswer what = {.fields = answer.fields,
                            .status = answer.status,
                            .host = host,
                            .provider = use->credential->provider};
  const uint64_t digest = AnswerDigest(what);
  if (digest == 0) return;
  if (KnownToken* const known = tokens_->Find(use->key)) {
    if (known->answer == digest && now - known->answer_told < kRetell) return;
    known->answer = digest;
    known->answer_told = now;
  }
  std::vector<TokenFact> facts;
  const AnswerWork work = AddAnswerFacts(
      what, [this](std::string_view person) { return tokens_->HashPerson(person); },
      [&](std::string_view value) { return MayHoldSecret(draft, value); }, &facts);
  counts_.facts_dropped += work.dropped;
  Tell(std::move(facts), use);
}

bool UseBuilder::MayHoldSecret(Draft* draft, std::string_view text) {
  if (tokens_->MayHoldSecret(text) || draft->windows.AnyMayOccurIn(text)) return true;
  // Of a token whose bytes are not known anything may be a part.
  return text.size() >= SecretFinder::kWindow &&
         std::any_of(draft->uses.begin(), draft->uses.end(),
                     [](const DraftUse& one) { return one.credential->unresolved; });
}

void UseBuilder::Tell(std::vector<TokenFact> facts, DraftUse* use) {
  for (TokenFact& fact : facts) {
    if (use->facts.size() >= fact::kPerUseMax) {
      ++counts_.facts_dropped;
      continue;
    }
    use->facts.push_back(std::move(fact));
  }
}

std::optional<TokenCache::Key> UseBuilder::AskedKey(const RequestHead& request,
                                                    const BesideFields& beside) {
  if (beside.may_name_operation) return std::nullopt;
  SipHash hash = tokens_->NewHash();
  hash.Word(uint64_t{request.tls} | uint64_t{request.inbound} << 1 |
            uint64_t{request.cut && request.fields.empty()} << 2 |
            uint64_t{static_cast<uint8_t>(request.version_major)} << 8 |
            uint64_t{static_cast<uint8_t>(request.version_minor)} << 16);
  for (const std::string_view part : {request.method, request.target, request.scheme}) {
    hash.Text(part);
  }
  hash.Text(ValueOf(beside.host));
  hash.Text(ValueOf(beside.user_agent));
  return hash.End();
}

std::shared_ptr<const UseRequest> UseBuilder::TakeRequest(const RequestHead& request,
                                                          const Extraction& found,
                                                          const BesideFields& beside) {
  const std::optional<TokenCache::Key> key = AskedKey(request, beside);
  Asked* const asked = key.has_value() ? asked_.Find(*key) : nullptr;
  const auto& credentials = found.credentials;
  if (asked != nullptr && found.dropped_secrets.empty() &&
      std::none_of(credentials.begin(), credentials.end(), [&](const Credential& one) {
        return !one.secret_is_public && MayShare(asked->texts, one.secret);
      })) {
    // Each request counts for what the host's paths are.
    if (request.inbound || paths_.LearnAgain(asked->way)) return asked->request;
    std::string path = KeptPath(paths_.Learn(asked->request->host, asked->path, {}, &asked->way),
                                tokens_->privacy().paths);
    if (path != asked->request->path) {
      auto wider = std::make_shared<UseRequest>(*asked->request);
      wider->path = std::move(path);
      asked->request = std::move(wider);
    }
    return asked->request;
  }

  // What comes once only is not worth its memory.
  bool is_first = true;
  if (key.has_value() && asked == nullptr) {
    uint64_t& seen = seen_once_[(*key)[0] % kSeenOnce];
    is_first = std::exchange(seen, (*key)[1]) != (*key)[1];
  }
  std::vector<std::string_view> secret_bytes;
  AppendSecrets(found, &secret_bytes);
  const SecretFinder secrets(secret_bytes, is_first ? nullptr : &asked_texts_, &shapes_);
  std::string path;
  PathLearner::Way way;
  std::shared_ptr<const UseRequest> taken =
      ReadRequest(request, secrets, &path, is_first ? nullptr : &way);
  if (is_first) return taken;
  // Nothing of it depends on a secret if none was found, and none will be where a secret has no
  // block in what was searched.
  BlockSet texts;
  if (!secrets.has_found() && asked_texts_.Fill(&texts)) {
    Asked& known = asked_.Add(*key);
    known.path = std::move(path);
    known.way = std::move(way);
    known.request = taken;
    known.texts = std::move(texts);
  }
  asked_texts_.Clear();
  return taken;
}

std::shared_ptr<const UseRequest> UseBuilder::ReadRequest(const RequestHead& request,
                                                          const SecretFinder& secrets,
                                                          std::string* path,
                                                          PathLearner::Way* way) {
  const Privacy& privacy = tokens_->privacy();
  Resource resource = DescribeResource(request, secrets);
  *path = resource.path;
  // Inbound paths are of the host's own servers.
  if (!request.inbound) {
    const std::string_view operation = OperationName(request, secrets);
    resource.path = paths_.Learn(resource.host, std::move(resource.path), operation, way);
    // Joined to the path it could complete a secret.
    if (!operation.empty() && secrets.Occurs(resource.path)) resource.path = kSecretMark;
  }
  auto taken = std::make_shared<UseRequest>();
  taken->method = SafeText(request.method, kMethodMax, secrets);
  taken->scheme = std::move(resource.scheme);
  taken->host = std::move(resource.host);
  taken->path = KeptPath(std::move(resource.path), privacy.paths);
  if (privacy.query_names) taken->query = std::move(resource.query);
  taken->http_version = request.version_major == 1 ? absl::StrCat("1.", request.version_minor)
                                                   : absl::StrCat(request.version_major);
  taken->user_agent =
      SafeText(KeptUserAgent(FirstField(request.fields, "user-agent"), privacy.user_agent),
               kUserAgentMax, secrets);
  taken->inbound = request.inbound;
  taken->probe = request.tls ? "openssl" : "socket";
  return taken;
}

void UseBuilder::Build(const RequestHead& request, const Extraction& found, bool may_be_life,
                       Draft* draft) {
  TokenUse& common = draft->common;
  common.exchange = request.exchange;
  common.time = clock_->FromMonotonic(request.mono_ns);
  const BesideFields beside = FindBesideFields(request);
  common.request = TakeRequest(request, found, beside);
  common.process = request.process;
  common.pid = request.pid;
  common.status = 0;
  common.grpc_status.reset();
  common.latency_us = 0;

  const std::string_view host = WithoutPort(common.request->host);
  const std::string_view dpop = ValueOf(beside.dpop);
  bool hex_runs = false;
  for (const Credential& credential : found.credentials) {
    DraftUse& one = draft->uses.emplace_back();
    KnownToken* const token = Describe(credential, host, dpop, &one);
    if (token != nullptr && !credential.secret_is_public) {
      one.window = draft->windows.Add(credential.secret);
    }
    if (token != nullptr) Finalize(common, host, token, &one);
    hex_runs = hex_runs || (token != nullptr ? token->has_hex_run : HasHexRun(credential.secret));
  }
  TakeRequestId(ValueOf(beside.request_id), found, !hex_runs, shapes_, &id_blocks_,
                &common.request_id);
  // One of the fields that are unknown may hold a credential: counted, never guessed.
  if (draft->uses.empty() && request.unknown_fields != 0) {
    draft->uses.emplace_back().credential = Unresolved({});
  }
  if (may_be_life) draft->life = BeginLife(request, host);
  if (draft->life == nullptr) return;
  for (const DraftUse& one : draft->uses) {
    draft->life->story.AddHead(one.credential->carrier, IdOf(*one.credential));
  }
}

KnownToken* UseBuilder::Describe(const Credential& credential, std::string_view host,
                                 std::string_view dpop, DraftUse* use) {
  TokenReader::Reading reading;
  if (!credential.unresolved) reading = tokens_->Read(credential, host, dpop);
  if (reading.token == nullptr) {
    use->credential = Unresolved(credential.carrier);
    return nullptr;
  }
  use->key = reading.key;
  use->credential = reading.place->credential;
  use->traits = reading.place->traits;
  use->tells_home = reading.place->tells_home;
  use->asks_home = reading.place->asks_home;
  if (!credential.secret_is_public && credential.in_url) use->traits |= trait::kInQuery;
  return reading.token;
}

void UseBuilder::Finalize(const TokenUse& common, std::string_view host, KnownToken* known,
                          DraftUse* use) {
  if (use->asks_home && !common.request->inbound &&
      homes_.Fit(use->credential->provider, host) == FormatTable::HostFit::kForeign) {
    use->traits |= trait::kForeignHost;
  }
  if (known->expires.has_value() && common.time > *known->expires) {
    use->traits |= trait::kExpired;
  }
  if (redirects_.Follows(known->tokens.front().token_id, common.process, host, common.time)) {
    use->traits |= trait::kRedirected;
  }
  if (const absl::Time now = clock_->Now(); now - known->told >= kRetell) {
    known->told = now;
    Tell(known->facts, use);
  }
  if (!known->links.empty()) Tell(std::exchange(known->links, {}), use);
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
  return drafts_.empty() ? absl::InfiniteFuture() : drafts_.front().common.time;
}

size_t UseBuilder::WaitingBefore(absl::Time time) const {
  return static_cast<size_t>(std::count_if(drafts_.begin(), drafts_.end(), [&](const Draft& draft) {
    return draft.common.time < time;
  }));
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
