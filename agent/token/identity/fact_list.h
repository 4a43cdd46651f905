// Collecting facts: bounded, printable, persons hashed.
#ifndef TOKENWATCH_AGENT_TOKEN_IDENTITY_FACT_LIST_H_
#define TOKENWATCH_AGENT_TOKEN_IDENTITY_FACT_LIST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/common/facts.h"
#include "agent/token/jwt/jwt.h"
#include "agent/token/secret/redact.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

// Adds facts to a list that outlives it. Empty values are left out.
class FactList {
 public:
  // What AddOnce is called for in all, however often a value comes again.
  static constexpr size_t kTriesMax = 512;

  // `bounded`: of what a server may send without end.
  FactList(PersonHasher hash_person, std::vector<TokenFact>* facts, bool bounded = false)
      : hash_person_(hash_person), facts_(facts), bounded_(bounded) {}

  void Add(std::string_view name, std::string_view value) {
    if (!value.empty()) facts_->push_back({name, Printable(value, fact::kValueMax)});
  }

  // Something that may name a person.
  void AddPerson(std::string_view name, std::string_view person) {
    if (!person.empty()) Add(name, hash_person_(person));
  }

  void AddTime(std::string_view name, absl::Time time) {
    // absl::FormatTime takes four times as long.
    const absl::CivilSecond utc = absl::ToCivilSecond(time, absl::UTCTimeZone());
    std::string text = "0000-00-00T00:00:00Z";
    const auto write = [&text](size_t end, int64_t number) {
      for (; number > 0; number /= 10) text[--end] = static_cast<char>('0' + number % 10);
    };
    write(4, std::clamp<int64_t>(utc.year(), 0, 9999));
    write(7, utc.month());
    write(10, utc.day());
    write(13, utc.hour());
    write(16, utc.minute());
    write(19, utc.second());
    Add(name, text);
  }

  // As Add, unless the list says so already or is_full().
  void AddOnce(std::string_view name, std::string_view value) {
    AddShownOnce(name, Printable(value, fact::kValueMax));
  }

  // What is fit to be shown, and may hold kSecretMark.
  void AddShown(std::string_view name, std::string text) {
    if (!text.empty()) facts_->push_back({name, std::move(text)});
  }
  void AddShownOnce(std::string_view name, std::string text) {
    if (text.empty()) return;
    if (is_full()) {
      ++dropped_;
      return;
    }
    ++tries_;
    for (const TokenFact& fact : *facts_) {
      ++compared_;
      if (fact.name == name && fact.value == text) return;
    }
    facts_->push_back({name, std::move(text)});
  }

  // As long as a use may have facts, or asked too often: AddOnce adds nothing more.
  bool is_full() const {
    return bounded_ && (facts_->size() >= fact::kPerUseMax || tries_ >= kTriesMax);
  }
  size_t dropped() const { return dropped_; }
  // Facts that AddOnce looked at.
  size_t compared() const { return compared_; }

 private:
  PersonHasher hash_person_;
  std::vector<TokenFact>* facts_;
  const bool bounded_;
  size_t tries_ = 0, dropped_ = 0, compared_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_IDENTITY_FACT_LIST_H_
