// HPACK tables from an agent that knows a connection to one that joined it later.
#include "agent/http/hpack_heirs.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "agent/http/hpack_table.h"
#include "tests/replay/http2_conversation.h"
#include "tests/unit/agent/http/reader_fixture.h"

namespace tokenwatch {
namespace {

constexpr int kExchanges = 10;
constexpr char kToken[] = "Basic bWFkZTp1cA==";

// Exchanges are numbered from 0; each count says how many of them were before.
struct Case {
  const char* name;
  int joined;    // the later agent sees from this one on
  int exported;  // the earlier one had seen so many when it told its tables
  int offered;   // the later one had come so far when they came
  int known;     // from this one on all is known; kExchanges: never
};

class HpackTablesTest : public testing::Test {
 protected:
  HpackTablesTest() {
    std::vector<Record> records;
    Http2Conversation talk(1, &records);
    for (int i = 0; i < kExchanges; ++i) {
      Fields fields = RequestFields("/v1/a", "x");
      fields.back() = {"proxy-authorization", kToken};  // nghttp2 indexes that one
      fields.emplace_back("x-number", std::to_string(i));
      const auto stream = static_cast<uint32_t>(2 * i + 1);
      talk.Request(stream, fields);
      talk.Answer(stream, {{":status", "200"}, {"x-quota", "9"}, {"x-seen", std::to_string(i)}});
      exchanges_.push_back(std::move(records));
      records.clear();
    }
  }

  void Play(int from, int to, bool is_late, ExchangeReader* reader) {
    Recording recording;
    for (int i = from; i < to; ++i) {
      for (Record record : exchanges_[static_cast<size_t>(i)]) {
        tw_header header;
        std::memcpy(&header, record.data(), sizeof(header));
        if (header.type == TW_DATA && is_late) {
          // As an agent numbers them that sees the connection from here on.
          tw_data data;
          std::memcpy(&data, record.data(), sizeof(data));
          data.flags |= TW_LATE;
          data.sequence = sequences_[data.direction]++;
          std::memcpy(record.data(), &data, sizeof(data));
        }
        recording.Add(std::move(record));
      }
    }
    RecordingSource source(&recording);
    ASSERT_TRUE(source.Poll(0, [&](const Segment& segment) { reader->OnSegment(segment); }).ok());
  }

  std::vector<std::vector<Record>> exchanges_;
  std::array<uint32_t, 2> sequences_{};
  CollectingSink earlier_sink_, later_sink_;
  ExchangeReader earlier_{&earlier_sink_}, later_{&later_sink_};
};

class HpackHeirsTest : public HpackTablesTest, public testing::WithParamInterface<Case> {};

TEST_P(HpackHeirsTest, ResolvesFromTheirPlaceOn) {
  const Case& one = GetParam();
  Play(0, one.exported, false, &earlier_);
  later_.ExpectTables();
  Play(one.joined, one.offered, true, &later_);
  SecretBuffer tables;
  earlier_.ExportTables(1 << 20, &tables);
  later_.OfferTables(tables.view());
  later_.Seal();
  Play(one.offered, kExchanges, true, &later_);
  const auto& exchanges = later_sink_.Exchanges();
  ASSERT_EQ(exchanges.size(), static_cast<size_t>(kExchanges - one.joined));
  for (int i = one.joined; i < kExchanges; ++i) {
    const CollectedExchange& exchange = exchanges[static_cast<size_t>(i - one.joined)];
    // Whatever is known must be true.
    const auto number = FieldOf(exchange.fields, "x-number");
    EXPECT_EQ(number.value_or(std::to_string(i)), std::to_string(i));
    const auto token = FieldOf(exchange.fields, "proxy-authorization");
    EXPECT_EQ(token.value_or(kToken), kToken);
    EXPECT_EQ(exchange.head.unknown_fields == 0, i >= one.known) << "request " << i;
    if (i < one.known) continue;
    EXPECT_EQ(token, kToken) << "request " << i;
    EXPECT_EQ(number, std::to_string(i));
  }
  EXPECT_EQ(later_.tables_inherited(), one.known == kExchanges ? 0u : 2u);
  later_.Finish();
  earlier_.Finish();
}

INSTANTIATE_TEST_SUITE_P(Places, HpackHeirsTest,
                         testing::Values(Case{"Idle", 4, 4, 4, 4},
                                         Case{"AtTheSamePlace", 2, 4, 4, 4},
                                         Case{"TheLaterOneIsAhead", 2, 3, 6, 6},
                                         Case{"TheLaterOneIsBehind", 2, 6, 3, 6},
                                         Case{"NotYetSeenAndBehind", 3, 5, 3, 5},
                                         Case{"SomethingBetweenWasNotSeen", 6, 4, 6, kExchanges},
                                         Case{"ItsPlaceIsBeforeWhatWasSeen", 5, 3, 7, kExchanges}),
                         [](const auto& info) { return info.param.name; });

TEST_F(HpackTablesTest, TablesThatAreNoneHarmNobody) {
  Play(0, 4, false, &earlier_);
  SecretBuffer tables;
  earlier_.ExportTables(1 << 20, &tables);
  for (size_t size = 0; size < tables.size(); ++size) {
    ExchangeReader later(&later_sink_);
    later.OfferTables(tables.view().substr(0, size));
    sequences_ = {};
    Play(4, 6, true, &later);
    later.Finish();
  }
  std::string spoilt(tables.view());
  for (size_t i = 0; i < spoilt.size(); ++i) {
    spoilt[i] = static_cast<char>(spoilt[i] ^ 0x55);
    ExchangeReader later(&later_sink_);
    later.OfferTables(spoilt);
    sequences_ = {};
    Play(4, 6, true, &later);
    later.Finish();
    spoilt[i] = static_cast<char>(spoilt[i] ^ 0x55);
  }
  earlier_.Finish();
}

TEST_F(HpackTablesTest, AConnectionSeenFromItsBeginningInheritsNothing) {
  Play(0, 4, false, &earlier_);
  SecretBuffer tables;
  earlier_.ExportTables(1 << 20, &tables);
  later_.ExpectTables();
  later_.OfferTables(tables.view());
  Play(0, kExchanges, false, &later_);
  EXPECT_EQ(later_.tables_inherited(), 0u);
  for (const CollectedExchange& exchange : later_sink_.Exchanges()) {
    EXPECT_EQ(exchange.head.unknown_fields, 0u);
  }
  later_.Finish();
  earlier_.Finish();
}

}  // namespace
}  // namespace tokenwatch
