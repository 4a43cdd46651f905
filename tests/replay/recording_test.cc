#include "tests/replay/recording.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "tests/replay/conversation.h"

namespace tokenwatch {
namespace {

// A path of this test's own, whose file is gone afterwards.
class TemporaryFile {
 public:
  TemporaryFile() {
    const int fd = mkstemp(path_.data());
    if (fd >= 0) close(fd);
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& Path() const { return path_; }

 private:
  std::string path_ = testing::TempDir() + "tokenwatch-recording-XXXXXX";
};

TEST(RecordingTest, ComesBackAsItWasWritten) {
  std::vector<Record> records;
  Conversation client(1, &records);
  client.Peer(TW_PEER_EXACT, {127, 0, 0, 1}, 443);
  client.Request("GET / HTTP/1.1\r\n\r\n", {.splits = {3, 3}});
  client.Response(0, std::string(TW_DATA_MAX, '\xff'));
  client.Gap(TW_GAP_LOST_FRAMING);
  client.Exit();
  client.Close(true);
  Recording recording;
  recording.Add(records);
  const TemporaryFile file;
  ASSERT_TRUE(recording.Write(file.Path()).ok());

  const absl::StatusOr<Recording> read = Recording::Read(file.Path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(std::vector<Record>(read->Records().begin(), read->Records().end()), records);

  RecordingSource source(&*read);
  std::vector<size_t> types;
  const absl::StatusOr<int> delivered =
      source.Poll(0, [&](const Segment& segment) { types.push_back(segment.index()); });
  ASSERT_TRUE(delivered.ok());
  EXPECT_EQ(*delivered, 8);
  EXPECT_EQ(types, std::vector<size_t>({1, 0, 0, 0, 0, 3, 5, 2}));
  EXPECT_EQ(*source.Poll(0, [](const Segment&) { FAIL(); }), 0);
}

TEST(RecordingTest, RecordsOfAnotherLayoutAreRefused) {
  std::vector<Record> records;
  Conversation client(1, &records);
  client.Request("GET / HTTP/1.1\r\n\r\n");
  client.Request("GET / HTTP/1.1\r\n\r\n");
  records[0][offsetof(tw_header, version)] = TW_SEGMENT_VERSION + 1;
  Recording recording;
  recording.Add(records);
  RecordingSource source(&recording);
  EXPECT_EQ(*source.Poll(0, [](const Segment&) {}), 1);
  EXPECT_EQ(source.Refused(), 1);
}

TEST(RecordingTest, DamagedFilesAreNamed) {
  struct Row {
    const char* name;
    std::string bytes;
    absl::StatusCode code;
  };
  const Row rows[] = {
      {"empty", "", absl::StatusCode::kInvalidArgument},
      {"other-magic", "twrec 2\n", absl::StatusCode::kInvalidArgument},
      {"cut-magic", "twrec", absl::StatusCode::kInvalidArgument},
      {"no-records", "twrec 1\n", absl::StatusCode::kOk},
      {"one-record", std::string("twrec 1\n\x02\0\0\0ab", 14), absl::StatusCode::kOk},
      {"cut-length", std::string("twrec 1\n\x02\0\0", 11), absl::StatusCode::kInvalidArgument},
      {"cut-record", std::string("twrec 1\n\x02\0\0\0a", 13), absl::StatusCode::kInvalidArgument},
      {"huge-length", "twrec 1\n\xff\xff\xff\xff", absl::StatusCode::kInvalidArgument},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const TemporaryFile file;
    std::ofstream(file.Path(), std::ios::binary) << row.bytes;
    const absl::Status status = Recording::Read(file.Path()).status();
    EXPECT_EQ(status.code(), row.code);
    if (!status.ok()) {
      EXPECT_NE(status.message().find(file.Path()), absl::string_view::npos);
    }
  }
  const std::string nowhere = testing::TempDir() + "no-such-folder/x";
  EXPECT_EQ(Recording::Read(nowhere).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(Recording().Write(nowhere).ok());
}

}  // namespace
}  // namespace tokenwatch
