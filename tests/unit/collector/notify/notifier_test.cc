#include "collector/notify/notifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "collector/json/json.h"
#include "collector/notify/webhook.h"
#include "collector/store/fake_detection_store.h"
#include "tests/unit/collector/notify/example_finding.h"
#include "tests/unit/collector/notify/scripted_receiver.h"
#include "tests/unit/collector/notify/temporary_files.h"

namespace tokenwatch {
namespace {

// So short that a test of retries is none of waiting.
constexpr NotifyPace kQuick = {.pause = absl::Milliseconds(2),
                               .longest_pause = absl::Milliseconds(10),
                               .refused = absl::Milliseconds(5),
                               .longest = absl::Milliseconds(20)};

class NotifierTest : public testing::Test {
 protected:
  static v1::Finding Numbered(int number) {
    v1::Finding finding = ExampleFinding();
    finding.set_finding_id(absl::StrCat("fnd_", number));
    return finding;
  }
  // "hook" is the only receiver.
  std::string WriteHook(const std::string& url, const std::string& more = "") {
    return files_.Write(
        "n.yaml",
        absl::StrCat("receivers:\n  - name: hook\n    type: webhook\n    url: ", url, "\n", more));
  }
  void Start(const std::string& file, const NotifyPace& pace = kQuick) {
    auto notifier = Notifier::Create(file, &store_, &clock_, pace);
    ASSERT_TRUE(notifier.ok()) << notifier.status();
    notifier_ = *std::move(notifier);
  }
  // As the judge does.
  void Raise(const v1::Finding& finding) {
    DetectionCommit commit;
    commit.deliveries = notifier_->Route(finding);
    ASSERT_TRUE(store_.CommitDetection(commit).ok());
    notifier_->Wake();
  }
  void Queue(std::vector<Delivery> deliveries) {
    DetectionCommit commit;
    commit.deliveries = std::move(deliveries);
    ASSERT_TRUE(store_.CommitDetection(commit).ok());
  }
  // Polls, for what another thread does.
  static bool Eventually(const std::function<bool()>& holds) {
    const absl::Time until = absl::Now() + absl::Seconds(20);
    while (!holds()) {
      if (absl::Now() > until) return false;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }
  bool Empties() {
    return Eventually([this] { return store_.deliveries().empty(); });
  }
  uint64_t Counter(const std::string& name) const {
    Counters counters;
    notifier_->AddCounters(&counters);
    return counters.at(name);
  }
  v1::ReceiverStatus Only() const {
    const auto receivers = notifier_->Receivers();
    return receivers.size() == 1 ? receivers[0] : v1::ReceiverStatus();
  }

  TemporaryFiles files_;
  FakeDetectionStore store_;
  // A clock that is set.
  class SteppedClock : public RealClock {
   public:
    absl::Time Now() const override {
      return RealClock::Now() + absl::Seconds(step_seconds.load());
    }
    std::atomic<int64_t> step_seconds{0};
  };
  SteppedClock clock_;
  std::unique_ptr<Notifier> notifier_;
};

std::string Ok(const PostedRequest& /*request*/) { return ScriptedReceiver::Answer(200, "ok"); }

TEST(BackOffTest, DoublesUpToItsBoundWithJitter) {
  const absl::Duration first = absl::Seconds(1), most = absl::Minutes(1);
  EXPECT_EQ(BackOff(first, most, 1, 1), first);
  EXPECT_EQ(BackOff(first, most, 1, 0), first / 2);
  EXPECT_EQ(BackOff(first, most, 4, 1), 8 * first);
  EXPECT_EQ(BackOff(first, most, 7, 1), most);
  EXPECT_EQ(BackOff(first, most, 1'000'000, 1), most);
  EXPECT_EQ(BackOff(first, most, 1'000'000, 0), most / 2);
}

TEST_F(NotifierTest, AWebhookGetsASignedFindingWithItsKey) {
  const ScriptedReceiver receiver(Ok);
  const std::string secret = files_.Write("secret", "hook-secret\n");
  const std::string bearer = files_.Write("bearer", "bearer-value\n");
  Start(WriteHook(receiver.url(), absl::StrCat("    secret-file: ", secret, "\n    bearer-file: ",
                                               bearer, "\n    headers: {X-Team: blue}\n")));
  Raise(Numbered(1));
  ASSERT_TRUE(Empties());
  ASSERT_EQ(receiver.requests().size(), 1U);
  const PostedRequest request = receiver.requests()[0];
  EXPECT_EQ(request.head.substr(0, 20), "POST /hook HTTP/1.1\r");
  EXPECT_EQ(request.Field("Content-Type"), "application/json");
  EXPECT_EQ(request.Field("Idempotency-Key"), "fnd_1:1");
  EXPECT_EQ(request.Field("Authorization"), "Bearer bearer-value");
  EXPECT_EQ(request.Field("X-Team"), "blue");
  const std::string signature = request.Field("X-Tokenwatch-Signature");
  int64_t seconds = 0;
  ASSERT_TRUE(absl::SimpleAtoi(signature.substr(2, signature.find(',') - 2), &seconds))
      << signature;
  EXPECT_EQ(signature, WebhookSignature("hook-secret", seconds, request.body));
  EXPECT_LT(absl::AbsDuration(absl::FromUnixSeconds(seconds) - absl::Now()), absl::Minutes(1));
  EXPECT_EQ(Json::parse(request.body)["finding"]["findingId"], "fnd_1");
  ASSERT_TRUE(Eventually([this] { return Only().delivered() == 1; }));
  EXPECT_EQ(Only().receiver(), "hook");
  EXPECT_EQ(Only().type(), "webhook");
  EXPECT_TRUE(Only().has_last_delivered());
  EXPECT_EQ(Only().error(), "");
  EXPECT_EQ(Counter("notify_delivered"), 1U);
}

TEST_F(NotifierTest, EachHttpTypePostsItsOwnForm) {
  for (const auto& [type, path, part] :
       std::vector<std::tuple<const char*, const char*, const char*>>{
           {"slack", "/hook", "\"blocks\""},
           {"alertmanager", "/hook/api/v2/alerts", "\"startsAt\""},
           {"ocsf", "/hook", "\"class_uid\":2004"}}) {
    const ScriptedReceiver receiver(Ok);
    Start(files_.Write("n.yaml", absl::StrCat("receivers: [{name: r, type: ", type, ", url: '",
                                              receiver.url(), "'}]")));
    Raise(Numbered(1));
    ASSERT_TRUE(Empties()) << type;
    ASSERT_EQ(receiver.requests().size(), 1U);
    EXPECT_EQ(receiver.requests()[0].head.find(absl::StrCat("POST ", path, " ")), 0U) << type;
    EXPECT_NE(receiver.requests()[0].body.find(part), std::string::npos) << type;
    notifier_.reset();
  }
}

TEST_F(NotifierTest, WhatFailsIsSentAgainWithTheSameBytes) {
  std::atomic<int> number{0};
  const ScriptedReceiver receiver([&number](const PostedRequest&) {
    switch (number++) {
      case 0:
        return ScriptedReceiver::Answer(500);
      case 1:
        return ScriptedReceiver::Answer(429, "", "Retry-After: 0\r\n");
      case 2:
        return std::string("nonsense\r\n\r\n");
      case 3:
        return ScriptedReceiver::Answer(404);
      default:
        return ScriptedReceiver::Answer(204);
    }
  });
  Start(WriteHook(receiver.url()));
  Raise(Numbered(1));
  ASSERT_TRUE(Empties());
  const auto requests = receiver.requests();
  ASSERT_EQ(requests.size(), 5U);
  for (const PostedRequest& request : requests) {
    EXPECT_EQ(request.Field("Idempotency-Key"), "fnd_1:1");
    EXPECT_EQ(request.body, requests[0].body);
  }
  EXPECT_EQ(Counter("notify_failures"), 4U);
  EXPECT_EQ(Counter("notify_delivered"), 1U);
  EXPECT_EQ(Counter("notify_dropped"), 0U);
}

TEST_F(NotifierTest, OrderIsKeptOverTroubleOfTheReceiver) {
  std::atomic<int> number{0};
  const ScriptedReceiver receiver([&number](const PostedRequest&) {
    return ScriptedReceiver::Answer(number++ < 2 ? 503 : 200);
  });
  std::vector<std::string> expected = {"fnd_0:1", "fnd_0:1"};
  for (int i = 0; i < 20; ++i) expected.push_back(absl::StrCat("fnd_", i, ":1"));
  Start(WriteHook(receiver.url()));
  DetectionCommit commit;
  for (int i = 0; i < 20; ++i) commit.deliveries.push_back(notifier_->Route(Numbered(i))[0]);
  ASSERT_TRUE(store_.CommitDetection(commit).ok());
  notifier_->Wake();
  ASSERT_TRUE(Empties());
  std::vector<std::string> keys;
  for (const auto& request : receiver.requests()) keys.push_back(request.Field("Idempotency-Key"));
  EXPECT_EQ(keys, expected);
}

// Whatever the receiver says to it, those behind it come.
TEST_F(NotifierTest, AMessageThatIsNeverTakenHoldsUpNoOther) {
  for (const int status : {400, 403, 422, 500}) {
    const ScriptedReceiver receiver([status](const PostedRequest& request) {
      return ScriptedReceiver::Answer(request.Field("Idempotency-Key") == "fnd_0:1" ? status : 200);
    });
    Start(WriteHook(receiver.url()));
    for (int i = 0; i < 10; ++i) Raise(Numbered(i));
    ASSERT_TRUE(Eventually([this] { return Only().delivered() == 9; })) << status;
    ASSERT_TRUE(Eventually([this] { return store_.deliveries().size() == 1; })) << status;
    EXPECT_EQ(store_.deliveries()[0].key, "fnd_0:1");
    notifier_.reset();
    store_.BoundDeliveries("hook", 0).value();
  }
}

TEST_F(NotifierTest, StopsAtOnceWhileAReceiverHangs) {
  const ScriptedReceiver receiver([](const PostedRequest&) { return std::string(); });
  Start(WriteHook(receiver.url(), "    timeout: 1m\n"));
  Raise(Numbered(1));
  ASSERT_TRUE(Eventually([&] { return receiver.requests().size() == 1; }));
  const absl::Time before = absl::Now();
  notifier_.reset();
  EXPECT_LT(absl::Now() - before, absl::Seconds(1));
  ASSERT_EQ(store_.deliveries().size(), 1U);
  EXPECT_EQ(store_.deliveries()[0].attempts, 0U);
}

TEST_F(NotifierTest, OneThatHangsHoldsUpNoOtherReceiver) {
  const ScriptedReceiver hangs([](const PostedRequest&) { return std::string(); });
  const ScriptedReceiver works(Ok);
  Start(files_.Write(
      "n.yaml",
      absl::StrCat("receivers:\n  - {name: a, type: ocsf, url: '", hangs.url(),
                   "', timeout: 1m}\n  - {name: b, type: ocsf, url: '", works.url(), "'}\n")));
  Raise(Numbered(1));
  EXPECT_TRUE(Eventually([&] { return works.requests().size() == 1; }));
}

TEST_F(NotifierTest, WhatNobodyAnswersTimesOut) {
  const ScriptedReceiver receiver([](const PostedRequest&) { return std::string(); });
  Start(WriteHook(receiver.url(), "    timeout: 1s\n"));
  Raise(Numbered(1));
  ASSERT_TRUE(Eventually([this] { return Only().failed() >= 1; }));
  EXPECT_NE(Only().error().find("timed out"), std::string::npos) << Only().error();
}

TEST_F(NotifierTest, ARedirectIsNotFollowed) {
  const ScriptedReceiver other(Ok);
  const ScriptedReceiver receiver([&other](const PostedRequest&) {
    return ScriptedReceiver::Answer(307, "", absl::StrCat("Location: ", other.url(), "\r\n"));
  });
  Start(WriteHook(receiver.url()));
  Raise(Numbered(1));
  ASSERT_TRUE(Eventually([this] { return Only().failed() >= 2; }));
  EXPECT_TRUE(other.requests().empty());
  EXPECT_EQ(Only().error(), "it answers 307");
}

TEST_F(NotifierTest, AnErrorIsBoundedAndShowsNoSecret) {
  const std::string bearer = files_.Write("bearer", "bearer-value\n");
  const ScriptedReceiver receiver([](const PostedRequest& request) {
    return ScriptedReceiver::Answer(
        400, absl::StrCat("bad \x1b[31m", request.Field("Authorization"), std::string(5000, 'x')));
  });
  Start(WriteHook(receiver.url(), absl::StrCat("    bearer-file: ", bearer, "\n")));
  Raise(Numbered(1));
  ASSERT_TRUE(Eventually([this] { return Only().failed() >= 1; }));
  EXPECT_EQ(Only().error().find("it answers 400: bad  [31mBearer ***xxx"), 0U) << Only().error();
  EXPECT_LE(Only().error().size(), 256U);
}

TEST_F(NotifierTest, WhatAServerSaysOfASecretUrlIsNotShown) {
  const ScriptedReceiver receiver([](const PostedRequest& request) {
    return ScriptedReceiver::Answer(404, absl::StrCat("Cannot ", request.head.substr(0, 40)));
  });
  const std::string url = files_.Write("url", absl::StrCat(receiver.url(), "/T0/secret-part\n"));
  Start(files_.Write("n.yaml",
                     absl::StrCat("receivers: [{name: r, type: slack, url-file: ", url, "}]")));
  Raise(Numbered(1));
  ASSERT_TRUE(Eventually([this] { return Only().failed() >= 1; }));
  EXPECT_EQ(Only().error(), "it answers 404");
}

TEST_F(NotifierTest, AnAnswerWithoutEndIsAnAnswer) {
  const ScriptedReceiver receiver([](const PostedRequest&) {
    return absl::StrCat("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
                        std::string(size_t{4} << 20, 'x'));
  });
  Start(WriteHook(receiver.url()));
  Raise(Numbered(1));
  EXPECT_TRUE(Empties());
  EXPECT_EQ(receiver.requests().size(), 1U);
}

TEST_F(NotifierTest, BeyondTheBoundTheOldestAreDroppedAndCounted) {
  const LoopbackListener nobody;  // takes connections and never reads
  Start(files_.Write("n.yaml",
                     absl::StrCat("receivers: [{name: hook, type: webhook, timeout: 1s, url: "
                                  "'http://127.0.0.1:",
                                  nobody.port(), "/'}]\nqueue-max: 5\n")));
  DetectionCommit commit;
  for (int i = 0; i < 12; ++i) commit.deliveries.push_back(notifier_->Route(Numbered(i))[0]);
  ASSERT_TRUE(store_.CommitDetection(commit).ok());
  notifier_->Wake();
  ASSERT_TRUE(Eventually([this] { return Counter("notify_dropped") == 7; }));
  ASSERT_EQ(store_.deliveries().size(), 5U);
  EXPECT_EQ(store_.deliveries()[0].key, "fnd_7:1");
  EXPECT_EQ(Counter("notify_waiting"), 5U);
  EXPECT_EQ(Only().dropped(), 7U);
}

TEST_F(NotifierTest, WhatFailedForSevenDaysIsGivenUp) {
  const ScriptedReceiver receiver(Ok);
  Start(WriteHook(receiver.url()));
  std::vector<Delivery> old;
  for (int i = 0; i < 3; ++i) old.push_back(notifier_->Route(Numbered(i))[0]);
  const int64_t week_ago_us = absl::ToUnixMicros(absl::Now() - absl::Hours(24 * 7 + 1));
  old[0].queued_us = week_ago_us;
  old[0].attempts = 9;
  old[1].queued_us = week_ago_us;  // nobody tried: the collector was down
  old[2].attempts = 9;
  Queue(old);
  notifier_->Wake();
  ASSERT_TRUE(Empties());
  std::set<std::string> keys;
  for (const auto& request : receiver.requests()) keys.insert(request.Field("Idempotency-Key"));
  EXPECT_EQ(keys, (std::set<std::string>{"fnd_1:1", "fnd_2:1"}));
  EXPECT_TRUE(Eventually([this] { return Counter("notify_dropped") == 1; }));
}

TEST_F(NotifierTest, WhatIsNoFindingIsDropped) {
  const ScriptedReceiver receiver(Ok);
  Start(WriteHook(receiver.url()));
  Delivery odd = notifier_->Route(Numbered(1))[0];
  odd.finding = "\xff\xff";
  Queue({odd});
  notifier_->Wake();
  ASSERT_TRUE(Empties());
  EXPECT_TRUE(Eventually([this] { return Counter("notify_dropped") == 1; }));
  EXPECT_TRUE(receiver.requests().empty());
}

TEST_F(NotifierTest, WhatWaitedBeforeTheStartIsSent) {
  const ScriptedReceiver receiver(Ok);
  const std::string file = WriteHook(receiver.url());
  Start(file);
  const std::vector<Delivery> waiting = notifier_->Route(Numbered(7));
  notifier_.reset();
  Queue(waiting);
  Start(file);
  ASSERT_TRUE(Empties());
  EXPECT_EQ(receiver.requests()[0].Field("Idempotency-Key"), "fnd_7:1");
}

// It was noted before the clock was set back: no wait is so long.
TEST_F(NotifierTest, AClockThatWasSetBackHoldsUpNothing) {
  const ScriptedReceiver receiver(Ok);
  Start(WriteHook(receiver.url()));
  std::vector<Delivery> waiting = notifier_->Route(Numbered(1));
  waiting[0].due_us = absl::ToUnixMicros(absl::Now() + absl::Hours(3));
  Queue(waiting);
  notifier_->Wake();
  EXPECT_TRUE(Empties());
}

TEST_F(NotifierTest, AClockThatWasSetAheadGivesNothingUp) {
  const ScriptedReceiver receiver(Ok);
  Start(WriteHook(receiver.url()));
  std::vector<Delivery> waiting = notifier_->Route(Numbered(1));
  waiting[0].attempts = 9;
  clock_.step_seconds = int64_t{3650} * 24 * 3600;
  Queue(waiting);
  notifier_->Wake();
  ASSERT_TRUE(Empties());
  EXPECT_EQ(receiver.requests().size(), 1U);
  EXPECT_EQ(Counter("notify_dropped"), 0U);
}

TEST_F(NotifierTest, NothingIsSentAgainAndAgainWhileTheStoreFails) {
  const ScriptedReceiver receiver(Ok);
  const std::string file = WriteHook(receiver.url());
  Start(file);
  std::vector<Delivery> waiting = {notifier_->Route(Numbered(1))[0],
                                   notifier_->Route(Numbered(2))[0]};
  notifier_.reset();
  Queue(waiting);
  store_.FailWith(absl::ResourceExhaustedError("the disk is full"));
  Start(file);
  ASSERT_TRUE(Eventually([this] { return !Only().error().empty(); }));
  EXPECT_EQ(Only().error(), "what was sent cannot be noted in the store");
  store_.FailWith(absl::OkStatus());
  ASSERT_TRUE(Empties());
  EXPECT_EQ(receiver.requests().size(), 2U);
}

TEST_F(NotifierTest, AChangedFileIsTakenUpAndABadOneIsNot) {
  const ScriptedReceiver first(Ok), second(Ok);
  const std::string file = WriteHook(first.url());
  Start(file);
  EXPECT_FALSE(notifier_->Refresh(false));
  WriteHook("ftp://x/");
  EXPECT_TRUE(notifier_->Refresh(false));
  EXPECT_FALSE(notifier_->Refresh(false));
  ASSERT_EQ(notifier_->Problems().size(), 1U);
  EXPECT_NE(notifier_->Problems()[0].find("n.yaml:4: the URL must begin with"), std::string::npos);
  Raise(Numbered(1));
  ASSERT_TRUE(Eventually([&] { return first.requests().size() == 1; }));
  WriteHook(second.url());
  EXPECT_TRUE(notifier_->Refresh(false));
  EXPECT_TRUE(notifier_->Problems().empty());
  Raise(Numbered(2));
  ASSERT_TRUE(Eventually([&] { return second.requests().size() == 1; }));
  ASSERT_TRUE(Eventually([this] { return Only().delivered() == 2; }));
  // The receiver goes; what was counted stays.
  files_.Write("n.yaml", "receivers: []\n");
  EXPECT_TRUE(notifier_->Refresh(false));
  EXPECT_TRUE(notifier_->Receivers().empty());
  EXPECT_TRUE(notifier_->Route(Numbered(3)).empty());
  EXPECT_EQ(Counter("notify_delivered"), 2U);
}

TEST_F(NotifierTest, AnotherAddressEndsThePause) {
  const ScriptedReceiver receiver(Ok);
  NotifyPace slow;
  slow.pause = slow.refused = absl::Hours(1);
  slow.longest_pause = slow.longest = absl::Hours(2);
  const ScriptedReceiver bad([](const PostedRequest&) { return ScriptedReceiver::Answer(503); });
  Start(WriteHook(bad.url()), slow);
  Raise(Numbered(1));
  ASSERT_TRUE(Eventually([this] { return Only().failed() == 1; }));
  WriteHook(receiver.url());
  ASSERT_TRUE(notifier_->Refresh(false));
  Raise(Numbered(2));
  EXPECT_TRUE(Eventually([&] { return receiver.requests().size() == 1; }));
}

TEST_F(NotifierTest, WhatIsLeftOfAReceiverIsShownAndGivenUp) {
  Start(files_.Write("n.yaml", "receivers: []\n"));
  Delivery left{.receiver = "gone", .key = "a", .queued_us = absl::ToUnixMicros(absl::Now())};
  Delivery old{.receiver = "gone", .key = "b"};
  Queue({left, old});
  notifier_->Refresh(true);
  ASSERT_EQ(store_.deliveries().size(), 1U);
  EXPECT_EQ(store_.deliveries()[0].key, "a");
  EXPECT_EQ(Only().receiver(), "gone");
  EXPECT_EQ(Only().waiting(), 1U);
  EXPECT_NE(Only().error(), "");
  EXPECT_EQ(Counter("notify_dropped"), 1U);
}

TEST_F(NotifierTest, ABadFileAtTheStartIsAllOfItsProblems) {
  const std::string file = files_.Write("n.yaml", "receivers:\n  - {name: a, type: x}\nqueue: 1\n");
  const auto notifier = Notifier::Create(file, &store_, &clock_);
  ASSERT_FALSE(notifier.ok());
  EXPECT_NE(notifier.status().message().find("n.yaml:2: "), std::string::npos);
  EXPECT_NE(notifier.status().message().find("n.yaml:3: "), std::string::npos);
  EXPECT_EQ(Notifier::Check(file), notifier.status());
  EXPECT_TRUE(Notifier::Check("").ok());
  EXPECT_FALSE(Notifier::Check(files_.Path("none")).ok());
}

}  // namespace
}  // namespace tokenwatch
