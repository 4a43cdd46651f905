// Any bytes through the kernel's walk, cut in any way: what leaves is whole HTTP/2 frames of the
// types that may leave and bodies of few streams, and where framing holds it does not depend on the
// cuts.
//
// Input: a byte of options (1: late, no preface, bytes of both sides in turn; 2: inbound), a byte
// that seeds the cuts, three that say how many bytes are the client's, client and server bytes.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/capture/framing_table.h"
#include "agent/capture/huffman_table.h"
#include "agent/capture/segment.h"
#include "bpf/frame.h"
#include "tests/fuzz/walk/walk.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Takes records, and checks that pieces make frames.
class Frames {
 public:
  struct Frame {
    std::string bytes;
    uint32_t left = 0;  // of what its header announces
    bool ended = false, cut = false;
  };
  struct Body {
    uint32_t stream = 0;
    std::string bytes;
    bool ended = false, cut = false;
    bool operator==(const Body&) const = default;
  };
  struct Direction {
    std::vector<Frame> frames;  // up to the first gap
    std::vector<Body> bodies;   // likewise, in the order in which they began
    bool lost = false;
    uint32_t sequence = 0;
  };

  static void Take(void* self, const void* record, size_t size) {
    const absl::StatusOr<Segment> segment =
        ParseSegment({static_cast<const uint8_t*>(record), size});
    Check(segment.ok(), "a record is a segment");
    if (const auto* gap = std::get_if<tw_gap>(&*segment)) {
      static_cast<Frames*>(self)->directions[gap->direction].lost = true;
    } else if (const auto* data = std::get_if<DataSegment>(&*segment)) {
      static_cast<Frames*>(self)->OnData(*data);
    }
  }

  std::array<Direction, 2> directions;

 private:
  void OnData(const DataSegment& data) {
    const tw_data& meta = data.meta;
    Direction& to = directions[meta.direction];
    Check(meta.sequence == to.sequence++, "sequences have no hole");
    Check(data.bytes.size() <= TW_DATA_MAX, "a segment is bounded");
    if ((meta.flags & TW_HTTP2) == 0 || to.lost) return;
    std::string_view bytes = data.bytes;
    if ((meta.flags & TW_BODY) != 0) {
      Check(to.frames.empty() || to.frames.back().ended, "a body's piece is not inside a frame");
      OnBody(data, to);
      return;
    }
    if ((meta.flags & TW_BLOCK_START) != 0) {
      Check(to.frames.empty() || to.frames.back().ended, "a frame begins behind the last one");
      Check(bytes.size() >= TW_FRAME_HEADER, "a frame begins with its header");
      const auto byte = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
      Check(byte(3) < TW_FRAME_TYPES && tw_frame_rules[byte(3)].leaves, "this frame may leave");
      Check((uint32_t{byte(5)} << 24 | byte(6) << 16 | byte(7) << 8 | byte(8)) == meta.message,
            "the message is the stream");
      to.frames.emplace_back().left = TW_FRAME_HEADER + (byte(0) << 16 | byte(1) << 8 | byte(2));
    }
    Check(!to.frames.empty() && !to.frames.back().ended, "a piece goes on with a frame");
    Frame& frame = to.frames.back();
    Check(bytes.size() <= frame.left, "a frame is as long as it says");
    frame.left -= bytes.size();
    frame.bytes.append(bytes);
    frame.cut = frame.cut || (meta.flags & TW_CUT) != 0;
    frame.ended = (meta.flags & TW_BLOCK_END) != 0;
    if (frame.ended) Check(frame.left == 0 || frame.cut, "a frame that is not cut is whole");
  }

  static void OnBody(const DataSegment& data, Direction& to) {
    const tw_data& meta = data.meta;
    Check(meta.message != 0, "a body is a stream's");
    if ((meta.flags & TW_BLOCK_START) != 0) to.bodies.push_back({.stream = meta.message});
    // Of a stream that was wanted again, the last one goes on.
    const auto body = std::find_if(to.bodies.rbegin(), to.bodies.rend(),
                                   [&](const Body& one) { return one.stream == meta.message; });
    Check(body != to.bodies.rend(), "a body begins");
    Check(!body->ended, "a body ends once");
    body->bytes.append(data.bytes);
    body->cut = (meta.flags & TW_CUT) != 0;
    body->ended = (meta.flags & TW_BLOCK_END) != 0;
    Check(body->bytes.size() <= TW_BODY_MAX, "a body is bounded");
    if (body->cut) Check(body->ended, "a body that is cut ends there");
  }
};

// Memory of exactly this size, so that the sanitizer sees what is read behind it.
class Calls {
 public:
  void Pass(int direction, std::string_view bytes, size_t cut) {
    const size_t first = std::min(cut, bytes.size());
    auto a = Copy(bytes.substr(0, first)), b = Copy(bytes.substr(first));
    const walk_piece pieces[] = {{a.get(), first}, {b.get(), bytes.size() - first}};
    walk_call(direction, pieces, 2);
  }

 private:
  static std::unique_ptr<char[]> Copy(std::string_view bytes) {
    auto copy = std::make_unique<char[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.get());
    return copy;
  }
};

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  // Mostly small, so that headers are cut.
  size_t Next() {
    state_ = state_ * 1664525u + 1013904223u;
    const uint32_t value = state_ >> 16;
    return value % 4 == 0 ? value % 4096 : 1 + value % 12;
  }

 private:
  uint32_t state_;
};

void PassInParts(int direction, std::string_view bytes, Random& random) {
  while (!bytes.empty()) {
    const size_t size = std::min(random.Next(), bytes.size());
    Calls().Pass(direction, bytes.substr(0, size), random.Next() - 1);
    bytes.remove_prefix(size);
  }
}

// A frame whose end did not come leaves as far as it is there, and where a long block is cut
// depends on its pieces.
void CheckSame(const std::vector<Frames::Frame>& a, const std::vector<Frames::Frame>& b) {
  const auto ended = [](const auto& frames) {
    return frames.size() - (frames.empty() || frames.back().ended ? 0 : 1);
  };
  Check(ended(a) == ended(b), "no frame is left out");
  for (size_t i = 0; i < ended(a); ++i) {
    Check(a[i].cut == b[i].cut, "a cut does not depend on the calls");
    const size_t size = a[i].cut ? TW_FRAME_HEADER : a[i].bytes.size();
    Check(a[i].bytes.substr(0, size) == b[i].bytes.substr(0, size), "frames are the same");
  }
}

void CheckThatCutsDoNotMatter(const std::string& client, std::string_view server, bool inbound,
                              uint8_t seed) {
  Frames whole, parts;
  const int sent = inbound ? TW_RECEIVED : TW_SENT;
  walk_begin(false, inbound, Frames::Take, &whole);
  Calls().Pass(sent, client, client.size());
  Calls().Pass(sent ^ 1, server, server.size());
  walk_begin(false, inbound, Frames::Take, &parts);
  Random random(seed);
  PassInParts(sent, client, random);
  PassInParts(sent ^ 1, server, random);
  for (int direction : {TW_SENT, TW_RECEIVED}) {
    const auto &a = whole.directions[direction], &b = parts.directions[direction];
    Check(a.lost == b.lost, "framing is lost however calls are cut");
    CheckSame(a.frames, b.frames);
    Check(a.bodies == b.bodies, "bodies are the same");
  }
}

void PassAnything(std::string_view client, std::string_view server, bool inbound, uint8_t seed) {
  Frames frames;
  Random random(seed);
  walk_begin(true, inbound, Frames::Take, &frames);
  while (!client.empty() || !server.empty()) {
    for (int direction : {TW_SENT, TW_RECEIVED}) {
      std::string_view& bytes = direction == TW_SENT ? client : server;
      const size_t size = std::min(random.Next(), bytes.size());
      if (random.Next() == 1) {
        walk_unseen(direction, size);
      } else {
        Calls().Pass(direction, bytes.substr(0, size), random.Next() - 1);
      }
      bytes.remove_prefix(size);
    }
  }
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT: the fuzzer's entry is outside of every namespace
  static const bool ready = [] {
    const FramingTable& table = GetFramingTable();
    walk_set_tables(table.transitions.data(), table.classes.data(), GetHuffmanTable().data());
    return true;
  }();
  if (!ready || size < 5) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 5, size - 5);
  const size_t split = std::min<size_t>(data[2] << 16 | data[3] << 8 | data[4], bytes.size());
  const bool inbound = (data[0] & 2) != 0;
  if ((data[0] & 1) != 0) {
    PassAnything(bytes.substr(0, split), bytes.substr(split), inbound, data[1]);
  } else {
    CheckThatCutsDoNotMatter(std::string(kPreface) + std::string(bytes.substr(0, split)),
                             bytes.substr(split), inbound, data[1]);
  }
  return 0;
}
