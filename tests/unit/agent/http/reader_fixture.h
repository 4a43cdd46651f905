// An ExchangeReader between a scripted kernel side and a sink that remembers.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_HTTP_READER_FIXTURE_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_HTTP_READER_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/http/exchange_reader.h"
#include "tests/replay/collecting_sink.h"
#include "tests/replay/conversation.h"
#include "tests/replay/recording.h"

namespace tokenwatch {

inline constexpr uint64_t kSecond = 1'000'000'000;

class ReaderTest : public testing::Test {
 protected:
  explicit ReaderTest(const ReaderLimits& limits = {}) : reader_(&sink_, limits) {}

  void TearDown() override {
    reader_.Finish();
    EXPECT_EQ(sink_.Complaints(), std::vector<std::string>());
    const Counters totals = Totals();
    EXPECT_EQ(totals.at("exchanges"), sink_.Exchanges().size());
    EXPECT_EQ(totals.at("exchanges_answered") + totals.at("exchanges_unanswered") +
                  totals.at("exchanges_discarded"),
              sink_.Exchanges().size());
  }

  // Feeds the records that the conversations wrote since the last call.
  void Play() {
    Recording recording;
    recording.Add(records_);
    records_.clear();
    RecordingSource source(&recording);
    ASSERT_TRUE(
        source.Poll(0, [this](const Segment& segment) { reader_.OnSegment(segment); }).ok());
    ASSERT_EQ(source.Refused(), 0);
  }

  // Plays, then lists all exchanges so far as Describe writes them.
  std::vector<std::string> Exchanges() {
    Play();
    std::vector<std::string> lines;
    for (const CollectedExchange& exchange : sink_.Exchanges()) lines.push_back(Describe(exchange));
    return lines;
  }

  Counters Totals() const {
    Counters totals;
    reader_.AddCounters(&totals);
    return totals;
  }
  uint64_t Count(const std::string& name) const { return Totals().at(name); }

  std::vector<Record> records_;
  CollectingSink sink_;
  ExchangeReader reader_;
};

using Lines = std::vector<std::string>;

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_HTTP_READER_FIXTURE_H_
