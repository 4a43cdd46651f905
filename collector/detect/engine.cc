#include "collector/detect/engine.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "agent/common/facts.h"
#include "agent/common/token_id.h"
#include "collector/detect/baselines.h"
#include "collector/detect/features.h"
#include "collector/detect/finding_book.h"
#include "collector/detect/novelty.h"
#include "collector/detect/quiet_day.h"
#include "collector/detect/rules.h"
#include "collector/store/outcome.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch {
namespace {

// Dimensions of a token's own baseline, of what its workload's tokens share, and of a host.
constexpr Dimension kOwnDimensions[] = {
    Dimension::kHost,    Dimension::kWorkload,  Dimension::kResource,   Dimension::kAgent,
    Dimension::kMachine, Dimension::kSource,    Dimension::kSourceNear, Dimension::kSourceCountry,
    Dimension::kService, Dimension::kNamespace, Dimension::kInstance};
constexpr Dimension kWorkloadDimensions[] = {Dimension::kHost,         Dimension::kWorkload,
                                             Dimension::kResource,     Dimension::kAgent,
                                             Dimension::kMachine,      Dimension::kSource,
                                             Dimension::kSourceNear,   Dimension::kSourceCountry,
                                             Dimension::kAgentVersion, Dimension::kInstance};
constexpr Dimension kHostDimensions[] = {Dimension::kPeer, Dimension::kPeerCountry};

constexpr Hour kAgain = 24;           // so long what was a surprise belongs to it
constexpr Hour kKeptHours = 90 * 24;  // without a use, then a baseline is forgotten
constexpr size_t kMostHourResources = 512, kMostHourTokens = 4096;
constexpr int64_t kDenialMicros = int64_t{600} * 1'000'000;
constexpr uint64_t kMostCounted = 1'000'000;
constexpr float kFadeDay = 0.95F, kFadeHour = 0.998F, kFadeDenials = 0.999F;
constexpr double kOddPerDay = 0.3;
constexpr double kUsualHour = 0.05;  // chance above which nobody asks
constexpr Hour kKnownWorkloadHours = 48;
// Whose clients' names change more often names something else in them than a release.
constexpr double kReleasesPerDay = 0.7;
constexpr size_t kAliveShare = 3;  // of a workload's tokens, alive to one that is silent
constexpr int64_t kRotationMicros = 3 * kMicrosPerDay;
constexpr int kLearnedDaysLike = 2;  // before, the first weekend would look like a silence

// The same in every run: FNV-1a.
uint64_t Fingerprint(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash ^ (hash >> 32);
}

Novelty NoveltyOf(const SeenSet& set, Word word, Hour began, Hour hour) {
  Novelty novelty{.word = word};
  const SeenValue* const value = set.Find(word);
  novelty.is_new = value == nullptr && !set.empty();
  if (value != nullptr) novelty.again = value->suspect && hour - value->first <= kAgain;
  if (novelty.is_new || novelty.again) novelty.per_day = set.NewPerDay(began, hour);
  return novelty;
}

// What is told of one use or one silence by one rule.
class OneRule final : public Reporter {
 public:
  OneRule(const Rule* rule, const FindingBook* book, std::string_view subject, int64_t time_us)
      : rule_(rule), book_(book), subject_(subject), time_us_(time_us) {}
  void Add(Report report) override { reports.push_back(std::move(report)); }
  bool IsOpen() const override { return book_->IsOpen(*rule_, subject_, time_us_); }
  void AddOdd() override { odd = true; }

  std::vector<Report> reports;
  bool odd = false;

 private:
  const Rule* const rule_;
  const FindingBook* const book_;
  const std::string_view subject_;
  const int64_t time_us_;
};

}  // namespace

class Engine::Impl {
 public:
  explicit Impl(const Options& options)
      : is_reporting_(options.is_reporting), features_(&baselines_.words, options.countries) {}

  void SetPolicy(std::shared_ptr<const Policy> policy) { policy_ = std::move(policy); }

  bool Restore(std::string_view name, std::string_view bytes) {
    return baselines_.Restore(name, bytes);
  }
  void Restore(const StoredFinding& finding) { book_.Restore(finding); }

  void Judge(const CommittedUse& use);
  void Learn(const TokenFactRow& fact);
  void AdvanceTo(int64_t time_us);

  std::vector<StoredFinding> TakeFindings(bool joined, int64_t now_us) {
    return book_.Take(joined, now_us);
  }
  std::vector<TokenFactRow> TakeFacts() { return std::exchange(facts_, {}); }
  std::vector<StoredBaseline> TakeBaselines() { return baselines_.TakeChanged(); }

 private:
  static PolicySubject SubjectOf(const CommittedUse& use, std::string_view token_id);
  void CloseHours(Profile* profile, Hour until);
  static void LookAtHour(const Features& features, Profile* profile, HourPool* pool);
  static void BeginHour(Profile* profile, Hour hour);
  static void CountUse(const UseView& view, Profile* profile);
  static void SetNovelties(UseView* view);
  // Runs all rules; what they found and thought odd.
  struct Verdict {
    bool suspect = false;  // something that may not become normal by itself
    bool odd = false;
  };
  Verdict RunRules(UseView* view, const FindingSubject& subject);
  static bool IsOdd(const UseView& view);
  void LearnUse(const UseView& view, const Verdict& verdict, Profile* profile,
                SharedProfile* workload, SharedProfile* host);
  static void LearnProfile(const UseView& view, const Verdict& verdict, Profile* profile);
  void LookAtQuiet(Profile* profile, int64_t time_us, bool fleet_quiet);
  bool HasSuccessor(Profile* profile, const SharedProfile& workload);
  static void NoteNewToken(const UseView& view, SharedProfile* workload);
  FindingSubject FindingSubjectOf(const Profile& profile, const OwnerRow* owner) const;

  bool IsReporting(const Profile& profile) const {
    return !is_reporting_ || profile.newest == nullptr ||
           is_reporting_(profile.newest->source->agent);
  }

  const std::function<bool(const std::string&)> is_reporting_;
  std::vector<TokenFactRow> facts_;
  Baselines baselines_;
  FeatureReader features_;
  FindingBook book_;
  std::shared_ptr<const Policy> policy_ = std::make_shared<const Policy>();
  int64_t now_us_ = 0;
  Hour looked_at_ = 0;
};

PolicySubject Engine::Impl::SubjectOf(const CommittedUse& use, std::string_view token_id) {
  const UseContext& context = *use.row.context;
  PolicySubject subject;
  subject.workload = &context.workload;
  subject.token_id = token_id;
  if (use.credential != nullptr) subject.credential_id = *use.credential;
  subject.format = context.format;
  subject.provider = context.provider;
  subject.carrier = context.carrier;
  subject.method = context.method;
  subject.host = context.host;
  subject.path = context.path;
  return subject;
}

void Engine::Impl::CloseHours(Profile* profile, Hour until) {
  if (profile->closed == 0) profile->closed = profile->began() + 1;  // its first hour is cut
  if (profile->closed >= until) return;
  if (profile->week == nullptr) profile->week = std::make_unique<WeekModel>();
  // After a long absence a month of silence says all.
  profile->closed = std::max(profile->closed, until - 31 * 24);
  for (; profile->closed < until; ++profile->closed) {
    const bool its = profile->closed == profile->hour;
    const Hour hour = profile->closed;
    if (!its && HourOf(profile->last_us) >= hour) {
      profile->EndQuiet(false);  // its uses came late
    } else if (profile->week->DaysLike(hour) >= kLearnedDaysLike) {
      profile->CountQuiet(hour, its ? profile->hour_uses : 0, profile->week->Expected(hour),
                          profile->week->ChanceOfUse(hour));
    } else if (its) {
      profile->EndQuiet(!profile->quiet_excused);
    }
    profile->week->Close(hour, its ? profile->hour_uses : 0, its && profile->hour_odd);
    profile->changed = true;
  }
}

void Engine::Impl::BeginHour(Profile* profile, Hour hour) {
  const bool another_day = hour / 24 > profile->hour / 24;
  profile->resource_peak = std::max(profile->resource_peak * (another_day ? kFadeDay : 1),
                                    static_cast<float>(profile->hour_resources.size()));
  profile->hour = hour;
  profile->hour_uses = profile->hour_failed = 0;
  profile->hour_odd = false;
  profile->hour_resources.clear();
  profile->hour_new_resources = 0;
}

void Engine::Impl::CountUse(const UseView& view, Profile* profile) {
  profile->hour_uses += view.uses;
  if (view.outcome == Outcome::kFailed || view.outcome == Outcome::kThrottled ||
      view.outcome == Outcome::kUnanswered) {
    profile->hour_failed += view.uses;
  }
  auto& resources = profile->hour_resources;
  const Word resource = view.features.resource;
  if (resources.size() < kMostHourResources &&
      std::find(resources.rbegin(), resources.rend(), resource) == resources.rend()) {
    resources.push_back(resource);
    if (view.New(Dimension::kResource).is_new) ++profile->hour_new_resources;
  }
  if (view.time_us - profile->denials_since_us > kDenialMicros) {
    profile->denial_peak =
        std::max(profile->denial_peak * kFadeDenials, static_cast<float>(profile->denials));
    profile->denials_since_us = view.time_us;
    profile->denials = profile->answers = 0;
  }
  const auto uses = static_cast<uint32_t>(std::min(view.uses, kMostCounted));
  if (view.outcome != Outcome::kUnanswered) profile->answers += uses;
  if (view.outcome == Outcome::kDenied) profile->denials += uses;
  if (view.use.row.status == 401) {
    if (profile->refused == 0) profile->refused_since_us = view.time_us;
    profile->refused += uses;
  } else if (view.outcome == Outcome::kOk) {
    profile->refused = 0;
  }
}

void Engine::Impl::SetNovelties(UseView* view) {
  const auto at = [view](Dimension dimension) -> Novelty& {
    return view->novelties[static_cast<size_t>(dimension)];
  };
  for (const Dimension dimension : kOwnDimensions) {
    const Word word = view->features[dimension];
    Novelty& novelty = at(dimension);
    novelty = NoveltyOf(view->profile.seen[dimension], word, view->profile.began(), view->hour);
    if (!novelty.is_new && !novelty.again) continue;
    const SeenValue* const shared = view->workload.seen[dimension].Find(word);
    novelty.siblings = shared != nullptr && shared->only != view->by;
  }
  for (const Dimension dimension : kHostDimensions) {
    const Word word = view->features[dimension];
    if (word == 0) continue;
    const SeenSet& set = view->host.seen[dimension];
    at(dimension) = NoveltyOf(set, word, view->host.began, view->hour);
    const SeenValue* const value = set.Find(word);
    if (dimension != Dimension::kPeer || value == nullptr) continue;
    view->peer_since_today = view->hour - value->first <= kAgain;
    at(dimension).per_day = set.NewPerDay(view->host.began, view->hour);
  }
}

Engine::Impl::Verdict Engine::Impl::RunRules(UseView* view, const FindingSubject& subject) {
  Verdict verdict;
  view->odd = IsOdd(*view);
  for (const Rule& rule : Rules()) {
    if (rule.on_use == nullptr) continue;
    OneRule reporter(&rule, &book_, subject.id, view->time_us);
    rule.on_use(*view, &reporter);
    view->odd = view->odd || reporter.odd;
    for (const Report& report : reporter.reports) {
      FindingSubject of = subject;
      of.suppression =
          policy_->SuppressionOf(rule.id, view->subject, absl::FromUnixMicros(view->time_us));
      book_.Add(rule, of, report, &view->use, view->time_us);
      verdict.suspect = verdict.suspect || !rule.lasting;
    }
  }
  verdict.odd = view->odd;
  return verdict;
}

// Less than a finding: something asked for the first time by a token to which that hardly happens.
bool Engine::Impl::IsOdd(const UseView& view) {
  if (!IsMature(view) || IsAfterRelease(view) || IsNewInstance(view)) return false;
  const Novelty& resource = view.New(Dimension::kResource);
  return resource.is_new && !resource.siblings && resource.per_day <= kOddPerDay;
}

void Engine::Impl::LearnProfile(const UseView& view, const Verdict& verdict, Profile* profile) {
  for (const Dimension dimension : kOwnDimensions) {
    SeenValue& value =
        profile->seen[dimension].Count(view.features[dimension], view.hour, view.uses);
    if (view.New(dimension).is_new && verdict.suspect) value.suspect = true;
  }
  const auto day = static_cast<int32_t>(view.time_us / kMicrosPerDay);
  if (verdict.odd) profile->odd.Add(day);
  if (day > profile->last_day) {
    ++profile->active_days;
    profile->last_day = day;
  }
  if (profile->uses == 0) {
    profile->first_us = profile->last_us = view.time_us;
  } else if (view.time_us > profile->last_us) {
    profile->longest_gap_us = std::max(profile->longest_gap_us, view.time_us - profile->last_us);
    profile->last_us = view.time_us;
    profile->newest = std::make_unique<CommittedUse>(view.use);
  } else {
    profile->first_us = std::min(profile->first_us, view.time_us);
  }
  if (profile->newest == nullptr) profile->newest = std::make_unique<CommittedUse>(view.use);
  profile->uses += view.uses;
  if (view.outcome == Outcome::kDenied) profile->denied += view.uses;
  profile->wrote = profile->wrote || view.features.writes;
  profile->in_header = profile->in_header || !view.HasTrait(v1::USE_TRAIT_IN_QUERY);
  profile->successor.clear();
  profile->changed = true;
}

void Engine::Impl::LearnUse(const UseView& view, const Verdict& verdict, Profile* profile,
                            SharedProfile* workload, SharedProfile* host) {
  const Features& features = view.features;
  const Hour hour = view.hour;
  const SeenSet& versions = workload->seen[Dimension::kAgentVersion];
  const bool known = hour - workload->began > kKnownWorkloadHours;
  if (known && features.agent_version != 0 && !versions.Has(features.agent_version) &&
      versions.NewPerDay(workload->began, hour) < kReleasesPerDay &&
      !view.New(Dimension::kAgent).is_new && !view.New(Dimension::kWorkload).is_new) {
    workload->deployed = hour;
  }
  // What one token's findings brought is not known to be right for others.
  const auto learns = [&](Dimension dimension) {
    const Novelty& novelty = view.New(dimension);
    return !novelty.again && !(novelty.is_new && verdict.suspect);
  };
  for (const Dimension dimension : kWorkloadDimensions) {
    if (!learns(dimension)) continue;
    workload->seen[dimension].Count(features[dimension], hour, view.uses, view.by);
  }
  Fleet& fleet = baselines_.fleet;
  if (learns(Dimension::kMachine)) fleet.Note(Fleet::Kind::kMachine, features.machine, hour);
  if (learns(Dimension::kSource) && learns(Dimension::kSourceNear)) {
    fleet.Note(Fleet::Kind::kNetwork, features.source_near, hour);
  }
  fleet.Note(Fleet::Kind::kFormat, features.format, hour);
  workload->seen[Dimension::kSubject].Count(baselines_.words.Of(profile->subject), hour, view.uses);
  if (IsWeekend(hour) && !verdict.suspect) workload->weekend = std::max(workload->weekend, hour);
  for (SharedProfile* const shared : {workload, host}) {
    shared->last = std::max(shared->last, hour);
    shared->uses += view.uses;
    shared->changed = true;
  }
  for (const Dimension dimension : kHostDimensions) {
    const Word word = features[dimension];
    if (word == 0) continue;
    SeenValue& value = host->seen[dimension].Count(word, hour, view.uses, view.machine);
    if (view.New(dimension).is_new && verdict.suspect) value.suspect = true;
  }
  LearnProfile(view, verdict, profile);
}

FindingSubject Engine::Impl::FindingSubjectOf(const Profile& profile, const OwnerRow* owner) const {
  FindingSubject subject;
  subject.id = profile.subject;
  subject.first_us = profile.first_us;
  subject.uses = profile.uses;
  subject.owner = owner;
  subject.newest = profile.newest.get();
  return subject;
}

void Engine::Impl::Judge(const CommittedUse& use) {
  if (use.row.token == nullptr || use.row.token->ids.empty()) return;
  const UseContext& context = *use.row.context;
  if (context.direction == "inbound") return;
  const int64_t time_us = use.row.time_us;
  const Hour hour = HourOf(time_us);
  now_us_ = std::max(now_us_, time_us);
  // Whoever invents tokens must not take all memory before the hour is over.
  if (baselines_.profiles() > Baselines::kMostProfiles * 11 / 10 &&
      baselines_.Forget(HourOf(now_us_) - kKeptHours)) {
    features_.Forget();
  }

  Profile* const profile = baselines_.ProfileOf(use);
  const Features features = features_.Of(context, use.source);
  SharedProfile* const workload = baselines_.Workload(features.service, hour);
  SharedProfile* const host = baselines_.Host(features.host, hour);
  if (profile->uses == 0) profile->first_us = profile->last_us = time_us;
  const std::string token_id = profile->ids.empty() ? std::string() : profile->ids.front();
  const PolicySubject subject = SubjectOf(use, token_id);
  UseView view{.use = use,
               .features = features,
               .words = baselines_.words,
               .profile = *profile,
               .workload = *workload,
               .host = *host,
               .fleet = baselines_.fleet,
               .policy = *policy_,
               .subject = subject,
               .owner = policy_->OwnerOf(subject)};
  view.time_us = time_us;
  view.hour = hour;
  view.late = hour < profile->hour;
  view.uses = std::max<uint32_t>(use.row.count, 1);
  view.outcome = Classify(AnswerCode(use.row.status, use.row.grpc_status));
  view.by = static_cast<uint32_t>(Fingerprint(profile->subject));
  view.machine = static_cast<uint32_t>(Fingerprint(baselines_.words.Text(features.machine)));
  Fleet& fleet = baselines_.fleet;
  view.machine_since = fleet.Since(Fleet::Kind::kMachine, features.machine, hour);
  view.network_since = fleet.Since(Fleet::Kind::kNetwork, features.source_near, hour);
  view.format_since = fleet.Since(Fleet::Kind::kFormat, features.format, hour);
  fleet.NoteAnswer(profile->provider, features.service, time_us, view.outcome == Outcome::kDenied,
                   view.outcome == Outcome::kFailed || view.outcome == Outcome::kThrottled);
  const SeenValue* const instance = workload->seen[Dimension::kInstance].Find(features.instance);
  view.instance_since = instance == nullptr ? hour : instance->first;
  if (profile->uses > 0 && time_us > profile->last_us) {
    view.quiet_us = static_cast<uint64_t>(time_us - profile->last_us);
  }

  if (!view.late && profile->uses > 0) CloseHours(profile, hour);
  SetNovelties(&view);
  if (hour > profile->hour) {
    BeginHour(profile, hour);
    LookAtHour(features, profile, &fleet.hours);
    fleet.changed = true;  // when tokens are used is learnt with every hour
  }
  view.hours = profile->hour_shape.get();
  view.hour_chance = profile->hour_chance;
  if (!view.late) CountUse(view, profile);
  if (profile->uses == 0 && use.credential == nullptr) NoteNewToken(view, workload);

  FindingSubject of = FindingSubjectOf(*profile, view.owner);
  of.service = baselines_.words.Text(features.service);
  const Verdict verdict = RunRules(&view, of);
  if (!view.late && (verdict.odd || verdict.suspect)) profile->hour_odd = true;
  LearnUse(view, verdict, profile, workload, host);
}

void Engine::Impl::LookAtHour(const Features& features, Profile* profile, HourPool* pool) {
  profile->hour_shape = nullptr;
  profile->hour_chance = 1;
  if (profile->week == nullptr) return;
  const HourShape shape = ShapeOf(*profile->week, profile->active_days);
  const double chance = pool->Chance(features.habitat, shape, profile->hour);
  pool->Add(features.habitat, shape, profile->hour);
  if (chance > kUsualHour && shape.Near(profile->hour) != 0) return;
  profile->hour_chance = chance;
  profile->hour_shape = std::make_unique<HourShape>(shape);
}

void Engine::Impl::NoteNewToken(const UseView& view, SharedProfile* workload) {
  if (view.hour > workload->hour) {
    // On its first day all of a service's tokens are new.
    if (workload->hour - workload->began >= 24) {
      workload->token_peak = std::max(workload->token_peak * kFadeHour,
                                      static_cast<float>(workload->hour_tokens.size()));
    }
    workload->hour_tokens.clear();
    workload->hour_refused = 0;
    workload->hour = view.hour;
  }
  if (workload->hour_tokens.size() >= kMostHourTokens) return;
  workload->hour_tokens.push_back(view.by);
  if (view.outcome == Outcome::kDenied) ++workload->hour_refused;
}

void Engine::Impl::Learn(const TokenFactRow& fact) {
  Profile* const profile = baselines_.Find(*fact.token);
  if (profile == nullptr) return;
  const FactView view{*profile, fact.name, fact.value, fact.time_us};
  const OwnerRow* owner = nullptr;
  PolicySubject subject;
  if (profile->newest != nullptr) {
    subject = SubjectOf(*profile->newest, profile->ids.empty() ? "" : profile->ids.front());
    owner = policy_->OwnerOf(subject);
  }
  for (const Rule& rule : Rules()) {
    if (rule.on_fact == nullptr) continue;
    OneRule reporter(&rule, &book_, profile->subject, fact.time_us);
    rule.on_fact(view, &reporter);
    FindingSubject of = FindingSubjectOf(*profile, owner);
    of.suppression = policy_->SuppressionOf(rule.id, subject, absl::FromUnixMicros(fact.time_us));
    for (const Report& report : reporter.reports) {
      book_.Add(rule, of, report, nullptr, fact.time_us);
    }
  }
  profile->LearnFact(fact);
}

// A token that began when this one ended, in the same workload and for the same hosts.
bool Engine::Impl::HasSuccessor(Profile* profile, const SharedProfile& workload) {
  if (!profile->successor.empty()) return true;
  for (const SeenValue& value : workload.seen[Dimension::kSubject].values()) {
    const Profile* const other = baselines_.Find(baselines_.words.Text(value.word));
    if (other == nullptr || other == profile || other->last_us <= profile->last_us) continue;
    if (other->first_us < profile->last_us - kRotationMicros) continue;
    const bool same_hosts =
        std::any_of(profile->seen[Dimension::kHost].values().begin(),
                    profile->seen[Dimension::kHost].values().end(), [other](const SeenValue& host) {
                      return !host.suspect && other->seen[Dimension::kHost].Has(host.word);
                    });
    if (!same_hosts) continue;
    profile->successor = other->subject;
    profile->changed = true;
    if (profile->newest->row.token != nullptr && other->subject.starts_with("tok_")) {
      facts_.push_back({profile->newest->row.token, std::string(fact::kRotatedTo), other->subject,
                        other->first_us});
    }
    return true;
  }
  return false;
}

void Engine::Impl::LookAtQuiet(Profile* profile, int64_t time_us, bool fleet_quiet) {
  if (profile->newest == nullptr) return;
  const CommittedUse& newest = *profile->newest;
  const Features features = features_.Of(*newest.row.context, newest.source);
  const SharedProfile* const workload = baselines_.FindWorkload(features.service);
  if (fleet_quiet) {
    // What a holiday kept away is not missed on the day after it either.
    profile->EndQuiet(false);
    profile->quiet_excused = true;
  }
  const std::string token_id = profile->ids.empty() ? std::string() : profile->ids.front();
  const PolicySubject subject = SubjectOf(newest, token_id);
  const OwnerRow* const owner = policy_->OwnerOf(subject);
  QuietView view{.profile = *profile,
                 .workload = workload,
                 .policy = *policy_,
                 .subject = subject,
                 .owner = owner,
                 .time_us = time_us,
                 .expected = profile->quiet,
                 .fleet_quiet = fleet_quiet};
  if (profile->week != nullptr) {
    view.hours = ShapeOf(*profile->week, profile->active_days);
    view.personal = IsPersonal(features.habitat, view.hours);
  }
  if (workload != nullptr && profile->quiet >= Profile::kQuietExpected) {
    HasSuccessor(profile, *workload);
    const Word own = baselines_.words.Of(profile->subject);
    size_t alive = 0, silent = 0;
    for (const SeenValue& value : workload->seen[Dimension::kSubject].values()) {
      if (value.word == own || value.last < HourOf(profile->last_us) - kKnownWorkloadHours)
        continue;
      const Profile* const other = baselines_.Find(baselines_.words.Text(value.word));
      if (other == nullptr || !other->successor.empty()) continue;
      ++(other->IsLongQuiet() ? silent : alive);
    }
    view.workload_has_others = alive + silent > 0;
    view.workload_lives = alive > kAliveShare * silent;
  }
  for (const Rule& rule : Rules()) {
    if (rule.on_quiet == nullptr) continue;
    if (book_.IsOpen(rule, profile->subject, profile->last_us)) continue;
    OneRule reporter(&rule, &book_, profile->subject, time_us);
    rule.on_quiet(view, &reporter);
    for (const Report& report : reporter.reports) {
      FindingSubject of = FindingSubjectOf(*profile, owner);
      of.service = baselines_.words.Text(features.service);
      of.suppression = policy_->SuppressionOf(rule.id, subject, absl::FromUnixMicros(time_us));
      book_.Add(rule, of, report, nullptr, time_us);
      profile->told_quiet_us = profile->last_us;
      profile->told_quiet = profile->quiet_since;
    }
  }
}

void Engine::Impl::AdvanceTo(int64_t time_us) {
  now_us_ = std::max(now_us_, time_us);
  const Hour hour = HourOf(time_us);
  if (hour <= looked_at_) return;
  looked_at_ = hour;
  QuietDay today(hour);
  baselines_.ForEachProfile([&](Profile* profile) {
    if (profile->uses == 0) return;
    if (!IsReporting(*profile)) {
      // What it did meanwhile comes later, and its hours are closed then.
      profile->quiet_excused = true;
      return;
    }
    CloseHours(profile, hour);
    today.Add(*profile);
  });
  today.Decide();
  baselines_.ForEachProfile([&](Profile* profile) {
    if (profile->uses == 0 || profile->last_us == profile->told_quiet_us) return;
    if (!IsReporting(*profile)) return;
    LookAtQuiet(profile, time_us, today.IsQuiet(*profile));
  });
  if (hour % 24 == 0 || baselines_.profiles() > Baselines::kMostProfiles) {
    book_.Forget(time_us - 2 * kMicrosPerDay);
    if (baselines_.Forget(hour - kKeptHours)) features_.Forget();
  }
}

void Engine::SetPolicy(std::shared_ptr<const Policy> policy) {
  impl_->SetPolicy(std::move(policy));
}
bool Engine::Restore(std::string_view name, std::string_view bytes) {
  return impl_->Restore(name, bytes);
}
void Engine::Restore(const StoredFinding& finding) { impl_->Restore(finding); }
void Engine::Judge(const CommittedUse& use) { impl_->Judge(use); }
void Engine::Learn(const TokenFactRow& fact) { impl_->Learn(fact); }
void Engine::AdvanceTo(int64_t time_us) { impl_->AdvanceTo(time_us); }
std::vector<StoredFinding> Engine::TakeFindings(bool joined, int64_t now_us) {
  return impl_->TakeFindings(joined, now_us);
}
std::vector<TokenFactRow> Engine::TakeFacts() { return impl_->TakeFacts(); }
std::vector<StoredBaseline> Engine::TakeBaselines() { return impl_->TakeBaselines(); }

Engine::Engine(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
Engine::~Engine() = default;

}  // namespace tokenwatch
