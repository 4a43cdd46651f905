// Made-up HTTP/2 traffic through ExchangeReader: whole, with records missing, joined late.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/http/exchange_reader.h"
#include "tests/replay/collecting_sink.h"
#include "tests/replay/http2_conversation.h"
#include "tests/replay/recording.h"

namespace tokenwatch {
namespace {

// nghttp2's encoder puts this one into its table, and Authorization never.
const std::string kIndexed = "proxy-authorization";

struct Http2Truth {
  std::string target;
  std::string method;
  Fields tokens;  // fields that carry one
  int status = 0;
  std::string reply;
  uint64_t latency_ns = 0;
  size_t first_record = 0, end_record = 0;  // of its header block
};

// One connection with streams that overlap, tokens that repeat, CONTINUATION, padding, interim
// answers, trailers, pushes and tables that are resized.
class Http2Traffic {
 public:
  explicit Http2Traffic(uint64_t seed, int requests = 40) : random_(seed), talk_(1, &records_) {
    talk_.segments.tick = 0;
    for (int i = 0; i < requests; ++i) {
      Ask();
      while (!open_.empty() && Below(3) != 0) Answer();
      if (Below(15) == 0) talk_.ResizeTable(Below(2) == 0, Below(3) * 2000 + 60);
      if (Below(10) == 0) talk_.Settings(Below(2) == 0, 1, 4096);
    }
    while (!open_.empty()) Answer();
    Tick();
  }

  const std::vector<Record>& Records() const { return records_; }
  const std::map<uint64_t, Http2Truth>& Truths() const { return truths_; }

  // How `exchange` contradicts the truth; empty where it does not. Unknown and missing is no error.
  std::string Contradiction(const CollectedExchange& exchange) const {
    const auto found = truths_.find(exchange.head.mono_ns);
    if (found == truths_.end()) return "no such request";
    const Http2Truth& truth = found->second;
    if (exchange.target != truth.target && !exchange.target.empty()) return "wrong target";
    if (exchange.method != truth.method && !exchange.method.empty()) return "wrong method";
    for (const auto& [name, value] : exchange.fields) {
      if (name != "authorization" && name != kIndexed) continue;
      if (std::find(truth.tokens.begin(), truth.tokens.end(), std::pair(name, value)) ==
          truth.tokens.end()) {
        return absl::StrCat("wrong token ", name, ": ", value);
      }
    }
    if (exchange.kind != AnswerKind::kAnswered) return "";
    if (exchange.status != truth.status) return "wrong status";
    if (exchange.latency_ns != truth.latency_ns) return "wrong latency";
    const std::string reply = FieldOf(exchange.answer_fields, "x-reply").value_or(truth.reply);
    return reply == truth.reply ? "" : "answer of another request: " + reply;
  }

  // Whether the request would be counted: its tokens are there, or it says that fields are missing.
  static bool IsCounted(const CollectedExchange& exchange, const Http2Truth& truth) {
    if (exchange.head.cut || exchange.head.unknown_fields > 0) return true;
    return std::all_of(truth.tokens.begin(), truth.tokens.end(), [&](const auto& token) {
      return FieldOf(exchange.fields, token.first) == token.second;
    });
  }

 private:
  struct Open {
    uint32_t stream;
    Http2Truth* truth;
    uint64_t sent;
  };

  uint64_t Below(uint64_t bound) { return random_() % bound; }
  void Tick() { talk_.segments.now = next_time_ += 1 + Below(1000); }
  Http2Travel Travel(bool ends_stream) {
    Http2Travel travel{.ends_stream = ends_stream, .has_priority = Below(8) == 0};
    for (uint64_t n = Below(8) == 0 ? 1 + Below(3) : 0; n > 0; --n) {
      travel.frames.push_back(Below(60));
    }
    for (uint64_t n = Below(3); n > 0; --n) travel.splits.push_back(1 + Below(80));
    std::sort(travel.frames.begin(), travel.frames.end());
    std::sort(travel.splits.begin(), travel.splits.end());
    if (Below(8) == 0) travel.padding = static_cast<int>(Below(30));
    return travel;
  }

  void Ask() {
    Tick();
    const uint32_t stream = next_stream_;
    next_stream_ += 2;
    Http2Truth& truth = truths_[talk_.segments.now];
    truth.target = absl::StrCat("/", stream);
    truth.method = Below(3) == 0 ? "DELETE" : "GET";
    truth.tokens.emplace_back(kIndexed, absl::StrCat("Bearer shared-", Below(4)));
    if (Below(2) == 0) truth.tokens.emplace_back("authorization", absl::StrCat("Bearer ", stream));
    Fields fields = RequestFields(truth.target, "", truth.method);
    fields.pop_back();
    if (Below(3) == 0) fields.emplace_back("x-filler", std::string(Below(300), 'f'));
    fields.insert(fields.end(), truth.tokens.begin(), truth.tokens.end());
    const bool has_trailers = Below(10) == 0;
    open_.push_back({stream, &truth, talk_.segments.now});
    truth.first_record = records_.size();
    talk_.Request(stream, fields, Travel(!has_trailers));
    truth.end_record = records_.size();
    if (has_trailers) talk_.Request(stream, {{"x-checksum", "1"}}, Travel(true));
  }

  void Answer() {
    const size_t which = Below(open_.size());
    const Open open = open_[which];
    open_.erase(open_.begin() + static_cast<ptrdiff_t>(which));
    Tick();
    if (Below(6) == 0) talk_.Answer(open.stream, {{":status", "103"}}, Travel(false));
    if (Below(6) == 0) {
      talk_.Promise(open.stream, next_promise_, {{":path", "/p"}, {"x-reply", "no"}},
                    Travel(false));
      talk_.Answer(next_promise_, AnswerFields(204), Travel(true));
      next_promise_ += 2;
    }
    Http2Truth& truth = *open.truth;
    constexpr int kStatuses[] = {200, 201, 403, 404, 429, 500};
    truth.status = kStatuses[Below(std::size(kStatuses))];
    truth.reply = truth.target;
    truth.latency_ns = talk_.segments.now - open.sent;
    const bool has_trailers = Below(5) == 0;
    Fields fields = AnswerFields(truth.status);
    fields.emplace_back("x-reply", truth.reply);
    talk_.Answer(open.stream, fields, Travel(!has_trailers));
    if (has_trailers) talk_.Answer(open.stream, {{"x-checksum", "2"}}, Travel(true));
  }

  std::mt19937_64 random_;
  std::vector<Record> records_;
  Http2Conversation talk_;
  uint64_t next_time_ = 1000;
  uint32_t next_stream_ = 1;
  uint32_t next_promise_ = 2;
  std::vector<Open> open_;
  std::map<uint64_t, Http2Truth> truths_;
};

class Http2ReplayTest : public testing::Test {
 protected:
  // Replays records for which `keeps` holds, and checks every exchange.
  template <typename Keeps>
  void Replay(const Http2Traffic& traffic, Keeps keeps) {
    CollectingSink sink;
    ExchangeReader reader(&sink);
    Recording recording;
    std::vector<bool> kept;
    for (size_t i = 0; i < traffic.Records().size(); ++i) {
      kept.push_back(keeps(i));
      if (kept.back()) recording.Add(traffic.Records()[i]);
    }
    RecordingSource source(&recording);
    int segments = 0;
    ASSERT_TRUE(source
                    .Poll(0,
                          [&](const Segment& segment) {
                            reader.OnSegment(segment);
                            if (++segments % 5 == 0) reader.Seal();
                          })
                    .ok());
    reader.Finish();
    ASSERT_EQ(sink.Complaints(), std::vector<std::string>());
    exchanges_ = unknown_ = answered_ = 0;
    std::set<uint64_t> counted;
    for (const CollectedExchange& exchange : sink.Exchanges()) {
      ASSERT_EQ(traffic.Contradiction(exchange), "") << Describe(exchange);
      const Http2Truth& truth = traffic.Truths().at(exchange.head.mono_ns);
      ASSERT_TRUE(Http2Traffic::IsCounted(exchange, truth)) << Describe(exchange);
      ASSERT_TRUE(counted.insert(exchange.head.mono_ns).second) << Describe(exchange);
      ++exchanges_;
      unknown_ += exchange.head.unknown_fields > 0 ? 1 : 0;
      answered_ += exchange.kind == AnswerKind::kAnswered ? 1 : 0;
    }
    // A request that is not counted has lost a piece, and each lost piece is told.
    for (const auto& [begun, truth] : traffic.Truths()) {
      bool is_whole = true;
      for (size_t i = truth.first_record; i < truth.end_record; ++i) is_whole &= kept[i];
      ASSERT_TRUE(!is_whole || counted.contains(begun)) << truth.method << " " << truth.target;
    }
    Counters counters;
    reader.AddCounters(&counters);
    ASSERT_EQ(counters.at("pieces_lost") + counters.at("pieces_before_sight_lost"),
              LostPieces(traffic, kept));
  }

  // Pieces that are missing before one of their direction that was kept.
  static uint64_t LostPieces(const Http2Traffic& traffic, const std::vector<bool>& kept) {
    uint64_t lost = 0;
    std::map<int, uint64_t> since;  // by direction
    for (size_t i = 0; i < kept.size(); ++i) {
      const absl::StatusOr<Segment> segment = ParseSegment(traffic.Records()[i]);
      const auto* data = segment.ok() ? std::get_if<DataSegment>(&*segment) : nullptr;
      if (data == nullptr) continue;
      if (kept[i])
        lost += std::exchange(since[data->meta.direction], 0);
      else
        ++since[data->meta.direction];
    }
    return lost;
  }

  size_t exchanges_ = 0;
  size_t unknown_ = 0;
  size_t answered_ = 0;
};

TEST_F(Http2ReplayTest, WholeTraffic) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    const Http2Traffic traffic(seed);
    Replay(traffic, [](size_t) { return true; });
    EXPECT_EQ(exchanges_, traffic.Truths().size());
    EXPECT_EQ(answered_, exchanges_);
    EXPECT_EQ(unknown_, 0);
  }
}

TEST_F(Http2ReplayTest, OneRecordMissingAnywhere) {
  size_t unknown = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Http2Traffic traffic(seed);
    for (size_t missing = 0; missing < traffic.Records().size(); ++missing) {
      SCOPED_TRACE(absl::StrCat(seed, " without ", missing));
      Replay(traffic, [&](size_t i) { return i != missing; });
      // A record is of one request at most.
      EXPECT_GE(exchanges_ + 1, traffic.Truths().size());
      unknown += unknown_;
    }
  }
  EXPECT_GT(unknown, 0);
}

TEST_F(Http2ReplayTest, JoinedLateAnywhere) {
  size_t unknown = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Http2Traffic traffic(seed);
    for (size_t first = 1; first < traffic.Records().size(); ++first) {
      SCOPED_TRACE(absl::StrCat(seed, " from ", first));
      Replay(traffic, [&](size_t i) { return i >= first; });
      unknown += unknown_;
    }
  }
  EXPECT_GT(unknown, 0);
}

TEST_F(Http2ReplayTest, ManyRecordsMissing) {
  size_t answered = 0;
  size_t unknown = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    for (const uint64_t percent : {1, 10, 40, 80}) {
      SCOPED_TRACE(absl::StrCat(seed, " without ", percent, " %"));
      std::mt19937_64 random(seed);
      Replay(Http2Traffic(seed, 100), [&](size_t) { return random() % 100 >= percent; });
      answered += answered_;
      unknown += unknown_;
    }
  }
  EXPECT_GT(answered, 0);
  EXPECT_GT(unknown, 0);
}

}  // namespace
}  // namespace tokenwatch
