#include "tests/replay/http2_conversation.h"

#include <algorithm>

namespace tokenwatch {
namespace {

constexpr size_t kMaxTable = 65536;

std::string BigEndian(uint32_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    text += static_cast<char>(value >> shift & 0xff);
  }
  return text;
}

uint8_t* Bytes(const std::string& text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
}

}  // namespace

Http2Conversation::Http2Conversation(uint64_t connection, std::vector<Record>* records)
    : segments(connection, records) {
  for (auto& deflater : deflaters_) {
    nghttp2_hd_deflater* made = nullptr;
    nghttp2_hd_deflate_new(&made, kMaxTable);
    deflater.reset(made);
  }
  // As long as its peer has said nothing else, an encoder uses 4,096 bytes and says nothing.
  for (const bool by_server : {false, true}) {
    ResizeTable(by_server, 4096);
    Block(by_server, {});
  }
}

std::string Http2Conversation::Block(bool by_server, const Fields& fields) {
  std::vector<nghttp2_nv> entries;
  for (const auto& [name, value] : fields) {
    // nghttp2's own encoder keeps these out of the table; others do not.
    const uint8_t flags = name == "set-cookie" ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
    entries.push_back({Bytes(name), Bytes(value), name.size(), value.size(), flags});
  }
  nghttp2_hd_deflater* const deflater = deflaters_[by_server ? 1 : 0].get();
  std::string block(nghttp2_hd_deflate_bound(deflater, entries.data(), entries.size()) + 16, '\0');
  const ssize_t size =
      nghttp2_hd_deflate_hd(deflater, Bytes(block), block.size(), entries.data(), entries.size());
  block.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return block;
}

void Http2Conversation::ResizeTable(bool by_server, size_t bytes) {
  nghttp2_hd_deflate_change_table_size(deflaters_[by_server ? 1 : 0].get(), bytes);
}

void Http2Conversation::Frame(bool by_server, uint8_t type, uint8_t flags, uint32_t stream,
                              std::string_view payload, const Http2Travel& travel) {
  std::string frame = BigEndian(static_cast<uint32_t>(payload.size()), 3);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  frame += BigEndian(stream, 4);
  frame += payload;
  std::vector<size_t> ends;
  for (const size_t split : travel.splits) {
    if (split < frame.size()) ends.push_back(split);
  }
  ends.push_back(frame.size());
  const uint8_t direction = by_server == segments.inbound ? TW_SENT : TW_RECEIVED;
  size_t at = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    uint8_t piece = TW_HTTP2 | travel.flags;
    if (by_server) piece |= TW_RESPONSE;
    if (i == 0) piece |= TW_BLOCK_START;
    if (i + 1 == ends.size()) piece |= TW_BLOCK_END;
    segments.Piece(direction, piece, stream, std::string_view(frame).substr(at, ends[i] - at));
    at = ends[i];
  }
}

void Http2Conversation::Body(bool by_server, uint32_t stream, int flags, std::string_view bytes) {
  const int all = TW_HTTP2 | TW_BODY | (by_server ? TW_RESPONSE : 0) | flags;
  segments.Piece(by_server == segments.inbound ? TW_SENT : TW_RECEIVED, static_cast<uint8_t>(all),
                 stream, bytes);
}

void Http2Conversation::Headers(bool by_server, uint8_t type, uint32_t stream,
                                const std::string& before, const Fields& fields,
                                const Http2Travel& travel) {
  const std::string block = Block(by_server, fields);
  std::vector<size_t> ends = travel.frames;
  ends.push_back(block.size());
  size_t at = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    const size_t end = std::min(ends[i], block.size());
    std::string payload = block.substr(at, end - at);
    uint8_t flags = i + 1 == ends.size() ? 0x4 : 0;
    if (i == 0) {
      const bool has_priority = type == NGHTTP2_HEADERS && travel.has_priority;
      std::string prefix = before;
      if (has_priority) prefix.append(BigEndian(0, 4)).append(1, '\x10');
      payload = prefix + payload;
      if (travel.padding >= 0) {
        payload.insert(0, 1, static_cast<char>(travel.padding));
        payload.append(static_cast<size_t>(travel.padding), '\0');
      }
      if (type == NGHTTP2_HEADERS && travel.ends_stream) flags |= 0x1;
      if (travel.padding >= 0) flags |= 0x8;
      if (has_priority) flags |= 0x20;
    }
    Frame(by_server, i == 0 ? type : static_cast<uint8_t>(NGHTTP2_CONTINUATION), flags, stream,
          payload, travel);
    at = end;
  }
}

void Http2Conversation::Request(uint32_t stream, const Fields& fields, const Http2Travel& travel) {
  Headers(false, NGHTTP2_HEADERS, stream, "", fields, travel);
}

void Http2Conversation::Answer(uint32_t stream, const Fields& fields, const Http2Travel& travel) {
  Headers(true, NGHTTP2_HEADERS, stream, "", fields, travel);
}

void Http2Conversation::Promise(uint32_t stream, uint32_t promised, const Fields& fields,
                                const Http2Travel& travel) {
  Headers(true, NGHTTP2_PUSH_PROMISE, stream, BigEndian(promised, 4), fields, travel);
}

void Http2Conversation::Reset(bool by_server, uint32_t stream) {
  Frame(by_server, NGHTTP2_RST_STREAM, 0, stream, BigEndian(8, 4));
}

void Http2Conversation::GoAway(uint32_t last) {
  Frame(true, NGHTTP2_GOAWAY, 0, 0, BigEndian(last, 4) + BigEndian(0, 4));
}

void Http2Conversation::Settings(bool by_server, uint16_t id, uint32_t value) {
  Frame(by_server, NGHTTP2_SETTINGS, 0, 0, BigEndian(id, 2) + BigEndian(value, 4));
}

Fields RequestFields(const std::string& path, const std::string& authorization,
                     const std::string& method) {
  return {{":method", method}, {":scheme", "https"},          {":authority", "example.test"},
          {":path", path},     {"user-agent", "made-up/1.0"}, {"authorization", authorization}};
}

Fields AnswerFields(int status) {
  return {{":status", std::to_string(status)}, {"server", "s"}, {"content-type", "text/plain"}};
}

}  // namespace tokenwatch
