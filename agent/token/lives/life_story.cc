#include "agent/token/lives/life_story.h"

#include <algorithm>
#include <utility>

#include "agent/common/facts.h"

namespace tokenwatch {

void LifeStory::AddHead(std::string_view carrier, std::string id) {
  constexpr std::string_view kQuery = "query/";
  const auto names_subject = [&](const AskedField& field) {
    return field.role == AskedRole::kSubject && carrier.starts_with(kQuery) &&
           carrier.substr(kQuery.size()) == field.name;
  };
  const size_t place = heads_++;
  if (std::any_of(row_->asked.begin(), row_->asked.end(), names_subject)) {
    if (!subject_.has_value()) subject_ = Party{place, std::move(id)};
  } else if (!caller_.has_value()) {
    caller_ = Party{place, std::move(id)};
  }
}

void LifeStory::AddAsked(AskedRole role, size_t place, std::string id) {
  switch (role) {
    case AskedRole::kProof:
      proofs_.push_back({place, std::move(id)});
      break;
    case AskedRole::kSpent:
      if (!spent_.has_value()) spent_ = Party{place, std::move(id)};
      break;
    case AskedRole::kSubject:
      if (!subject_.has_value()) subject_ = Party{place, std::move(id)};
      break;
  }
}

void LifeStory::IsNone() {
  row_ = &NoLifeCall();
  subject_.reset();
}

void LifeStory::AddAnswer(const GivenBody& body) {
  denied_ = body.denied;
  invalid_grant_ = body.invalid_grant;
  active_ = body.active;
  of_subject_ = body.of_subject;
}

// Those that obtained what was given: what was spent for it, else what proved the right to have it,
// else the first credential of the head.
std::vector<LifeStory::Party> LifeStory::Parents() const {
  if (spent_.has_value()) return {*spent_};
  if (!proofs_.empty()) return proofs_;
  if (caller_.has_value()) return {*caller_};
  return {};
}

void LifeStory::TellObtained(std::vector<LifeFact>* facts) const {
  const std::vector<Party> parents = Parents();
  for (size_t i = 0; i < given_.size(); ++i) {
    const Given& given = given_[i];
    const bool replaces = (given.role == GivenRole::kRefresh && spent_.has_value()) ||
                          given.role == GivenRole::kReplacement;
    for (const Party& parent : parents) {
      // A server may answer with the refresh token that it was sent.
      if (parent.id.empty() || given.id.empty() || parent.id == given.id) continue;
      facts->push_back(
          {false, parent.place, {replaces ? fact::kRotatedTo : fact::kIssued, given.id}});
      facts->push_back({true, i, {replaces ? fact::kRotatedFrom : fact::kBornFrom, parent.id}});
    }
    // Where nothing was spent, as with a user's password, this is what holds a grant's tokens
    // together.
    if (spent_.has_value() || given.role != GivenRole::kRefresh) continue;
    for (size_t other = 0; other < given_.size(); ++other) {
      const std::string& id = given_[other].id;
      if (other == i || id.empty() || given.id.empty() || id == given.id) continue;
      facts->push_back({true, i, {fact::kBornWith, id}});
      facts->push_back({true, other, {fact::kBornWith, given.id}});
    }
  }
}

void LifeStory::TellRevoked(const std::string& time, std::vector<LifeFact>* facts) const {
  const Party* subject = subject_.has_value() ? &*subject_ : nullptr;
  // Never a guess: most calls that end something end something else than their caller.
  if (subject == nullptr && row_->event == LifeEvent::kRevokesItself && caller_.has_value()) {
    subject = &*caller_;
  }
  if (subject == nullptr || subject->id.empty()) return;
  facts->push_back({false, subject->place, {fact::kRevoked, time}});
  const Party& by = !proofs_.empty() ? proofs_.front() : caller_.has_value() ? *caller_ : *subject;
  if (!by.id.empty()) facts->push_back({false, subject->place, {fact::kRevokedBy, by.id}});
}

std::vector<LifeFact> LifeStory::Tell(absl::Time time, bool succeeded) const {
  std::vector<LifeFact> facts;
  if (!succeeded) {
    if (invalid_grant_ && spent_.has_value() && !spent_->id.empty()) {
      facts.push_back({false, spent_->place, {fact::kError, "invalid_grant"}});
    }
    return facts;
  }
  const std::string when = absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", time, absl::UTCTimeZone());
  switch (row_->event) {
    case LifeEvent::kObtains:
      TellObtained(&facts);
      break;
    case LifeEvent::kRevokes:
    case LifeEvent::kRevokesItself:
      if (!denied_) TellRevoked(when, &facts);
      break;
    case LifeEvent::kChecks:
      if (!subject_.has_value() || subject_->id.empty() || !active_.has_value()) break;
      if (!*active_) facts.push_back({false, subject_->place, {fact::kInactive, when}});
      for (const TokenFact& fact : of_subject_) {
        facts.push_back({false, subject_->place, fact});
      }
      break;
  }
  return facts;
}

}  // namespace tokenwatch
