// An engine that is saved and restored loses nothing; and what no agent should
// send does no harm.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "collector/detect/engine.h"
#include "collector/detect/finding_book.h"
#include "collector/detect/words.h"
#include "tests/unit/collector/detect/detect_testing.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::testing {
namespace {

using Findings = std::map<std::string, StoredFinding>;

// An engine with what a store would have of it.
class Kept {
 public:
  Kept() : engine_(std::make_unique<Engine>(Engine::Options())) {}
  Engine& engine() { return *engine_; }
  void Save() {
    for (StoredFinding& stored : engine_->TakeFindings(true)) {
      findings[stored.finding.finding_id()] = stored;
    }
    for (StoredBaseline& baseline : engine_->TakeBaselines()) {
      baselines[baseline.name] = baseline.bytes;
      if (baseline.bytes.empty()) baselines.erase(baseline.name);
    }
  }
  void Restart() {
    Save();
    engine_ = std::make_unique<Engine>(Engine::Options());
    for (const auto& [name, bytes] : baselines) engine_->Restore(name, bytes);
    for (const auto& [id, stored] : findings) engine_->Restore(stored);
  }

  Findings findings;
  std::map<std::string, std::string> baselines;

 private:
  std::unique_ptr<Engine> engine_;
};

// Services and people, and now and then something that should not be.
std::vector<CommittedUse> Traffic(uint32_t seed) {
  std::mt19937 random(seed);
  const auto one_of = [&random](uint32_t many) { return random() % many; };
  UseMaker maker;
  std::vector<CommittedUse> uses;
  int64_t now = kMonday;
  for (int hour = 0; hour < 24 * 24; ++hour, now += kHour) {
    const bool office = hour % 24 >= 8 && hour % 24 < 18;
    for (uint32_t i = 0; i < 30; ++i) {
      Call call;
      const uint32_t who = i % 15;
      call.token = absl::StrCat("t", who);
      if (who < 12) {
        if ((!office && one_of(200) != 0) || one_of(3) != 0) continue;
        call.unit = "";
        call.user = absl::StrCat("u", who);
        call.exe = "/usr/bin/curl";
      } else {
        call.unit = absl::StrCat("s", who, ".service");
      }
      if (hour > 24 * 12 && one_of(400) == 0) call.host = absl::StrCat("h", one_of(9), ".example");
      if (hour > 24 * 12 && one_of(400) == 0) call.user_agent = "curl/8.5.0";
      if (one_of(300) == 0) call.path = absl::StrCat("/r/", one_of(100), "\xc3\xa4");
      if (one_of(500) == 0) call.traits = v1::USE_TRAIT_CLEARTEXT;
      if (one_of(100) == 0) call.status = 404;
      uses.push_back(maker.Make(call, now + i * kMinute));
    }
  }
  return uses;
}

std::map<std::string, std::string> Shown(const Findings& findings) {
  std::map<std::string, std::string> shown;
  for (const auto& [id, stored] : findings) {
    const v1::Finding& finding = stored.finding;
    shown[absl::StrCat(finding.rule(), " ", finding.token_id(), " ",
                       finding.first_seen().seconds())] =
        absl::StrCat(id, " ", finding.uses(), " until ", finding.last_seen().seconds());
  }
  return shown;
}

TEST(Restore, LosesNothing) {
  for (const uint32_t seed : {1U, 2U, 3U}) {
    SCOPED_TRACE(seed);
    const std::vector<CommittedUse> uses = Traffic(seed);
    Kept whole, again, restarted;
    for (size_t i = 0; i < uses.size(); ++i) {
      for (Kept* const kept : {&whole, &again, &restarted}) {
        kept->engine().Judge(uses[i]);
        kept->engine().AdvanceTo(uses[i].row.time_us);
      }
      if (i % 317 == 316) restarted.Restart();
    }
    for (Kept* const kept : {&whole, &again, &restarted}) kept->Save();
    EXPECT_GT(whole.findings.size(), 5u);
    EXPECT_EQ(Shown(again.findings), Shown(whole.findings));
    EXPECT_EQ(Shown(restarted.findings), Shown(whole.findings));
  }
}

// Uses that are judged again after a crash are counted once, also those of a finding about many
// tokens, and more of them join it.
TEST(Restore, FoldedFindingsAreTakenBack) {
  History history;
  for (int i = 0; i < 60; ++i) {
    Call call;
    call.token = absl::StrCat("t", i);
    call.traits = v1::USE_TRAIT_FOREIGN_HOST;
    if (i == 30) history.Wait(kHour);
    history.Uses(1, call);
  }
  Kept kept;
  for (size_t i = 0; i < 30; ++i) kept.engine().Judge(history.uses()[i]);
  kept.Save();
  EXPECT_EQ(kept.findings.size(), FindingBook::kMostAlike + 1);
  kept.baselines.clear();  // a crash before they were saved
  kept.Restart();
  const auto uses = [&kept] {
    uint64_t sum = 0;
    for (const auto& [id, stored] : kept.findings) sum += stored.finding.uses();
    return sum;
  };
  for (size_t i = 0; i < 30; ++i) kept.engine().Judge(history.uses()[i]);
  kept.Save();
  EXPECT_EQ(kept.findings.size(), FindingBook::kMostAlike + 1);
  EXPECT_EQ(uses(), 30u);
  for (size_t i = 30; i < 60; ++i) kept.engine().Judge(history.uses()[i]);
  kept.Save();
  EXPECT_EQ(kept.findings.size(), 2 * FindingBook::kMostAlike + 1);
  EXPECT_EQ(uses(), 60u);
}

// What an agent may say at its longest, with a letter across the place where texts are cut.
TEST(Restore, LongWordsDoNotCostTheBaseline) {
  for (size_t fill = 240; fill < 260; ++fill) {
    Call call;
    call.user_agent = std::string(fill, 'a') + "\xe2\x82\xac\xe2\x82\xac/1";
    call.path = "/" + std::string(fill, 'b') + "\xf0\x9f\x98\x80";
    History history;
    history.Days(5, call);
    Kept kept;
    for (const CommittedUse& use : history.uses()) kept.engine().Judge(use);
    kept.Restart();
    call.host = "other.example";
    history.Uses(1, call);
    kept.engine().Judge(history.uses().back());
    const std::vector<StoredFinding> found = kept.engine().TakeFindings(true);
    ASSERT_EQ(found.size(), 1u) << fill;
    EXPECT_EQ(found[0].finding.rule(), "new_host");
    v1::Finding read;
    EXPECT_TRUE(read.ParseFromString(found[0].finding.SerializeAsString()));
  }
}

TEST(Restore, BrokenBytesDoNoHarm) {
  History history;
  history.Days(5, Call());
  Kept kept;
  for (const CommittedUse& use : history.uses()) kept.engine().Judge(use);
  kept.Save();
  std::mt19937 random(7);
  for (const auto& [name, bytes] : kept.baselines) {
    for (int round = 0; round < 300; ++round) {
      std::string broken = bytes;
      if (round % 3 == 0) broken.resize(random() % broken.size());
      for (uint32_t i = random() % 4; i > 0 && !broken.empty() && round % 3 != 0; --i) {
        broken[random() % broken.size()] = static_cast<char>(random());
      }
      Engine engine({});
      engine.Restore(name, broken);
      for (size_t i = 0; i < 3; ++i) engine.Judge(history.uses()[i * 100]);
      engine.AdvanceTo(history.now_us() + kDay);
      engine.TakeBaselines();
    }
  }
  Engine engine({});
  for (const char* name : {"", "t/", "w/", "f/", "x", "t/tok_"}) engine.Restore(name, "\xff\x01");
  engine.Judge(history.uses()[0]);
  EXPECT_FALSE(engine.TakeBaselines().empty());
}

TEST(Hostile, AnyUseIsJudged) {
  UseMaker maker;
  const std::string texts[] = {"", std::string(65536, 'x'), "\xff\xfe\x80", std::string(3, '\0'),
                               std::string(65535, '\xc3')};
  const int64_t times[] = {
      0,      kMonday, int64_t{253'402'300'799} * kSecond, kMonday - kDay, 1, kMonday + 40 * kDay,
      kMonday};
  Engine engine({});
  for (const std::string& text : texts) {
    for (const int64_t time_us : times) {
      for (const uint32_t count : {0U, 1U, 4'000'000'000U}) {
        Call call;
        call.host = call.path = call.user_agent = call.machine = call.exe = call.unit = text;
        call.pod = call.name_space = call.peer = call.agent_address = call.method = text;
        call.token = text;
        call.count = count;
        call.traits = v1::USE_TRAIT_FOREIGN_HOST;
        call.status = 403;
        engine.Judge(maker.Make(call, time_us));
        engine.AdvanceTo(time_us);
      }
    }
  }
  const std::vector<StoredFinding> found = engine.TakeFindings(true);
  EXPECT_GT(found.size(), 1u);
  for (const StoredFinding& stored : found) {
    EXPECT_LE(stored.finding.title().size(), 1024u);
    EXPECT_LE(stored.finding.observed().size(), 512u);
  }
  for (const StoredBaseline& baseline : engine.TakeBaselines()) {
    EXPECT_LE(baseline.name.size(), 512u);
  }
}

TEST(Hostile, WordsThatNobodyKeepsAreFreed) {
  Words words;
  const Word kept = words.Of("kept");
  Word greatest = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    greatest = std::max(greatest, words.Of(absl::StrCat("word ", i)));
    if (words.IsSweepDue()) {
      words.Sweep([kept](absl::FunctionRef<void(Word)> keep) { keep(kept); });
    }
  }
  EXPECT_LE(greatest, 200'000u);
  EXPECT_EQ(words.Text(kept), "kept");
  EXPECT_EQ(words.Of("kept"), kept);
}

}  // namespace
}  // namespace tokenwatch::testing
