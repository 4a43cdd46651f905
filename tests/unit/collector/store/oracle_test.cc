// Random uses, and random questions about them: the store has to say what counting them one by one
// says. Covers times that cut hours and days, every filter, joined tokens, credentials and pages.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "collector/policy/policy.h"
#include "collector/store/outcome.h"
#include "tests/unit/collector/store/store_testing.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::testing {
namespace {

// What the oracle remembers of a use.
struct Known {
  UseRow row;
  uint64_t token = 0;  // 0: unresolved; ids of one token share it
  uint64_t order = 0;  // of arrival
};

// Tokens 2 and 3 are of one credential, 8 to 12 of another: one row each.
uint64_t RowOf(uint64_t token) {
  if (token == 2 || token == 3) return 1002;
  return token >= 8 ? 1008 : token;
}

// Who owns a use, as OraclePolicy says it: the first row that fits.
std::string OwnerOf(const Known& use) {
  const UseContext& context = *use.row.context;
  if (context.host == "git.example.org" && context.method == "POST") return "git";
  if (context.workload.script() == "/srv/a.py" && context.workload.user() == "app") return "sync";
  if (use.token == 2) return "three";
  if (context.workload.host() == "web-2" && context.provider == "Example") return "git";
  return "none";
}

std::shared_ptr<const Policy> OraclePolicy() {
  std::vector<std::string> problems;
  auto policy = Policy::Parse(absl::StrCat("owners:\n"
                                           "- {owner: git, match: {host: git.*, method: post}}\n"
                                           "- {owner: sync, match: {workload: a.py, user: app}}\n"
                                           "- {owner: three, match: {token: ",
                                           TokenText(2),
                                           "}}\n"
                                           "- {owner: git, match: {machine: web-2, provider: "
                                           "Exam*}}\n"),
                              "policy", &problems);
  EXPECT_TRUE(problems.empty()) << problems[0];
  return policy;
}

bool IsInbound(const Known& use) { return use.row.context->direction == "inbound"; }

// A question, in words and as a predicate, but for its direction.
struct Question {
  v1::ListRequest request;
  int64_t since = INT64_MIN;
  int64_t until = INT64_MAX;
  std::vector<std::function<bool(const Known&)>> conditions;

  bool Takes(const Known& use) const {
    return use.row.time_us >= since && use.row.time_us < until &&
           std::all_of(
               conditions.begin(), conditions.end(),
               [&use](const auto& condition) { return condition(use); });
  }
  bool Lists(const Known& use) const {
    return Takes(use) && (request.direction().empty() || Counts(use));
  }
  bool Counts(const Known& use) const {
    return Takes(use) && IsInbound(use) == (request.direction() == "inbound");
  }
};

class Oracle : public ::testing::TestWithParam<int> {
 protected:
  Oracle() : random_(static_cast<uint32_t>(GetParam())) {
    for (int i = 0; i < 30; ++i) {
      contexts_.push_back(Context([&](UseContext& made) {
        made.workload.set_host(absl::StrCat("web-", Dice(3)));
        made.workload.set_pid(static_cast<uint32_t>(100 + i));
        made.workload.set_comm(Pick({"curl", "python3", "node"}));
        made.workload.set_exe(absl::StrCat("/usr/bin/", made.workload.comm()));
        made.workload.set_script(Pick({"", "/srv/a.py", "/srv/b.py"}));
        made.workload.set_user(Pick({"app", "root"}));
        made.workload.set_unit(Pick({"", "a.service"}));
        made.workload.set_container_id(Pick({"", "c0ffee00c0ffee00c0ffee00"}));
        made.host = Pick({"api.example.com", "api.example.com:8443", "git.example.org"});
        made.path = Pick({"/", "/v1/items", "/v1/items/{id}", "/login"});
        made.method = Pick({"GET", "POST"});
        made.provider = Pick({"", "Example"});
        if (Dice(8) == 0) made.direction = "inbound";
        if (Dice(3) == 0) made.traits |= v1::USE_TRAIT_FOREIGN_HOST;
        if (Dice(3) == 0) made.traits |= v1::USE_TRAIT_CLEARTEXT;
      }));
    }
    fixture_.store().SetPolicy(OraclePolicy());
    // Tokens 1 to 12; the ids of 1 and 2 are joined with 101 and 102 when both keys are in force.
    for (uint64_t i = 1; i <= 12; ++i) {
      auto& forms = tokens_.emplace_back();
      forms.push_back(Token(i));
      if (i <= 2) {
        forms.push_back(Token({{"key_00000001", i}, {"key_00000002", 100 + i}}));
        forms.push_back(Token({{"key_00000002", 100 + i}, {"key_00000001", i}}));
        forms.push_back(Token({{"key_00000002", 100 + i}}));
      }
    }
  }

  int Dice(int sides) { return static_cast<int>(random_() % static_cast<uint32_t>(sides)); }
  const char* Pick(std::initializer_list<const char*> choice) {
    return *(choice.begin() + Dice(static_cast<int>(choice.size())));
  }
  int64_t Between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  // The credential's id under each key that the token comes under.
  static void Tell(const UseRow& use, uint64_t token, std::vector<TokenFactRow>* facts) {
    if (RowOf(token) == token) return;
    for (const auto& [key, id] : use.token->ids) {
      const uint64_t credential = RowOf(token) + (key == "key_00000002" ? 100 : 0);
      facts->push_back(Fact(use.token, "credential", CredentialText(credential), use.time_us));
    }
  }

  void Commit(int uses) {
    std::vector<UseRow> rows;
    std::vector<TokenFactRow> facts;
    for (int i = 0; i < uses; ++i) {
      Known use;
      if (Dice(12) != 0) {
        use.token = static_cast<uint64_t>(1 + Dice(static_cast<int>(tokens_.size())));
        const auto& forms = tokens_[use.token - 1];
        use.row.token = forms[static_cast<size_t>(Dice(static_cast<int>(forms.size())))];
      }
      use.row.context = contexts_[static_cast<size_t>(Dice(static_cast<int>(contexts_.size())))];
      // Mostly the last hours; some days late, some in the same microsecond.
      use.row.time_us =
          Dice(4) == 0 ? Between(kNow - 3 * kDay, kNow) : Between(kNow - 3 * kHour, kNow + kMinute);
      if (Dice(3) == 0) use.row.time_us -= use.row.time_us % kHour;
      use.row.status = static_cast<uint32_t>(
          std::vector<int>{200, 200, 204, 301, 401, 403, 404, 407, 429, 500, 0}[Dice(11)]);
      use.row.count = Dice(6) == 0 ? 5 : 1;
      if (use.token != 0) Tell(use.row, use.token, &facts);
      use.order = known_.size();
      rows.push_back(use.row);
      known_.push_back(use);
    }
    fixture_.AddTelling(std::move(rows), std::move(facts));
  }

  Question Ask() {
    Question question;
    const auto require = [&](std::function<bool(const Known&)> condition) {
      question.conditions.push_back(std::move(condition));
    };
    if (Dice(2) == 0) {
      question.since = Between(kNow - 4 * kDay, kNow);
      if (Dice(3) == 0) question.since -= question.since % kHour;
      question.request.set_since(absl::FormatTime(
          "%Y-%m-%dT%H:%M:%E*SZ", absl::FromUnixMicros(question.since), absl::UTCTimeZone()));
    }
    if (Dice(3) == 0) {
      question.until = Between(std::max(question.since, kNow - 4 * kDay), kNow + kHour);
      if (Dice(3) == 0) question.until += kHour - question.until % kHour;
      question.request.set_until(absl::FormatTime(
          "%Y-%m-%dT%H:%M:%E*SZ", absl::FromUnixMicros(question.until), absl::UTCTimeZone()));
    }
    if (Dice(8) == 0) {
      const uint64_t row = Dice(2) == 0 ? 1002 : 1008;
      question.request.set_token(CredentialText(row == 1002 && Dice(2) == 0 ? 1102 : row));
      require([row](const Known& use) { return RowOf(use.token) == row; });
    } else if (Dice(4) == 0) {
      const auto token = static_cast<uint64_t>(1 + Dice(13));
      question.request.set_token(TokenText(token <= 2 && Dice(2) == 0 ? 100 + token : token));
      require([token](const Known& use) { return use.token == token; });
    }
    if (Dice(4) == 0) {
      const std::string host = Pick({"web-1", "WEB-2", "git.example.org", "api.example.com",
                                     "api.example.com:8443", "example"});
      question.request.set_host(host);
      require([host](const Known& use) {
        const UseContext& context = *use.row.context;
        return absl::EqualsIgnoreCase(context.workload.host(), host) || context.host == host ||
               context.host == host + ":8443";
      });
    }
    if (Dice(4) == 0) {
      question.request.set_provider("example");
      require([](const Known& use) { return use.row.context->provider == "Example"; });
    }
    if (Dice(4) == 0) {
      const std::string name =
          Pick({"curl", "/usr/bin/node", "a.py", "root", "a.service", "c0ffee00c0ffee"});
      question.request.set_workload(name);
      require([name](const Known& use) {
        const v1::Workload& workload = use.row.context->workload;
        return workload.comm() == name || workload.exe() == name ||
               workload.script() == "/srv/" + name || workload.user() == name ||
               workload.unit() == name ||
               (name == "c0ffee00c0ffee" && !workload.container_id().empty());
      });
    }
    if (Dice(4) == 0) {
      const std::string endpoint = Pick({"GET api.example.com/v1/items", "api.example.com/v1/*",
                                         "POST *", "git.example.org", "*/login"});
      question.request.set_endpoint(endpoint);
      require([endpoint](const Known& use) {
        const UseContext& context = *use.row.context;
        const std::string place = context.host + context.path;
        if (endpoint == "POST *") return context.method == "POST";
        if (endpoint == "git.example.org") return context.host == endpoint;
        if (endpoint == "*/login") return context.path == "/login";
        if (endpoint == "api.example.com/v1/*") {
          return absl::StartsWith(place, "api.example.com/v1/");
        }
        return context.method == "GET" && place == "api.example.com/v1/items";
      });
    }
    if (Dice(4) == 0) {
      const bool foreign = Dice(2) == 0;
      question.request.set_trait(foreign ? "foreignHost" : "cleartext");
      const uint32_t bit = foreign ? v1::USE_TRAIT_FOREIGN_HOST : v1::USE_TRAIT_CLEARTEXT;
      require([bit](const Known& use) { return (use.row.context->traits & bit) != 0; });
    }
    if (Dice(3) == 0) {
      const std::string owner = Pick({"git", "sync", "three", "none", "nobody"});
      question.request.set_owner(owner);
      require([owner](const Known& use) { return OwnerOf(use) == owner; });
    }
    if (Dice(4) == 0) question.request.set_direction(Pick({"inbound", "outbound"}));
    if (Dice(4) == 0) {
      const std::string status =
          Pick({"403", "4xx", "5XX", "denied", "ok", "throttled", "failed", "unanswered", "200"});
      question.request.set_status(status);
      require([status](const Known& use) {
        const uint32_t code = use.row.status;
        if (status == "403" || status == "200") return std::to_string(code) == status;
        if (status == "4xx") return code / 100 == 4;
        if (status == "5XX") return code / 100 == 5;
        return status == OutcomeOf(code);
      });
    }
    return question;
  }

  void CheckUses(const Question& question) {
    std::vector<const Known*> expected;
    for (const Known& use : known_) {
      if (question.Lists(use)) expected.push_back(&use);
    }
    std::stable_sort(expected.begin(), expected.end(), [](const Known* a, const Known* b) {
      return a->row.time_us > b->row.time_us;
    });
    v1::ListRequest request = question.request;
    request.set_limit(static_cast<uint32_t>(1 + Dice(60)));
    std::vector<v1::Use> got;
    do {
      const absl::StatusOr<v1::ListUsesResponse> page = fixture_.store().ListUses(request);
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_LE(page->uses_size(), static_cast<int>(request.limit()));
      got.insert(got.end(), page->uses().begin(), page->uses().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    ASSERT_EQ(got.size(), expected.size());
    std::set<uint64_t> sequences;
    std::map<uint64_t, std::string> owners;
    for (const Known& use : known_) owners[use.order + 1] = OwnerOf(use);
    for (size_t i = 0; i < got.size(); ++i) {
      // Within one microsecond any order will do.
      EXPECT_EQ(Micros(got[i].time()), expected[i]->row.time_us);
      EXPECT_TRUE(sequences.insert(got[i].sequence()).second);
      const std::string& owner = owners[got[i].sequence()];
      EXPECT_EQ(got[i].owner(), owner == "none" ? "" : owner);
    }
    for (const Known* use : expected) EXPECT_TRUE(sequences.contains(use->order + 1));
  }

  struct Sums {
    uint64_t uses = 0, denied = 0, failed = 0, inbound = 0;
    int64_t first = INT64_MAX, last = INT64_MIN;
    std::set<std::tuple<std::string, std::string, std::string, std::string>> programs;
    std::set<std::string> machines;
    std::set<std::string> resources;
    std::map<std::string, uint64_t> hosts;
    std::set<uint64_t> tokens;
    uint64_t foreign = 0;

    void Add(const Known& use) {
      const UseContext& context = *use.row.context;
      const v1::Workload& workload = context.workload;
      const Outcome outcome = Classify(use.row.status);
      uses += use.row.count;
      if (outcome == Outcome::kDenied) {
        denied += use.row.count;
      } else if (outcome != Outcome::kOk) {
        failed += use.row.count;
      }
      first = std::min(first, use.row.time_us);
      last = std::max(last, use.row.time_us);
      programs.emplace(workload.host(), workload.exe(), workload.script(), workload.user());
      machines.insert(workload.host());
      resources.insert(absl::StrCat(context.method, " ", context.host, context.path));
      hosts[context.host] += use.row.count;
      tokens.insert(use.token);
      if ((context.traits & v1::USE_TRAIT_FOREIGN_HOST) != 0) foreign += use.row.count;
    }
  };

  static void ExpectSame(const v1::Token& token, const Sums& sums) {
    EXPECT_EQ(token.uses(), sums.uses);
    EXPECT_EQ(token.denied(), sums.denied);
    EXPECT_EQ(token.failed(), sums.failed);
    EXPECT_EQ(token.inbound_uses(), sums.inbound);
    EXPECT_EQ(token.foreign_host_uses(), sums.foreign);
    EXPECT_EQ(token.issued(), sums.tokens.size());
    EXPECT_EQ(Micros(token.first_used()), sums.first);
    EXPECT_EQ(Micros(token.last_used()), sums.last);
    EXPECT_EQ(token.workloads(), sums.programs.size());
    EXPECT_EQ(token.machines(), sums.machines.size());
    EXPECT_EQ(token.resources(), sums.resources.size());
    ASSERT_EQ(static_cast<size_t>(token.hosts_size()), sums.hosts.size());
    for (int i = 0; i < token.hosts_size(); ++i) {
      ASSERT_TRUE(sums.hosts.contains(token.hosts(i)));
      if (i == 0) continue;
      EXPECT_LE(sums.hosts.at(token.hosts(i)), sums.hosts.at(token.hosts(i - 1)));
    }
  }

  // The number of a listed token, whichever of its ids is shown.
  static uint64_t NumberOf(const v1::Token& token) {
    for (uint64_t i = 1; i <= 12; ++i) {
      if (token.token_id() == TokenText(i) || token.token_id() == TokenText(100 + i)) return i;
    }
    return 0;
  }

  // By RowOf, or by token.
  std::map<uint64_t, Sums> SumTokens(const Question& question, bool rows = true) const {
    const auto key = [rows](const Known& use) { return rows ? RowOf(use.token) : use.token; };
    std::map<uint64_t, Sums> sums;
    for (const Known& use : known_) {
      if (question.Counts(use)) sums[key(use)].Add(use);
    }
    for (const Known& use : known_) {
      const auto found = sums.find(key(use));
      if (found != sums.end() && IsInbound(use) && question.Takes(use)) {
        found->second.inbound += use.row.count;
      }
    }
    return sums;
  }

  void CheckTokens(const Question& question) {
    std::map<uint64_t, Sums> expected = SumTokens(question);
    expected.erase(0);
    std::map<uint64_t, std::set<uint64_t>> expected_tokens;
    for (const Known& use : known_) {
      if (!IsInbound(use)) expected_tokens[RowOf(use.token)].insert(use.token);
    }
    v1::ListRequest request = question.request;
    request.set_limit(static_cast<uint32_t>(1 + Dice(6)));
    int64_t last = INT64_MAX;
    do {
      const absl::StatusOr<v1::ListTokensResponse> page = fixture_.store().ListTokens(request);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const v1::Token& token : page->tokens()) {
        const uint64_t number = RowOf(NumberOf(token));
        EXPECT_EQ(!token.credential_id().empty(), number > 1000);
        ASSERT_TRUE(expected.contains(number)) << "twice, or not selected: " << number;
        ExpectSame(token, expected[number]);
        // A token of a credential whose other tokens the filters left out shows what it has.
        if (expected[number].tokens.size() == expected_tokens[number].size()) {
          const std::map<std::string, uint64_t> owned = OwnedUses(number);
          ASSERT_EQ(static_cast<size_t>(token.owners_size()), owned.size());
          EXPECT_EQ(token.state() == "unmapped", owned.empty());
          for (int i = 0; i < token.owners_size(); ++i) {
            ASSERT_TRUE(owned.contains(token.owners(i)));
            if (i == 0) continue;
            EXPECT_LE(owned.at(token.owners(i)), owned.at(token.owners(i - 1)));
          }
        }
        expected.erase(number);
        EXPECT_LE(Micros(token.last_used()), last);
        last = Micros(token.last_used());
      }
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    EXPECT_TRUE(expected.empty());
  }

  void CheckStats(const Question& question) {
    Sums all;
    uint64_t unresolved = 0;
    const std::map<uint64_t, Sums> tokens = SumTokens(question);
    for (const Known& use : known_) {
      if (!question.Counts(use)) continue;
      all.Add(use);
      if (use.token == 0) unresolved += use.row.count;
    }
    const v1::Stats stats = fixture_.Stats(question.request);
    EXPECT_EQ(stats.uses(), all.uses);
    EXPECT_EQ(stats.denied(), all.denied);
    EXPECT_EQ(stats.unresolved(), unresolved);
    EXPECT_EQ(stats.tokens(), tokens.size() - tokens.count(0));
    EXPECT_EQ(stats.workloads(), all.programs.size());
    EXPECT_EQ(stats.resources(), all.resources.size());
  }

  void CheckOwners(const Question& question) {
    std::map<std::string, Sums> expected;
    for (const Known& use : known_) {
      if (!question.Counts(use) || use.token == 0) continue;
      Sums& sums = expected[OwnerOf(use)];
      sums.Add(use);
      sums.tokens.erase(use.token);
      sums.tokens.insert(RowOf(use.token));
    }
    const auto owners = fixture_.store().SumOwners(question.request);
    ASSERT_TRUE(owners.ok()) << owners.status();
    EXPECT_EQ(owners->size(), expected.size());
    for (const v1::Owner& owner : *owners) {
      const Sums& sums = expected[owner.owner()];
      EXPECT_EQ(owner.uses(), sums.uses);
      EXPECT_EQ(owner.tokens(), sums.tokens.size());
      EXPECT_EQ(Micros(owner.last_used()), sums.last);
    }
  }

  // Of all uses, whatever a list's filters leave.
  std::map<std::string, uint64_t> OwnedUses(uint64_t row) const {
    std::map<std::string, uint64_t> owned;
    for (const Known& use : known_) {
      if (!IsInbound(use) && RowOf(use.token) == row) owned[OwnerOf(use)] += use.row.count;
    }
    owned.erase("none");
    return owned;
  }

  void CheckDetails() {
    for (const bool rows : {false, true}) {
      for (const auto& [number, sums] : SumTokens(Question(), rows)) {
        if (number != 0) CheckDetail(number, sums);
      }
    }
  }

  void CheckDetail(uint64_t number, const Sums& sums) {
    const v1::TokenDetail detail =
        fixture_.Detail(number > 1000 ? CredentialText(number) : TokenText(number));
    ExpectSame(detail.token(), sums);
    uint64_t uses = 0;
    uint64_t denied = 0;
    uint64_t inbound = 0;
    uint64_t before = UINT64_MAX;
    std::set<std::string> rows;
    for (const v1::TokenUsage& row : detail.usage()) {
      const bool is_inbound = row.direction() == "inbound";
      (is_inbound ? inbound : uses) += row.uses();
      if (!is_inbound) denied += row.denied();
      EXPECT_LE(row.uses(), before);
      before = row.uses();
      v1::TokenUsage key = row;
      key.clear_uses();
      key.clear_denied();
      key.clear_first_used();
      key.clear_last_used();
      EXPECT_TRUE(rows.insert(key.SerializeAsString()).second) << "a row twice";
    }
    EXPECT_EQ(uses, sums.uses);
    EXPECT_EQ(denied, sums.denied);
    EXPECT_EQ(inbound, sums.inbound);
  }

  std::mt19937 random_;
  StoreFixture fixture_;
  std::vector<std::shared_ptr<const UseContext>> contexts_;
  std::vector<std::vector<std::shared_ptr<const UseToken>>> tokens_;
  std::vector<Known> known_;
};

TEST_P(Oracle, AgreesWithCounting) {
  for (int commit = 0; commit < 4; ++commit) {
    Commit(commit == 0 ? 400 : 1 + Dice(200));
    for (int i = 0; i < 40; ++i) {
      const Question question = Ask();
      SCOPED_TRACE(question.request.ShortDebugString());
      CheckUses(question);
      CheckTokens(question);
      CheckStats(question);
      CheckOwners(question);
      if (HasFailure()) return;
    }
    CheckDetails();
    if (commit == 2) {
      fixture_.Reopen();
      fixture_.store().SetPolicy(OraclePolicy());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Oracle, ::testing::Range(1, 7));

}  // namespace
}  // namespace tokenwatch::testing
