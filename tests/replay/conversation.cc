#include "tests/replay/conversation.h"

#include <algorithm>
#include <cstring>

namespace tokenwatch {
namespace {

template <typename T>
Record Bytes(const T& fixed, std::string_view tail = {}) {
  Record record(sizeof(T) + tail.size());
  std::memcpy(record.data(), &fixed, sizeof(T));
  if (!tail.empty()) std::memcpy(record.data() + sizeof(T), tail.data(), tail.size());
  return record;
}

}  // namespace

tw_header Conversation::Header(uint8_t type, size_t size, size_t len) {
  tw_header header{};
  header.type = type;
  header.version = TW_SEGMENT_VERSION;
  header.size = static_cast<uint16_t>(size);
  header.len = static_cast<uint32_t>(len);
  header.mono_ns = now;
  now += tick;
  return header;
}

void Conversation::Piece(uint8_t direction, uint8_t flags, uint32_t message,
                         std::string_view bytes) {
  tw_data data{};
  data.h = Header(TW_DATA, sizeof(data), bytes.size());
  data.connection = connection_;
  data.process = process;
  data.pid = pid;
  data.tid = pid;
  data.sequence = sequence_[direction]++;
  data.direction = direction;
  data.layer = layer;
  data.flags = static_cast<uint8_t>(flags | (inbound ? TW_INBOUND : 0));
  data.message = message;
  records_->push_back(Bytes(data, bytes));
}

void Conversation::Block(uint8_t direction, uint8_t flags, uint32_t message, std::string_view block,
                         const Travel& travel) {
  const uint32_t own_pid = pid;
  if (travel.pid != 0) pid = travel.pid;
  std::vector<size_t> ends = travel.splits;
  ends.push_back(block.size());
  size_t at = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    uint8_t piece_flags = flags | travel.flags;
    if (i == 0) piece_flags |= TW_BLOCK_START;
    if (i + 1 == ends.size()) piece_flags |= TW_BLOCK_END | travel.last_flags;
    Piece(direction, piece_flags, message, block.substr(at, ends[i] - at));
    at = ends[i];
  }
  pid = own_pid;
}

uint32_t Conversation::Request(std::string_view block, const Travel& travel) {
  Block(inbound ? TW_RECEIVED : TW_SENT, 0, next_message_, block, travel);
  return next_message_++;
}

void Conversation::Response(uint32_t message, std::string_view block, const Travel& travel) {
  Block(inbound ? TW_SENT : TW_RECEIVED, TW_RESPONSE, message, block, travel);
}

void Conversation::RequestBody(uint32_t message, std::string_view body, const Travel& travel) {
  Block(inbound ? TW_RECEIVED : TW_SENT, TW_BODY, message, body, travel);
}

void Conversation::ResponseBody(uint32_t message, std::string_view body, const Travel& travel) {
  Block(inbound ? TW_SENT : TW_RECEIVED, TW_BODY | TW_RESPONSE, message, body, travel);
}

void Conversation::Peer(uint8_t certainty, std::array<uint8_t, 4> peer, uint16_t peer_port,
                        std::array<uint8_t, 4> local, uint16_t local_port) {
  tw_peer segment{};
  segment.h = Header(TW_PEER, sizeof(segment), 0);
  segment.connection = connection_;
  segment.family = 4;
  segment.certainty = certainty;
  segment.peer_port = peer_port;
  segment.local_port = local_port;
  std::copy(peer.begin(), peer.end(), segment.peer);
  std::copy(local.begin(), local.end(), segment.local);
  records_->push_back(Bytes(segment));
}

void Conversation::Close(bool is_final) {
  tw_close segment{};
  segment.h = Header(TW_CLOSE, sizeof(segment), 0);
  segment.connection = connection_;
  segment.is_final = is_final ? 1 : 0;
  records_->push_back(Bytes(segment));
}

void Conversation::Gap(uint8_t reason) {
  tw_gap segment{};
  segment.h = Header(TW_GAP, sizeof(segment), 0);
  segment.connection = connection_;
  segment.process = process;
  segment.pid = pid;
  segment.reason = reason;
  records_->push_back(Bytes(segment));
}

void Conversation::Exit() {
  tw_exit segment{};
  segment.h = Header(TW_EXIT, sizeof(segment), 0);
  segment.process = process;
  segment.pid = pid;
  records_->push_back(Bytes(segment));
}

}  // namespace tokenwatch
