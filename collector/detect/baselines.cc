#include "collector/detect/baselines.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/token_id.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kTokens = "t/", kWorkloads = "w/", kHosts = "h/", kFleet = "f/";
constexpr size_t kMostRemembered = 200'000;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string IdText(const std::string& id) {
  return TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()});
}

}  // namespace

Profile* Baselines::Find(std::string_view subject) {
  const auto found = profiles_.find(View(subject));
  return found == profiles_.end() ? nullptr : &found->second;
}

Profile* Baselines::Find(const UseToken& token) {
  for (const auto& [key, id] : token.ids) {
    const auto found = subject_of_.find(IdText(id));
    if (found != subject_of_.end()) return Find(found->second);
  }
  return nullptr;
}

Profile* Baselines::Make(const std::string& subject, const CommittedUse& use) {
  Profile& profile = profiles_[subject];
  profile.subject = subject;
  profile.format = words.Of(use.row.context->format);
  profile.provider = words.Of(use.row.context->provider);
  profile.changed = true;
  return &profile;
}

Profile* Baselines::ProfileOf(const CommittedUse& use) {
  const UseToken& token = *use.row.token;
  if (const auto known = by_token_.find(token.id); known != by_token_.end() && token.id != 0) {
    const bool same = use.credential == nullptr || known->second->subject == *use.credential;
    if (same) return known->second;
  }
  Profile* profile = use.credential == nullptr ? Find(token) : Find(*use.credential);
  if (profile == nullptr && use.credential != nullptr) {
    // What was learnt before anybody said what the token stands for.
    if (Profile* const before = Find(token);
        before != nullptr && before->subject.starts_with("tok_")) {
      Profile moved = std::move(*before);
      Drop(std::string(moved.subject));
      moved.subject = *use.credential;
      moved.changed = true;
      profile = &(profiles_[*use.credential] = std::move(moved));
    }
  }
  if (profile == nullptr) {
    profile =
        Make(use.credential == nullptr ? IdText(token.ids.front().second) : *use.credential, use);
  }
  if (use.credential == nullptr) {
    for (const auto& [key, id] : token.ids) {
      const std::string text = IdText(id);
      if (subject_of_.emplace(text, profile->subject).second) {
        profile->ids.push_back(text);
        profile->changed = true;
      }
    }
  }
  if (by_token_.size() >= kMostRemembered) by_token_.clear();
  by_token_[token.id] = profile;
  return profile;
}

SharedProfile* Baselines::SharedOf(Shared* shared, Word name, Hour hour) {
  const std::string_view text = words.Text(name);
  SharedProfile& profile = (*shared)[View(text)];
  if (profile.began == 0) {
    profile.name = std::string(text);
    profile.began = hour;
  }
  return &profile;
}

SharedProfile* Baselines::Workload(Word service, Hour hour) {
  return SharedOf(&workloads_, service, hour);
}

SharedProfile* Baselines::Host(Word host, Hour hour) { return SharedOf(&hosts_, host, hour); }

SharedProfile* Baselines::FindWorkload(Word service) {
  const auto found = workloads_.find(View(words.Text(service)));
  return found == workloads_.end() ? nullptr : &found->second;
}

void Baselines::Drop(const std::string& subject) {
  const auto found = profiles_.find(subject);
  if (found == profiles_.end()) return;
  for (const std::string& id : found->second.ids) subject_of_.erase(id);
  dropped_.push_back(absl::StrCat(View(kTokens), subject));
  profiles_.erase(found);
  by_token_.clear();
}

bool Baselines::Restore(std::string_view name, std::string_view bytes) {
  if (name.starts_with(kTokens)) {
    Profile profile;
    if (!profile.Restore(bytes, &words)) return false;
    if (profile.subject != name.substr(kTokens.size())) return false;
    for (const std::string& id : profile.ids) subject_of_[id] = profile.subject;
    const std::string subject = profile.subject;
    profiles_[subject] = std::move(profile);
  } else if (name.starts_with(kWorkloads) || name.starts_with(kHosts)) {
    SharedProfile profile;
    if (!profile.Restore(bytes, &words)) return false;
    if (profile.name != name.substr(kWorkloads.size())) return false;
    Shared& shared = name.starts_with(kWorkloads) ? workloads_ : hosts_;
    const std::string key = profile.name;
    shared[key] = std::move(profile);
  } else {
    return name == kFleet && fleet.Restore(bytes, &words);
  }
  return true;
}

std::vector<StoredBaseline> Baselines::TakeChanged() {
  std::vector<StoredBaseline> taken;
  const auto take = [&](std::string_view kind, const std::string& name, auto& profile) {
    if (!std::exchange(profile.changed, false)) return;
    taken.push_back({absl::StrCat(View(kind), name), profile.Save(words)});
  };
  // First: one that was made anew in the meantime stays.
  for (const std::string& name : std::exchange(dropped_, {})) taken.push_back({name, ""});
  for (auto& [name, profile] : profiles_) take(kTokens, name, profile);
  for (auto& [name, profile] : workloads_) take(kWorkloads, name, profile);
  for (auto& [name, profile] : hosts_) take(kHosts, name, profile);
  if (std::exchange(fleet.changed, false)) {
    taken.push_back({std::string(kFleet), fleet.Save(words)});
  }
  return taken;
}

bool Baselines::Forget(Hour before) {
  std::vector<std::pair<int64_t, std::string>> oldest;
  std::vector<std::string> gone;
  for (const auto& [subject, profile] : profiles_) {
    if (HourOf(profile.last_us) < before) {
      gone.push_back(subject);
    } else if (profiles_.size() > kMostProfiles) {
      oldest.emplace_back(profile.last_us + (profile.uses > 10 ? kMicrosPerDay * 30 : 0), subject);
    }
  }
  if (profiles_.size() > kMostProfiles + gone.size()) {
    const size_t surplus = profiles_.size() - gone.size() - kMostProfiles * 9 / 10;
    const auto end = oldest.begin() + static_cast<ptrdiff_t>(std::min(surplus, oldest.size()));
    std::partial_sort(oldest.begin(), end, oldest.end());
    for (auto at = oldest.begin(); at != end; ++at) gone.push_back(at->second);
  }
  for (const std::string& subject : gone) Drop(subject);
  const auto forget = [&](std::string_view kind, Shared* shared) {
    absl::erase_if(*shared, [&](auto& item) {
      if (item.second.last >= before && shared->size() <= kMostShared) return false;
      dropped_.push_back(absl::StrCat(View(kind), item.first));
      return true;
    });
  };
  forget(kWorkloads, &workloads_);
  forget(kHosts, &hosts_);
  if (!words.IsSweepDue()) return false;
  words.Sweep([this](absl::FunctionRef<void(Word)> keep) {
    for (const auto& [subject, profile] : profiles_) profile.Mark(keep);
    for (const auto& [name, profile] : workloads_) profile.Mark(keep);
    for (const auto& [name, profile] : hosts_) profile.Mark(keep);
    fleet.Mark(keep);
  });
  return true;
}

}  // namespace tokenwatch
