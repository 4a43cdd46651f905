#include "agent/handover/message.h"

#include <gtest/gtest.h>

#include <random>

namespace tokenwatch {
namespace {

TEST(MessageTest, FramesComeApartAsTheyWerePutTogether) {
  std::string bytes = EncodeFrame(FrameType::kHello, "first") + EncodeFrame(FrameType::kTaken, "");
  std::string slow;
  std::vector<Frame> frames;
  for (const char byte : bytes) {
    slow.push_back(byte);
    const auto frame = TakeFrame(&slow);
    if (frame.ok())
      frames.push_back(*frame);
    else
      EXPECT_TRUE(absl::IsNotFound(frame.status()));
  }
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].payload, "first");
  EXPECT_EQ(frames[1].type, FrameType::kTaken);
  EXPECT_TRUE(slow.empty());
}

TEST(MessageTest, RefusesFramesThatCannotBe) {
  const std::string bad[] = {
      std::string("\0\0\0\0\0\0\0\0", 8),            // no type
      std::string("\x08\0\0\0\0\0\0\0", 8),          // another
      std::string("\x01\0\0\0\xff\xff\xff\xff", 8),  // endless
      "GET / HTTP/1.1\r\n",
  };
  for (std::string bytes : bad) EXPECT_TRUE(absl::IsInvalidArgument(TakeFrame(&bytes).status()));
}

TEST(MessageTest, IntroducesItself) {
  const auto back = DecodeIntroduction(
      EncodeIntroduction({.pid = 7, .version = "1.2.3", .collector = "unix:/run/c"}));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->protocol, kHandoverProtocol);
  EXPECT_EQ(back->pid, 7);
  EXPECT_EQ(back->version, "1.2.3");
  EXPECT_EQ(back->collector, "unix:/run/c");
}

TEST(MessageTest, OfAnotherProtocolReadsTheNumberOnly) {
  Introduction other;
  other.protocol = 99;
  const auto back = DecodeIntroduction(EncodeIntroduction(other) + "what is not known here");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->protocol, 99u);
}

Ledger Sample() {
  Ledger ledger{.handover_ns = 1000, .since_ns = 900, .until_ns = 1100};
  ledger.sightings.push_back({.mono_ns = 950,
                              .pid = 1,
                              .tag = 2,
                              .message = 3,
                              .kind = SightingKind::kStream,
                              .tls = true});
  ledger.sightings.push_back({.mono_ns = 1050, .pid = 4, .kind = SightingKind::kTls});
  return ledger;
}

TEST(MessageTest, ALedgerComesBack) {
  const auto back = DecodeLedger(EncodeLedger(Sample()));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->handover_ns, 1000u);
  EXPECT_EQ(back->since_ns, 900u);
  EXPECT_EQ(back->until_ns, 1100u);
  ASSERT_EQ(back->sightings.size(), 2u);
  EXPECT_EQ(back->sightings[0].mono_ns, 950u);
  EXPECT_EQ(back->sightings[0].message, 3u);
  EXPECT_EQ(back->sightings[0].kind, SightingKind::kStream);
  EXPECT_TRUE(back->sightings[0].tls);
  EXPECT_EQ(back->sightings[1].pid, 4u);
}

TEST(MessageTest, ALedgerOverTheLimitKeepsWhatIsNear) {
  Ledger ledger{.handover_ns = 10'000'000, .since_ns = 0, .until_ns = 20'000'000};
  for (uint64_t i = 0; i < 2'000'000; ++i) ledger.sightings.push_back({.mono_ns = i * 10});
  const std::string payload = EncodeLedger(ledger);
  EXPECT_LE(payload.size(), kMaxFrameBytes);
  const auto back = DecodeLedger(payload);
  ASSERT_TRUE(back.ok());
  EXPECT_GT(back->since_ns, 0u);
  EXPECT_LT(back->until_ns, 20'000'000u);
  for (const Sighting& one : back->sightings) {
    ASSERT_GE(one.mono_ns, back->since_ns);
    ASSERT_LE(one.mono_ns, back->until_ns);
  }
}

TEST(MessageTest, WhatIsCutOrAltersItsLengthIsRefused) {
  const std::string payloads[] = {EncodeIntroduction({.version = "1", .collector = "c"}),
                                  EncodeTime(7), EncodeLedger(Sample())};
  for (const std::string& whole : payloads) {
    for (size_t size = 0; size < whole.size(); ++size) {
      const std::string_view cut = std::string_view(whole).substr(0, size);
      if (&whole == &payloads[0]) {
        EXPECT_FALSE(DecodeIntroduction(cut).ok()) << size;
      }
      if (&whole == &payloads[1]) {
        EXPECT_FALSE(DecodeTime(cut).ok()) << size;
      }
      if (&whole == &payloads[2]) {
        EXPECT_FALSE(DecodeLedger(cut).ok()) << size;
      }
    }
  }
  EXPECT_FALSE(DecodeTime(payloads[1] + "x").ok());
  EXPECT_FALSE(DecodeLedger(payloads[2] + "x").ok());
  EXPECT_FALSE(DecodeIntroduction(payloads[0] + "x").ok());
}

TEST(MessageTest, RandomBytesHarmNobody) {
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 80, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    (void)DecodeIntroduction(bytes);
    (void)DecodeTime(bytes);
    (void)DecodeLedger(bytes);
    (void)TakeFrame(&bytes);
  }
}

}  // namespace
}  // namespace tokenwatch
