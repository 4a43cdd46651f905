// What calls that make and end tokens add to a use: their bodies, and the story that they tell.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/common/token_id.h"
#include "agent/token/lives/life_bodies.h"
#include "agent/token/request_text.h"
#include "agent/token/secret/redact.h"
#include "agent/token/use_builder.h"

namespace tokenwatch {

std::string UseBuilder::IdOf(const UseCredential& credential) {
  return credential.unresolved ? std::string() : TokenIdText(credential.tokens.front().token_id);
}

void UseBuilder::ReadAsked(const Body& body, Draft* draft) {
  Life& life = *draft->life;
  if (!std::exchange(life.awaits_asked, false)) return;
  std::optional<AskedBody> asked = ReadAskedBody(life.story.row(), life.asked_coding, body);
  if (!asked.has_value()) {
    ++counts_.bodies_undecoded;
    return;
  }
  if (!asked->is_call && !life.story.HasSubject()) {
    life.story.IsNone();
    life.awaits_given = false;
  }
  std::vector<std::string_view> secrets;
  secrets.reserve(asked->secrets.size());
  for (const AskedSecret& one : asked->secrets) secrets.push_back(one.secret.view());
  KeepOut(secrets, &draft->common);
  const std::string_view host = WithoutPort(draft->common.request->host);
  for (const AskedSecret& one : asked->secrets) {
    Credential credential;
    credential.carrier = one.field->carrier;
    credential.secret = one.secret.view();
    DraftUse use;
    KnownToken* const token = Describe(credential, host, "", &use);
    // A client secret in header and body is one use.
    const auto same =
        std::find_if(draft->uses.begin(), draft->uses.end(), [&](const DraftUse& known) {
          return token != nullptr && !known.credential->unresolved && known.key == use.key;
        });
    const size_t place = static_cast<size_t>(same - draft->uses.begin());
    if (same == draft->uses.end()) {
      if (token != nullptr) {
        use.window = draft->windows.Add(credential.secret);
        Finalize(draft->common, host, token, &use);
      }
      draft->uses.push_back(std::move(use));
    }
    life.story.AddAsked(one.field->role, place, IdOf(*draft->uses[place].credential));
  }
}

// The request's texts were taken before its body was there.
void UseBuilder::KeepOut(absl::Span<const std::string_view> bytes, TokenUse* common) {
  const SecretFinder secrets(bytes);
  const auto clean = [&](const std::string& text) {
    return secrets.Occurs(text) ? SafeText(text, text.size() + kSecretMark.size(), secrets) : text;
  };
  common->request_id = clean(common->request_id);
  const UseRequest& known = *common->request;
  if (!secrets.Occurs(known.method) && !secrets.Occurs(known.host) && !secrets.Occurs(known.path) &&
      !secrets.Occurs(known.query) && !secrets.Occurs(known.user_agent)) {
    return;
  }
  auto request = std::make_shared<UseRequest>(known);
  request->method = clean(known.method);
  request->host = clean(known.host);
  request->path = clean(known.path);
  request->query = clean(known.query);
  request->user_agent = clean(known.user_agent);
  common->request = std::move(request);
}

void UseBuilder::ReadGiven(const Body& body, Draft* draft) {
  Life& life = *draft->life;
  if (!std::exchange(life.awaits_given, false)) return;
  std::optional<GivenBody> given =
      ReadGivenBody(life.story.row(), life.given_coding, body, clock_->Now(),
                    [this](std::string_view person) { return tokens_->HashPerson(person); });
  if (!given.has_value()) {
    ++counts_.bodies_undecoded;
    return;
  }
  std::vector<std::string_view> secrets;
  for (const GivenSecret& one : given->secrets) secrets.push_back(one.secret.view());
  KeepOut(secrets, &draft->common);
  for (const GivenSecret& one : given->secrets) {
    TokenCache::Key key{};
    const KnownToken* const token =
        life.succeeded ? tokens_->Learn(one.secret.view(), &key) : nullptr;
    if (token == nullptr) break;
    life.given.push_back({key, draft->windows.Add(one.secret.view())});
    life.story.AddGiven(one.role, TokenIdText(token->tokens.front().token_id));
  }
  const auto may_hold_secret = [&](const TokenFact& fact) {
    return MayHoldSecret(draft, fact.value);
  };
  for (size_t i = 0; i < life.given.size(); ++i) {
    for (const TokenFact& fact : given->secrets[i].facts) {
      if (!may_hold_secret(fact)) TellLater(life.given[i].key, fact);
    }
  }
  std::vector<TokenFact>& facts = given->of_subject;
  facts.erase(std::remove_if(facts.begin(), facts.end(), may_hold_secret), facts.end());
  life.story.AddAnswer(*given);
}

void UseBuilder::TellLife(Draft* draft) {
  const Life& life = *draft->life;
  for (LifeFact& one : life.story.Tell(draft->common.time, life.succeeded)) {
    if (one.of_given) {
      TellLater(life.given[one.place].key, std::move(one.fact));
    } else if (one.place < draft->uses.size()) {
      std::vector<TokenFact> facts;
      facts.push_back(std::move(one.fact));
      Tell(std::move(facts), &draft->uses[one.place]);
    }
  }
}

void UseBuilder::TellLater(const TokenCache::Key& key, TokenFact fact) {
  if (!tokens_->TellLater(key, std::move(fact))) ++counts_.facts_dropped;
}

void UseBuilder::HideTokens(Draft* draft) {
  // `own`: the use whose own facts may be public parts of the token.
  const auto hide = [draft](size_t window, const DraftUse* own) {
    if (window == kNoWindow) return;
    for (DraftUse& one : draft->uses) {
      if (&one == own) continue;
      one.facts.erase(std::remove_if(one.facts.begin(), one.facts.end(),
                                     [&](const TokenFact& fact) {
                                       return draft->windows.MayOccurIn(window, fact.value);
                                     }),
                      one.facts.end());
    }
  };
  if (draft->uses.size() > 1) {
    for (const DraftUse& other : draft->uses) hide(other.window, &other);
  }
  if (draft->life == nullptr) return;
  for (const Life::Given& given : draft->life->given) {
    const auto is_it = [&](const DraftUse& one) {
      return !one.credential->unresolved && one.key == given.key;
    };
    const auto own = std::find_if(draft->uses.begin(), draft->uses.end(), is_it);
    hide(given.window, own == draft->uses.end() ? nullptr : &*own);
  }
}

std::unique_ptr<UseBuilder::Life> UseBuilder::BeginLife(const RequestHead& request,
                                                        std::string_view host) {
  // A gRPC call's messages are none that can be read.
  if (FirstField(request.fields, "content-type").starts_with("application/grpc")) return nullptr;
  const std::string_view target = request.target.substr(0, request.target.find('#'));
  const size_t question = std::min(target.find('?'), target.size());
  const LifeCallRow* const row = FindLifeCall(request.method, host, PathOfTarget(request.target),
                                              target.substr(std::min(question + 1, target.size())));
  if (row == nullptr) return nullptr;
  ++counts_.life_calls;
  auto life = std::make_unique<Life>(Life{.story = LifeStory(row)});
  life->asked_coding = FirstField(request.fields, "content-encoding").substr(0, kCodingMax);
  life->awaits_asked = (!row->asked.front().name.empty() || !row->needs.empty()) &&
                       request.method != "GET" &&
                       FirstField(request.fields, "content-length") != "0";
  return life;
}

}  // namespace tokenwatch
