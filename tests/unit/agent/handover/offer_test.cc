#include "agent/handover/offer.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/handover/successor.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class FakeOwner : public HandoverOwner {
 public:
  void OnAttached() override { steps.push_back("attached"); }
  SecretFile OnAgreed(uint64_t handover_ns) override {
    steps.push_back("agreed");
    agreed_ns = handover_ns;
    return *SecretFile::Make(secrets);
  }
  bool IsFinished(uint64_t, uint64_t) override { return finished; }
  absl::Status MayRelease() override { return may_release; }
  std::optional<Ledger> Release(uint64_t handover_ns, uint64_t since_ns,
                                uint64_t until_ns) override {
    steps.push_back("released");
    if (!is_durable) return std::nullopt;
    return Ledger{.handover_ns = handover_ns,
                  .since_ns = since_ns,
                  .until_ns = until_ns,
                  .sightings = {{.mono_ns = handover_ns - 1, .pid = 5}}};
  }
  absl::Status Resume() override {
    steps.push_back("resumed");
    return resume;
  }

  std::vector<std::string> steps;
  uint64_t agreed_ns = 0;
  std::string secrets = "what the owner knows";
  bool finished = true;
  bool is_durable = true;
  absl::Status may_release, resume;
};

using Steps = std::vector<std::string>;

class OfferTest : public testing::Test {
 protected:
  OfferTest() {
    char name[] = "/tmp/tokenwatch-handover-XXXXXX";
    directory_ = mkdtemp(name);
    auto offer =
        HandoverOffer::Start(directory_, {.pid = 1, .version = "1", .collector = "c:1"}, &owner_);
    EXPECT_TRUE(offer.ok()) << offer.status();
    offer_ = *std::move(offer);
  }
  ~OfferTest() override { std::filesystem::remove_all(directory_); }

  void Step(uint64_t ns = 0) {
    now_ns_ += ns;
    EXPECT_TRUE(offer_->Step(now_ns_).ok());
  }

  // The thread waits for the answer, which comes with a step.
  std::unique_ptr<Successor> Meet() {
    std::unique_ptr<Successor> successor;
    std::thread meeting([&] {
      auto met = Successor::Meet(directory_, {.pid = 2, .version = "2"});
      if (met.ok()) successor = *std::move(met);
    });
    for (int i = 0; i < 5000 && offer_->state() != HandoverOffer::State::kAttaching; ++i) {
      Step();
      usleep(1000);
    }
    meeting.join();
    return successor;
  }

  std::unique_ptr<Successor> Agree() {
    auto successor = Meet();
    successor->SayAttached();
    Step();
    EXPECT_EQ(offer_->state(), HandoverOffer::State::kFinishing);
    EXPECT_EQ(successor->Step(), Successor::State::kWaiting);
    return successor;
  }

  std::string directory_;
  FakeOwner owner_;
  std::unique_ptr<HandoverOffer> offer_;
  uint64_t now_ns_ = kSecond;
};

TEST_F(OfferTest, HandsOver) {
  struct stat socket = {};
  ASSERT_EQ(stat(HandoverSocketPath(directory_).c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0600u);
  const auto successor = Agree();
  EXPECT_EQ(successor->owner().version, "1");
  EXPECT_EQ(successor->owner().collector, "c:1");
  EXPECT_EQ(successor->handover_ns(), owner_.agreed_ns);
  EXPECT_GT(owner_.agreed_ns, now_ns_) << "it is to come";
  EXPECT_EQ(successor->TakeConnections().view(), owner_.secrets);
  EXPECT_TRUE(successor->TakeConnections().empty());
  EXPECT_EQ(owner_.steps, (Steps{"attached", "agreed"}));
  Step(kSecond / 2);
  EXPECT_EQ(owner_.steps.size(), 2u) << "the window is not over";
  Step(kSecond / 2);
  EXPECT_EQ(owner_.steps, (Steps{"attached", "agreed", "released"}));
  EXPECT_FALSE(std::filesystem::exists(HandoverSocketPath(directory_)));
  EXPECT_EQ(successor->Step(), Successor::State::kYours);
  EXPECT_EQ(successor->ledger().handover_ns, owner_.agreed_ns);
  EXPECT_LT(successor->ledger().since_ns, owner_.agreed_ns);
  EXPECT_GT(successor->ledger().until_ns, owner_.agreed_ns);
  EXPECT_EQ(successor->ledger().sightings.size(), 1u);
  successor->SayTaken();
  Step();
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kGone);
  EXPECT_EQ(offer_->successor(), getpid());
  EXPECT_EQ(owner_.steps.size(), 3u);
}

TEST_F(OfferTest, OffersAgainWhereTheSocketWasRemoved) {
  std::filesystem::remove(HandoverSocketPath(directory_));
  Step();
  EXPECT_NE(Meet(), nullptr);
}

TEST_F(OfferTest, WaitsForOpenRequestsButNotForEver) {
  owner_.finished = false;
  const auto successor = Agree();
  Step(9 * kSecond);
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kFinishing);
  Step(2 * kSecond);
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kReleased);
}

TEST_F(OfferTest, IsCalledOffWhileTheSpoolCannotBeWritten) {
  owner_.may_release = absl::UnavailableError("disk full");
  const auto successor = Agree();
  Step(kSecond);
  EXPECT_EQ(owner_.steps, (Steps{"attached", "agreed", "resumed"}));
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kListening);
  EXPECT_EQ(successor->Step(), Successor::State::kAlone);
}

TEST_F(OfferTest, LeavesTheSuccessorAloneWhereNotAllWasSpooled) {
  owner_.is_durable = false;
  const auto successor = Agree();
  Step(kSecond);
  EXPECT_EQ(owner_.steps, (Steps{"attached", "agreed", "released"}));
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kGone);
  EXPECT_EQ(successor->Step(), Successor::State::kAlone);
}

TEST_F(OfferTest, GoesOnWhereTheSuccessorDies) {
  struct {
    const char* name;
    int until;  // 0 met, 1 agreed, 2 released
    Steps steps;
  } const cases[] = {
      {"before it watches", 0, {}},
      {"before the hand-over", 1, {"attached", "agreed", "resumed"}},
      {"before it took the spool", 2, {"attached", "agreed", "released", "resumed"}},
  };
  for (const auto& one : cases) {
    owner_.steps.clear();
    auto successor = one.until == 0 ? Meet() : Agree();
    ASSERT_NE(successor, nullptr) << one.name;
    if (one.until == 2) Step(kSecond);
    successor.reset();
    Step();
    EXPECT_EQ(owner_.steps, one.steps) << one.name;
    EXPECT_EQ(offer_->state(), HandoverOffer::State::kListening) << one.name;
    EXPECT_TRUE(std::filesystem::exists(HandoverSocketPath(directory_))) << one.name;
    owner_.steps.clear();
  }
  // And the next one gets it.
  const auto successor = Agree();
  Step(kSecond);
  EXPECT_EQ(successor->Step(), Successor::State::kYours);
}

TEST_F(OfferTest, GoesWhereASilentSuccessorHasTheSpool) {
  const auto successor = Agree();
  Step(kSecond);
  owner_.resume = absl::AlreadyExistsError("locked");
  Step(30 * kSecond);
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kGone);
}

TEST_F(OfferTest, SaysWhereItsSpoolIsLost) {
  const auto successor = Agree();
  Step(kSecond);
  owner_.resume = absl::ResourceExhaustedError("disk");
  EXPECT_FALSE(offer_->Step(now_ns_ + 30 * kSecond).ok());
}

TEST_F(OfferTest, EndsWaitingForASilentSuccessor) {
  const auto successor = Meet();
  Step(30 * kSecond);
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kAttaching);
  Step(40 * kSecond);
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kListening);
  EXPECT_TRUE(owner_.steps.empty());
}

TEST_F(OfferTest, RefusesAnotherProtocol) {
  std::thread stepping;
  std::atomic<bool> over{false};
  stepping = std::thread([&] {
    while (!over) {
      EXPECT_TRUE(offer_->Step(now_ns_).ok());
      usleep(1000);
    }
  });
  const auto met = Successor::Meet(directory_, {.protocol = 99, .pid = 2, .version = "2"});
  over = true;
  stepping.join();
  EXPECT_FALSE(met.ok());
  EXPECT_NE(met.status().message().find("hands over by protocol 1, not by 99"), std::string::npos)
      << met.status();
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kListening);
}

TEST_F(OfferTest, ShutsStrangeTalkOut) {
  const std::string talk[] = {
      "GET / HTTP/1.1\r\n\r\n",
      EncodeFrame(FrameType::kAttached, ""),
      EncodeFrame(FrameType::kTaken, ""),
      EncodeFrame(FrameType::kHello, "short"),
      std::string("\x01\0\0\0\xff\xff\xff\x7f", 8),
  };
  for (const std::string& bytes : talk) {
    auto channel = HandoverChannel::Connect(HandoverSocketPath(directory_));
    ASSERT_TRUE(channel.ok());
    Step();
    EXPECT_EQ(offer_->state(), HandoverOffer::State::kMeeting);
    // The channel sends whole frames; this is what anything may send.
    const UniqueFd raw(dup((*channel)->fd()));
    ASSERT_EQ(send(raw.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    Step();
    EXPECT_EQ(offer_->state(), HandoverOffer::State::kListening) << bytes;
    EXPECT_TRUE(owner_.steps.empty());
  }
  EXPECT_NE(Meet(), nullptr);
}

TEST_F(OfferTest, OneSuccessorAtATime) {
  const auto first = Agree();
  auto second = HandoverChannel::Connect(HandoverSocketPath(directory_));
  ASSERT_TRUE(second.ok());
  (*second)->Send(FrameType::kHello, EncodeIntroduction({.pid = 3}));
  Step();
  EXPECT_EQ(offer_->state(), HandoverOffer::State::kFinishing);
  EXPECT_TRUE(absl::IsNotFound((*second)->Next().status())) << "it waits";
}

TEST(SuccessorTest, NobodyThereIsNoError) {
  const auto met = Successor::Meet("/tmp/tokenwatch-no-such-directory", {});
  ASSERT_TRUE(met.ok()) << met.status();
  EXPECT_EQ(*met, nullptr);
}

TEST_F(OfferTest, TheSuccessorIsAloneWhereTheOwnerDies) {
  for (const bool agreed : {false, true}) {
    const auto successor = agreed ? Agree() : Meet();
    ASSERT_NE(successor, nullptr);
    offer_.reset();
    EXPECT_EQ(successor->Step(), Successor::State::kAlone);
    EXPECT_EQ(successor->handover_ns().has_value(), agreed);
    offer_ = *HandoverOffer::Start(directory_, {.pid = 1}, &owner_);
    owner_.steps.clear();
  }
}

TEST_F(OfferTest, TheSuccessorIsAloneWhereTheOwnerTalksNonsense) {
  const std::string frames[] = {
      EncodeFrame(FrameType::kYours, EncodeLedger({})),  // no time was agreed
      EncodeFrame(FrameType::kAt, "short"),
      EncodeFrame(FrameType::kAt, EncodeTime(5)) +
          EncodeFrame(FrameType::kYours, EncodeLedger({.handover_ns = 6})),
      "nonsense that is no frame at all",
  };
  for (const std::string& bytes : frames) {
    std::filesystem::remove(HandoverSocketPath(directory_));
    const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    HandoverSocketPath(directory_).copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    UniqueFd end;
    std::thread owner([&] {
      end = UniqueFd(accept(listener.get(), nullptr, nullptr));
      const std::string all = EncodeFrame(FrameType::kWelcome, EncodeIntroduction({})) + bytes;
      EXPECT_EQ(send(end.get(), all.data(), all.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(all.size()));
    });
    const auto met = Successor::Meet(directory_, {});
    owner.join();
    ASSERT_TRUE(met.ok()) << met.status();
    EXPECT_EQ((*met)->Step(), Successor::State::kAlone);
    (*met)->SayTaken();  // to nobody
  }
}

}  // namespace
}  // namespace tokenwatch
