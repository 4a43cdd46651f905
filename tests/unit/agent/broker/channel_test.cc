#include "agent/broker/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>

namespace tokenwatch {
namespace {

class ChannelTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::pair<Channel, Channel>> pair = Channel::Pair();
    ASSERT_TRUE(pair.ok()) << pair.status();
    one_.emplace(std::move(pair->first));
    other_.emplace(std::move(pair->second));
  }
  // As a peer that does not keep to the protocol would.
  void SendRaw(const std::string& bytes) {
    ASSERT_EQ(send(one_->fd(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  static std::string Packet(uint64_t left, const std::string& bytes) {
    return std::string(reinterpret_cast<const char*>(&left), sizeof(left)) + bytes;
  }

  std::optional<Channel> one_, other_;
};

TEST_F(ChannelTest, MessagesKeepTheirBoundsAtAnySize) {
  for (const size_t size : {0, 1, 32767, 32768, 32769, 1000000}) {
    const std::string sent(size, 'x');
    std::thread sender([&] { EXPECT_TRUE(one_->Send(sent).ok()); });
    const absl::StatusOr<Channel::Message> got = other_->Receive();
    sender.join();
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->bytes.view(), sent);
  }
}

TEST_F(ChannelTest, DescriptorsGoAlong) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const int fd = write_end.get();
  ASSERT_TRUE(one_->Send("take", absl::MakeConstSpan(&fd, 1)).ok());
  absl::StatusOr<Channel::Message> got = other_->Receive();
  ASSERT_TRUE(got.ok());
  ASSERT_EQ(got->descriptors.size(), 1u);
  EXPECT_NE(fcntl(got->descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  write_end = UniqueFd();
  ASSERT_EQ(write(got->descriptors[0].get(), "y", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(read_end.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
}

TEST_F(ChannelTest, TheOthersEndIsTold) {
  one_->Close();
  EXPECT_TRUE(absl::IsOutOfRange(other_->Receive().status()));
  EXPECT_TRUE(absl::IsOutOfRange(other_->Send("x")));
}

TEST_F(ChannelTest, RefusesWhatIsTooLong) {
  ASSERT_TRUE(one_->Send(std::string(101, 'x')).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(other_->Receive(100).status()));
}

TEST_F(ChannelTest, RefusesAMessageThatSaysItIsTooLong) {
  SendRaw(Packet(~uint64_t{0}, "x"));
  EXPECT_TRUE(absl::IsInvalidArgument(other_->Receive(100).status()));
}

TEST_F(ChannelTest, RefusesPacketsThatNoMessageHas) {
  SendRaw("short");
  EXPECT_TRUE(absl::IsInvalidArgument(other_->Receive().status()));
  // More is to come and never does: it would be waited for without end.
  SendRaw(Packet(5, ""));
  EXPECT_TRUE(absl::IsInvalidArgument(other_->Receive().status()));
}

TEST_F(ChannelTest, WaitsForNoMoreOfWhatIsOnePacket) {
  SendRaw(Packet(50, std::string(50, 'x')));
  EXPECT_TRUE(absl::IsInvalidArgument(other_->Receive(120).status()));
  SendRaw(Packet(1, std::string(Channel::kPacketMax, 'x')));
  EXPECT_TRUE(absl::IsInvalidArgument(other_->Receive(Channel::kPacketMax).status()));
}

TEST_F(ChannelTest, RefusesAMessageThatGrowsPastTheBound) {
  const std::string full(Channel::kPacketMax, 'x');
  SendRaw(Packet(2 * full.size(), full));
  SendRaw(Packet(2 * full.size(), full));
  EXPECT_TRUE(absl::IsInvalidArgument(other_->Receive().status()));
  // Nor one that shrinks.
  SendRaw(Packet(2 * full.size(), full));
  SendRaw(Packet(0, full));
  EXPECT_TRUE(absl::IsInvalidArgument(other_->Receive().status()));
}

}  // namespace
}  // namespace tokenwatch
