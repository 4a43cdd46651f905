// HTTP/2 frames as bytes, for who sends them and for who expects them.
#ifndef TOKENWATCH_TESTS_BPF_FRAMES_H_
#define TOKENWATCH_TESTS_BPF_FRAMES_H_

#include <cstdint>
#include <string>

#include "bpf/frame.h"

namespace tokenwatch {

inline constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr uint8_t kEndStream = 0x01;

inline std::string Frame(int type, int flags, uint32_t stream, const std::string& payload = "") {
  const auto byte = [](size_t value) { return static_cast<char>(value & 0xff); };
  std::string frame = {byte(payload.size() >> 16),
                       byte(payload.size() >> 8),
                       byte(payload.size()),
                       byte(static_cast<size_t>(type)),
                       byte(static_cast<size_t>(flags)),
                       byte(stream >> 24),
                       byte(stream >> 16),
                       byte(stream >> 8),
                       byte(stream)};
  return frame + payload;
}

inline std::string Settings() {
  return Frame(TW_FRAME_SETTINGS, 0, 0, std::string("\0\3\0\0\0d", 6));
}
inline std::string SettingsAck() { return Frame(TW_FRAME_SETTINGS, TW_FRAME_ACK, 0); }

// :method GET, :scheme https, :path as given, and one field more.
inline std::string RequestFields(const std::string& path) {
  return std::string("\x82\x87\x04") + static_cast<char>(path.size()) + path + "\x10\x01x\x03yyy";
}
inline std::string ResponseFields() { return std::string("\x88\x10\x01z\x01w", 6); }

inline std::string Request(uint32_t stream, const std::string& path = "/") {
  return Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS | kEndStream, stream, RequestFields(path));
}
inline std::string Response(uint32_t stream) {
  return Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS, stream, ResponseFields());
}
inline std::string Data(uint32_t stream, const std::string& body, int flags = kEndStream) {
  return Frame(TW_FRAME_DATA, flags, stream, body);
}

// What a client and a server say to each other; with every kind of frame and none that is long.
struct Dialogue {
  std::string client, server;
};
inline Dialogue EveryFrame() {
  const std::string fields = RequestFields("/every");
  const std::string padded = std::string(1, 3) + fields + std::string(3, '\0');
  const std::string weighted = std::string("\0\0\0\0\x0f", 5) + fields;
  Dialogue dialogue;
  dialogue.client =
      kPreface + Settings() + Frame(TW_FRAME_WINDOW_UPDATE, 0, 0, std::string("\0\0\1\0", 4)) +
      Request(1) + Frame(TW_FRAME_PRIORITY, 0, 3, std::string("\0\0\0\1\2", 5)) +
      Frame(TW_FRAME_HEADERS, TW_FRAME_PADDED, 3, padded) +
      Frame(TW_FRAME_CONTINUATION, 0, 3, "\x10\x01p\x01q") +
      Frame(TW_FRAME_CONTINUATION, TW_FRAME_END_HEADERS, 3) + Data(3, Request(99)) +
      Frame(TW_FRAME_HEADERS, TW_FRAME_WITH_PRIORITY | TW_FRAME_END_HEADERS, 5, weighted) +
      Frame(TW_FRAME_RST_STREAM, 0, 5, std::string("\0\0\0\x08", 4)) +
      Frame(TW_FRAME_PING, 0, 0, "PRI * HT") + Frame(0x10, 0, 0, "extension");
  dialogue.server = Settings() + SettingsAck() + Response(1) + Data(1, kPreface + Settings()) +
                    Frame(TW_FRAME_PUSH_PROMISE, TW_FRAME_END_HEADERS, 3,
                          std::string("\0\0\0\2", 4) + RequestFields("/pushed")) +
                    Response(3) + Data(3, "") +
                    Frame(TW_FRAME_GOAWAY, 0, 0, std::string(8, '\0') + "bye");
  return dialogue;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BPF_FRAMES_H_
