#include "agent/http/peer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace tokenwatch {
namespace {

tw_peer Segment(uint8_t family, uint8_t certainty, const std::vector<uint8_t>& peer) {
  tw_peer segment{};
  segment.family = family;
  segment.certainty = certainty;
  segment.peer_port = 443;
  segment.local_port = 50000;
  std::copy(peer.begin(), peer.end(), segment.peer);
  segment.local[0] = 10;
  segment.local[15] = 1;
  return segment;
}

struct AddressCase {
  const char* name;
  uint8_t family;
  std::vector<uint8_t> bytes;
  std::string text;
};

class AddressTest : public testing::TestWithParam<AddressCase> {};

TEST_P(AddressTest, IsWritten) {
  Peer peer;
  UpdatePeer(Segment(GetParam().family, TW_PEER_EXACT, GetParam().bytes), &peer);
  EXPECT_EQ(peer.peer_address, GetParam().text);
  EXPECT_EQ(peer.certainty,
            GetParam().text.empty() ? PeerCertainty::kUnknown : PeerCertainty::kExact);
  EXPECT_EQ(peer.peer_port, GetParam().text.empty() ? 0 : 443);
  EXPECT_EQ(peer.local_port, GetParam().text.empty() ? 0 : 50000);
}

std::vector<AddressCase> Addresses() {
  return {
      {"V4", 4, {192, 0, 2, 7}, "192.0.2.7"},
      {"V6", 6, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5}, "2001:db8::5"},
      {"V6Loopback", 6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, "::1"},
      {"Mapped", 6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7}, "192.0.2.7"},
      {"OtherFamily", 1, {1, 2, 3, 4}, ""},
      {"NoFamily", 0, {1, 2, 3, 4}, ""},
  };
}
INSTANTIATE_TEST_SUITE_P(Table, AddressTest, testing::ValuesIn(Addresses()),
                         [](const auto& info) { return std::string(info.param.name); });

struct CorrectionCase {
  std::string kept;  // the peer's last digit, empty where unknown
  PeerCertainty certainty;
  uint8_t first;
  uint8_t second;
};

TEST(PeerTest, CorrectionsNeverLowerWhatIsExact) {
  const CorrectionCase cases[] = {
      {"2", PeerCertainty::kInferred, TW_PEER_UNKNOWN, TW_PEER_INFERRED},
      {"2", PeerCertainty::kExact, TW_PEER_UNKNOWN, TW_PEER_EXACT},
      {"", PeerCertainty::kUnknown, TW_PEER_INFERRED, TW_PEER_UNKNOWN},
      {"2", PeerCertainty::kInferred, TW_PEER_INFERRED, TW_PEER_INFERRED},
      {"2", PeerCertainty::kExact, TW_PEER_INFERRED, TW_PEER_EXACT},
      {"1", PeerCertainty::kExact, TW_PEER_EXACT, TW_PEER_UNKNOWN},
      {"1", PeerCertainty::kExact, TW_PEER_EXACT, TW_PEER_INFERRED},
      {"2", PeerCertainty::kExact, TW_PEER_EXACT, TW_PEER_EXACT},
      {"", PeerCertainty::kUnknown, 99, 99},
  };
  for (const CorrectionCase& row : cases) {
    SCOPED_TRACE(std::to_string(row.first) + " then " + std::to_string(row.second));
    Peer peer;
    UpdatePeer(Segment(4, row.first, {192, 0, 2, 1}), &peer);
    UpdatePeer(Segment(4, row.second, {192, 0, 2, 2}), &peer);
    EXPECT_EQ(peer.peer_address, row.kept.empty() ? "" : "192.0.2." + row.kept);
    EXPECT_EQ(peer.certainty, row.certainty);
  }
}

}  // namespace
}  // namespace tokenwatch
