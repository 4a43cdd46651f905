#include "collector/detect/profile.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>

#include "collector/detect/baseline.pb.h"
#include "collector/detect/evidence.h"

namespace tokenwatch {
namespace {

// Most values of a dimension, in the order of Dimension.
constexpr std::array<size_t, kDimensions> kMostValues = {64, 64, 256, 64, 64,  256, 64, 128,
                                                         32, 64, 32,  64, 256, 32,  64, 256};

// An hour with less than that of what was to be expected is no hour as usual.
constexpr double kQuietShare = 0.35;
constexpr double kFadeQuiet = 0.99;

void SaveSets(const SeenSets& sets, const Words& words, auto* state) {
  for (size_t i = 0; i < kDimensions; ++i) {
    const SeenSet& set = sets[static_cast<Dimension>(i)];
    detect::SeenSetState* const saved = state->add_seen();
    saved->set_overflowed(set.overflowed());
    for (const SeenValue& value : set.values()) {
      detect::SeenState* const one = saved->add_values();
      const std::string_view text = words.Text(value.word);
      one->set_value(text.data(), text.size());
      one->set_first(value.first);
      one->set_last(value.last);
      one->set_uses(value.uses);
      one->set_only(value.only);
      one->set_suspect(value.suspect);
    }
  }
}

void RestoreSets(const auto& state, Words* words, SeenSets* sets) {
  for (int i = 0; i < std::min<int>(state.seen_size(), kDimensions); ++i) {
    SeenSet& set = (*sets)[static_cast<Dimension>(i)];
    set.set_overflowed(state.seen(i).overflowed());
    for (const detect::SeenState& one : state.seen(i).values()) {
      if (set.size() >= kMostValues[i]) break;
      set.Restore(
          {words->Of(one.value()), one.first(), one.last(), one.uses(), one.only(), one.suspect()});
    }
  }
}

void SaveWeek(const WeekModel::State& week, detect::WeekState* state) {
  for (const WeekModel::Slot& slot : week.slots) {
    state->add_mean(slot.mean);
    state->add_peak(slot.peak);
    state->add_days(slot.days);
    state->add_used(slot.used);
  }
  state->set_noise(week.noise);
  state->set_all_peak(week.peak);
  state->set_day_peak(week.day_peak);
  for (size_t i = 0; i < week.days.size(); ++i) {
    state->add_day_mean(week.day_mean[i]);
    state->add_day_variance(week.day_variance[i]);
    state->add_day_count(week.days[i]);
  }
  state->set_used_hours(week.used_hours);
  state->set_day(week.day);
  state->set_day_uses(week.day_uses);
  for (const float peak : week.block_peaks) state->add_block_peaks(peak);
  for (const uint64_t uses : week.last) state->add_last(uses);
  state->set_last_hour(week.last_hour);
}

bool RestoreWeek(const detect::WeekState& state, WeekModel* model) {
  WeekModel::State week;
  const bool whole =
      state.mean_size() == kSlots && state.peak_size() == kSlots && state.days_size() == kSlots &&
      state.used_size() == kSlots && state.day_mean_size() == 2 && state.day_variance_size() == 2 &&
      state.day_count_size() == 2 && state.last_size() == 2 && state.block_peaks_size() == 24;
  if (!whole) return false;
  for (int i = 0; i < kSlots; ++i) {
    week.slots[i] = {state.mean(i), state.peak(i), static_cast<uint16_t>(state.days(i)),
                     static_cast<uint16_t>(state.used(i))};
  }
  week.noise = state.noise();
  week.peak = state.all_peak();
  week.day_peak = state.day_peak();
  for (int i = 0; i < 2; ++i) {
    week.day_mean[i] = state.day_mean(i);
    week.day_variance[i] = state.day_variance(i);
    week.days[i] = static_cast<uint16_t>(state.day_count(i));
  }
  week.used_hours = state.used_hours();
  week.day = state.day();
  week.day_uses = state.day_uses();
  for (size_t i = 0; i < week.block_peaks.size(); ++i) {
    week.block_peaks[i] = state.block_peaks(static_cast<int>(i));
  }
  week.last = {state.last(0), state.last(1)};
  week.last_hour = state.last_hour();
  model->Restore(week);
  return true;
}

}  // namespace

std::array<SeenSet, kDimensions> SeenSets::Make() {
  std::array<SeenSet, kDimensions> sets;
  for (size_t i = 0; i < kDimensions; ++i) sets[i] = SeenSet(kMostValues[i]);
  return sets;
}

SeenSet& SeenSets::operator[](Dimension dimension) { return sets_[static_cast<size_t>(dimension)]; }

const SeenSet& SeenSets::operator[](Dimension dimension) const {
  return sets_[static_cast<size_t>(dimension)];
}

void SeenSets::Forget(Hour before) {
  for (SeenSet& set : sets_) set.Forget(before);
}

void SeenSets::Mark(absl::FunctionRef<void(Word)> keep) const {
  for (const SeenSet& set : sets_) {
    for (const SeenValue& value : set.values()) keep(value.word);
  }
}

void OddDays::Advance(int32_t day) {
  if (day <= day_) return;
  const int32_t by = day_ == 0 ? kDays : std::min<int32_t>(day - day_, kDays);
  std::move(counts_.begin() + by, counts_.end(), counts_.begin());
  std::fill(counts_.end() - by, counts_.end(), 0);
  day_ = day;
}

void OddDays::Add(int32_t day) {
  Advance(day);
  const int32_t at = kDays - 1 - (day_ - day);
  if (at < 0) return;
  if (counts_[at] < std::numeric_limits<char>::max()) ++counts_[at];
}

int OddDays::Count(int32_t day, int days) const {
  int count = 0;
  for (int i = 0; i < kDays; ++i) {
    const int32_t of = day_ - (kDays - 1 - i);
    if (of <= day && of > day - days && counts_[i] != 0) ++count;
  }
  return count;
}

int OddDays::Worst(int32_t day, int days) const {
  int worst = 0;
  for (int i = 0; i < kDays; ++i) {
    const int32_t of = day_ - (kDays - 1 - i);
    if (of <= day && of > day - days) worst = std::max<int>(worst, counts_[i]);
  }
  return worst;
}

void OddDays::Restore(int32_t day, std::string_view counts) {
  if (counts.size() != kDays) return;
  day_ = day;
  std::copy(counts.begin(), counts.end(), counts_.begin());
}

void Profile::CountQuiet(Hour of, uint64_t its_uses, double expected, double chance) {
  const auto used = static_cast<double>(its_uses);
  if (its_uses > 0 && used >= kQuietShare * expected) return EndQuiet(!quiet_excused);
  if (quiet_since == 0) quiet_since = of;
  quiet_uses += its_uses;
  quiet += std::max(0.0, expected - used);
  quiet_hours += its_uses == 0 ? chance : chance * (1 - used / expected);
}

void Profile::EndQuiet(bool learn) {
  if (learn && quiet > 0) {
    longest_quiet = std::max(longest_quiet * kFadeQuiet, quiet);
    longest_quiet_hours = std::max(longest_quiet_hours * kFadeQuiet, quiet_hours);
  }
  quiet = quiet_hours = 0;
  quiet_uses = 0;
  quiet_since = 0;
  quiet_excused = false;
}

std::string Profile::Save(const Words& words) const {
  detect::ProfileState state;
  const auto text = [&words](Word word) { return std::string(words.Text(word)); };
  state.set_subject(subject);
  for (const std::string& id : ids) state.add_ids(id);
  state.set_format(text(format));
  state.set_provider(text(provider));
  state.set_first_us(first_us);
  state.set_last_us(last_us);
  state.set_uses(uses);
  state.set_denied(denied);
  SaveSets(seen, words, &state);
  if (week != nullptr) SaveWeek(week->Save(), state.mutable_week());
  state.set_closed(closed);
  state.set_hour(hour);
  state.set_hour_uses(hour_uses);
  state.set_hour_failed(hour_failed);
  state.set_hour_odd(hour_odd);
  state.set_hour_is_unusual(hour_shape != nullptr);
  state.set_hour_chance(hour_chance);
  for (const Word resource : hour_resources) state.add_hour_resources(text(resource));
  state.set_hour_new_resources(hour_new_resources);
  state.set_resource_peak(resource_peak);
  state.set_denials_since_us(denials_since_us);
  state.set_denials(denials);
  state.set_answers(answers);
  state.set_denial_peak(denial_peak);
  state.set_refused_since_us(refused_since_us);
  state.set_refused(refused);
  state.set_odd_day(odd.day());
  state.set_odd_days(odd.Save());
  state.set_active_days(active_days);
  state.set_last_day(last_day);
  state.set_wrote(wrote);
  state.set_in_header(in_header);
  state.set_longest_gap_us(longest_gap_us);
  state.set_longest_quiet(longest_quiet);
  state.set_quiet(quiet);
  state.set_quiet_hours(quiet_hours);
  state.set_quiet_since(quiet_since);
  state.set_quiet_uses(quiet_uses);
  state.set_told_quiet(told_quiet);
  state.set_longest_quiet_hours(longest_quiet_hours);
  state.set_quiet_excused(quiet_excused);
  state.set_told_quiet_us(told_quiet_us);
  state.set_scopes_told_us(scopes_told_us);
  if (newest != nullptr) *state.mutable_newest() = ShownUse(*newest);
  state.set_scopes_known(scopes_known);
  for (const std::string& scope : scopes) state.add_scopes(scope);
  state.set_revoked_us(revoked_us);
  state.set_expires_us(expires_us);
  state.set_issued_us(issued_us);
  state.set_successor(successor);
  return state.SerializeAsString();
}

bool Profile::Restore(std::string_view bytes, Words* words) {
  detect::ProfileState state;
  if (!state.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  if (state.subject().empty()) return false;
  subject = state.subject();
  ids.assign(state.ids().begin(), state.ids().end());
  format = words->Of(state.format());
  provider = words->Of(state.provider());
  first_us = state.first_us();
  last_us = state.last_us();
  uses = state.uses();
  denied = state.denied();
  RestoreSets(state, words, &seen);
  if (state.has_week()) {
    week = std::make_unique<WeekModel>();
    if (!RestoreWeek(state.week(), week.get())) week = nullptr;
  }
  closed = state.closed();
  hour = state.hour();
  hour_uses = state.hour_uses();
  hour_failed = state.hour_failed();
  hour_odd = state.hour_odd();
  for (const std::string& resource : state.hour_resources()) {
    hour_resources.push_back(words->Of(resource));
  }
  hour_new_resources = state.hour_new_resources();
  resource_peak = state.resource_peak();
  denials_since_us = state.denials_since_us();
  denials = state.denials();
  answers = state.answers();
  denial_peak = state.denial_peak();
  refused_since_us = state.refused_since_us();
  refused = state.refused();
  odd.Restore(state.odd_day(), state.odd_days());
  active_days = state.active_days();
  if (state.hour_is_unusual() && week != nullptr) {
    hour_chance = state.hour_chance();
    hour_shape = std::make_unique<HourShape>(ShapeOf(*week, active_days));
  }
  last_day = state.last_day();
  wrote = state.wrote();
  in_header = state.in_header();
  longest_gap_us = state.longest_gap_us();
  longest_quiet = state.longest_quiet();
  quiet = state.quiet();
  quiet_hours = state.quiet_hours();
  quiet_since = state.quiet_since();
  quiet_uses = state.quiet_uses();
  told_quiet = state.told_quiet();
  longest_quiet_hours = state.longest_quiet_hours();
  quiet_excused = state.quiet_excused();
  told_quiet_us = state.told_quiet_us();
  scopes_told_us = state.scopes_told_us();
  if (state.has_newest()) {
    newest = std::make_unique<CommittedUse>(UseFromShown(state.newest(), 0));
  }
  scopes_known = state.scopes_known();
  scopes.assign(state.scopes().begin(), state.scopes().end());
  revoked_us = state.revoked_us();
  expires_us = state.expires_us();
  issued_us = state.issued_us();
  successor = state.successor();
  return true;
}

void Profile::Mark(absl::FunctionRef<void(Word)> keep) const {
  keep(format);
  keep(provider);
  for (const Word resource : hour_resources) keep(resource);
  seen.Mark(keep);
}

std::string SharedProfile::Save(const Words& words) const {
  detect::SharedState state;
  state.set_name(name);
  state.set_began(began);
  state.set_last(last);
  state.set_uses(uses);
  SaveSets(seen, words, &state);
  state.set_deployed(deployed);
  state.set_hour(hour);
  for (const uint32_t token : hour_tokens) state.add_hour_tokens(token);
  state.set_hour_refused(hour_refused);
  state.set_weekend(weekend);
  state.set_token_peak(token_peak);
  return state.SerializeAsString();
}

bool SharedProfile::Restore(std::string_view bytes, Words* words) {
  detect::SharedState state;
  if (!state.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  name = state.name();
  began = state.began();
  last = state.last();
  uses = state.uses();
  RestoreSets(state, words, &seen);
  deployed = state.deployed();
  hour = state.hour();
  hour_tokens.assign(state.hour_tokens().begin(), state.hour_tokens().end());
  hour_refused = state.hour_refused();
  weekend = state.weekend();
  token_peak = state.token_peak();
  return true;
}

}  // namespace tokenwatch
