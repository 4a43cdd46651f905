// Writes the segments of one connection as the kernel side would emit them.
#ifndef TOKENWATCH_TESTS_REPLAY_CONVERSATION_H_
#define TOKENWATCH_TESTS_REPLAY_CONVERSATION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/capture/segment.h"
#include "tests/replay/recording.h"

namespace tokenwatch {

// How one block travels.
struct Travel {
  std::vector<size_t> splits;  // offsets, ascending, where a new piece begins
  uint8_t flags = 0;           // added to every piece's
  uint8_t last_flags = 0;      // added to the last piece's
  uint32_t pid = 0;            // instead of the conversation's
};

class Conversation {
 public:
  // The records go to `records`, which must outlive the conversation.
  Conversation(uint64_t connection, std::vector<Record>* records)
      : connection_(connection), records_(records) {}

  uint64_t process = 7;
  uint32_t pid = 77;
  uint8_t layer = TW_LAYER_TLS;
  bool inbound = false;
  uint64_t now = 1'000'000;  // mono_ns of the next record
  uint64_t tick = 1000;      // added after every record

  // A request's header block; returns its ordinal.
  uint32_t Request(std::string_view block, const Travel& travel = {});
  // An answer's, 1xx or final, to the request with ordinal `message`.
  void Response(uint32_t message, std::string_view block, const Travel& travel = {});
  // The body of either, as it leaves the kernel where it is wanted.
  void RequestBody(uint32_t message, std::string_view body, const Travel& travel = {});
  void ResponseBody(uint32_t message, std::string_view body, const Travel& travel = {});
  void Peer(uint8_t certainty, std::array<uint8_t, 4> peer, uint16_t peer_port,
            std::array<uint8_t, 4> local = {127, 0, 0, 1}, uint16_t local_port = 40000);
  void Close(bool is_final);
  void Gap(uint8_t reason);
  void Exit();
  // One data segment as it is, with the next sequence of its direction.
  void Piece(uint8_t direction, uint8_t flags, uint32_t message, std::string_view bytes);
  // As if `pieces` segments of the direction had not come through.
  void Lose(uint8_t direction, uint32_t pieces) { sequence_[direction] += pieces; }

 private:
  void Block(uint8_t direction, uint8_t flags, uint32_t message, std::string_view block,
             const Travel& travel);
  tw_header Header(uint8_t type, size_t size, size_t len);

  const uint64_t connection_;
  std::vector<Record>* const records_;
  uint32_t next_message_ = 0;
  std::array<uint32_t, 2> sequence_{};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_REPLAY_CONVERSATION_H_
