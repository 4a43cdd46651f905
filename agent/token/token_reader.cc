#include "agent/token/token_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "agent/common/facts.h"
#include "agent/common/token_id.h"
#include "agent/token/identity/dpop.h"
#include "agent/token/paths/path.h"
#include "agent/token/request_text.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

// Pieces of an answer's field that are this long and look like a secret are taken for one.
constexpr size_t kLongPiece = 40;
constexpr size_t kShortestToken = 8;
// Scopes, an end, and a few links.
constexpr size_t kLinksMax = 24;

bool IsOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What is told of a JWT whatever is kept of its claims: nothing of it describes anybody.
bool IsTechnical(std::string_view name) {
  return IsOf(name, {fact::kCredential, fact::kPublicId, fact::kAccount, fact::kExpires,
                     fact::kIssuedAt, fact::kAlgorithm, fact::kBoundTo});
}

// Whether what stands where the public id of a key does is one, and no token of another kind: of
// formats that are ids the whole is the public part.
bool IsPublicId(const Credential& credential, const FormatMatch& match) {
  return credential.secret_is_public && (match.format == nullptr || match.format->weak);
}

// A path's words and UUIDs together look like chance, as in "api://<uuid>/access_as_user".
bool HasSecretSegment(std::string_view part) {
  while (!part.empty()) {
    const std::string_view segment = part.substr(0, part.find('/'));
    part.remove_prefix(std::min(segment.size() + 1, part.size()));
    if (!IsUuid(segment) && LooksLikeSecret(segment)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenReader>> TokenReader::Create(Fingerprinter* fingerprinter,
                                                                 const FormatTable* formats,
                                                                 Privacy privacy,
                                                                 size_t known_max) {
  absl::StatusOr<std::unique_ptr<TokenCache>> cache = TokenCache::Create(known_max);
  if (!cache.ok()) return cache.status();
  std::unique_ptr<TokenReader> reader(new TokenReader(fingerprinter, formats, privacy));
  reader->cache_ = *std::move(cache);
  return reader;
}

TokenReader::Reading TokenReader::Read(const Credential& credential, std::string_view host,
                                       std::string_view dpop) {
  Reading reading{.key = cache_->KeyOf(credential.secret)};
  SipHash::Hash user{};
  if (!credential.user.empty() && privacy_.basic_user != Privacy::BasicUser::kNone) {
    user = cache_->KeyOf(credential.user);
  }
  const SipHash::Hash where = cache_->KeyOf(host);
  KnownToken* token = cache_->Find(reading.key);
  if (token == nullptr) {
    std::vector<TokenPair> ids = fingerprinter_->Token(credential.secret);
    if (ids.empty()) return reading;
    token = &cache_->Add(reading.key);
    token->tokens = std::move(ids);
    token->has_hex_run = HasHexRun(credential.secret);
  }
  reading.token = token;
  for (const KnownToken::Place& place : token->places) {
    if (place.host == where && place.user == user &&
        place.is_public == credential.secret_is_public &&
        place.credential->carrier == credential.carrier) {
      reading.place = &place;
      return reading;
    }
  }
  KnownToken::Place place{.host = where, .user = user, .is_public = credential.secret_is_public};
  Classify(credential, host, dpop, token, &place);
  if (token->places.size() < KnownToken::kPlacesMax) {
    token->places.push_back(std::move(place));
    reading.place = &token->places.back();
  } else {
    KnownToken::Place& oldest = token->places[token->next_place++ % KnownToken::kPlacesMax];
    oldest = std::move(place);
    reading.place = &oldest;
  }
  return reading;
}

KnownToken* TokenReader::Learn(std::string_view secret, TokenCache::Key* key) {
  *key = cache_->KeyOf(secret);
  KnownToken* token = cache_->Find(*key);
  if (token != nullptr) return token;
  std::vector<TokenPair> ids = fingerprinter_->Token(secret);
  if (ids.empty()) return nullptr;
  token = &cache_->Add(*key);
  token->tokens = std::move(ids);
  token->has_hex_run = HasHexRun(secret);
  return token;
}

bool TokenReader::TellLater(const TokenCache::Key& key, TokenFact fact) {
  KnownToken* const token = cache_->Find(key);
  if (token == nullptr) return true;
  // A token that is handed out twice, as registries do, tells each once.
  const bool known = std::any_of(
      token->links.begin(), token->links.end(),
      [&](const TokenFact& one) { return one.name == fact.name && one.value == fact.value; });
  if (known) return true;
  if (token->links.size() >= kLinksMax) return false;
  token->links.push_back(std::move(fact));
  return true;
}

void TokenReader::Classify(const Credential& credential, std::string_view host,
                           std::string_view dpop, KnownToken* token, KnownToken::Place* place) {
  const FormatMatch match = formats_->Classify(credential.secret, host, credential.carrier);
  if (match.checksum == ChecksumState::kBad) place->traits |= trait::kBadChecksum;
  if (match.by_context) place->traits |= trait::kByContext;
  std::string_view format = match.format == nullptr ? std::string_view("opaque") : match.format->id;
  std::string_view provider = match.format == nullptr ? std::string_view() : match.format->provider;
  TokenIdentity identity = IdentifyToken(
      format, match.by_context, {credential.secret, credential.user}, fingerprinter_,
      [this](std::string_view person) { return HashPerson(person); },
      [this](std::string_view text) { return formats_->IsSelfIdentifying(text); });
  const Format* row = match.format;
  if (!identity.format.empty()) {
    place->traits &= ~trait::kByContext;
    format = identity.format;
    provider = identity.provider;
    row = formats_->Find(format);
  }
  // Of what is signed only an id travels, and an S3 of one's own takes Amazon's signatures.
  if (row != nullptr && !credential.secret_is_public) {
    const FormatTable::HostFit fit = formats_->FitOf(*row, host);
    if (fit == FormatTable::HostFit::kForeign) place->traits |= trait::kForeignHost;
    place->tells_home = row->self_hosted && row->header_has.empty() && row->claims_have.empty();
    place->asks_home = place->tells_home && fit == FormatTable::HostFit::kUnknown;
  }
  if (identity.alg_none) place->traits |= trait::kAlgNone;
  auto shown = std::make_shared<UseCredential>();
  shown->tokens = token->tokens;
  shown->format = format;
  shown->provider = provider;
  shown->carrier = credential.carrier;
  shown->token_length = static_cast<uint32_t>(credential.secret.size());
  if (!credential.user.empty() && privacy_.basic_user != Privacy::BasicUser::kNone) {
    shown->user_ids = fingerprinter_->User(credential.user);
  }
  place->credential = std::move(shown);
  TakeFacts(credential, match, dpop, &identity, token);
}

void TokenReader::TakeFacts(const Credential& credential, const FormatMatch& match,
                            std::string_view dpop, TokenIdentity* identity, KnownToken* token) {
  token->expires = identity->expires;
  std::vector<TokenFact>& facts = identity->facts;
  if (privacy_.claims == Privacy::Claims::kNone) {
    facts.erase(std::remove_if(facts.begin(), facts.end(),
                               [](const TokenFact& fact) { return !IsTechnical(fact.name); }),
                facts.end());
  }
  const bool has_id = std::any_of(facts.begin(), facts.end(), [](const TokenFact& fact) {
    return fact.name == fact::kPublicId;
  });
  const std::string_view id = !match.public_part.empty()      ? match.public_part
                              : IsPublicId(credential, match) ? credential.secret
                                                              : std::string_view();
  if (!has_id && !id.empty()) facts.push_back({fact::kPublicId, Printable(id, fact::kValueMax)});
  if (!dpop.empty()) {
    std::string binding = BindingByProof(dpop, credential.secret);
    if (!binding.empty()) facts.push_back({fact::kBoundTo, std::move(binding)});
  }
  if (!credential.user.empty() &&
      (credential.user_is_public || privacy_.basic_user == Privacy::BasicUser::kClear)) {
    facts.push_back({fact::kBasicUser, Printable(credential.user, fact::kValueMax)});
  }
  // A token that turns out to be another kind elsewhere is told anew.
  if (facts.size() != token->facts.size() ||
      !std::equal(facts.begin(), facts.end(), token->facts.begin(),
                  [](const TokenFact& a, const TokenFact& b) {
                    return a.name == b.name && a.value == b.value;
                  })) {
    token->told = absl::InfinitePast();
  }
  token->facts = std::move(facts);
}

bool TokenReader::MayHoldSecret(std::string_view text) {
  constexpr std::string_view kSeparators = " \t,;\"'()<>{}[]|";
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(kSeparators), text.size());
    const std::string_view piece = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // With what may stand before it, as in "name=value".
    for (const size_t at : {size_t{0}, piece.find('=') + 1, piece.rfind(':') + 1}) {
      const std::string_view part = piece.substr(at);
      if (part.size() < kShortestToken) continue;
      if (cache_->Find(cache_->KeyOf(part)) != nullptr) return true;
      if (part.size() >= kLongPiece && HasSecretSegment(part)) return true;
    }
  }
  return false;
}

std::string TokenReader::HashPerson(std::string_view person) {
  if (privacy_.claims != Privacy::Claims::kHashed) return {};
  return HashedPerson(fingerprinter_, person);
}

}  // namespace tokenwatch
