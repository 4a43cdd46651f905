// Writes the segments of one HTTP/2 connection as the kernel side would emit them, its header
// blocks made by nghttp2's deflater.
#ifndef TOKENWATCH_TESTS_REPLAY_HTTP2_CONVERSATION_H_
#define TOKENWATCH_TESTS_REPLAY_HTTP2_CONVERSATION_H_

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/replay/collecting_sink.h"
#include "tests/replay/conversation.h"

namespace tokenwatch {

// How one header block travels.
struct Http2Travel {
  bool ends_stream = true;
  std::vector<size_t> frames;  // offsets in the block, ascending, where CONTINUATION frames begin
  std::vector<size_t> splits;  // offsets in each frame, ascending, where a new piece begins
  int padding = -1;            // bytes; -1: the frame is not padded
  bool has_priority = false;
  uint8_t flags = 0;  // added to every piece's
};

class Http2Conversation {
 public:
  // The records go to `records`, which must outlive the conversation.
  Http2Conversation(uint64_t connection, std::vector<Record>* records);

  // What is not HTTP/2: peers, closes, gaps; and who speaks, when.
  Conversation segments;

  // Frames. Requests and their like are the client's, answers the server's.
  void Request(uint32_t stream, const Fields& fields, const Http2Travel& travel = {});
  void Answer(uint32_t stream, const Fields& fields, const Http2Travel& travel = {});
  void Promise(uint32_t stream, uint32_t promised, const Fields& fields,
               const Http2Travel& travel = {});
  void Reset(bool by_server, uint32_t stream);
  void GoAway(uint32_t last);
  void Settings(bool by_server, uint16_t id, uint32_t value);
  // A piece of a body that is wanted. Behind the request one without bytes begins its body.
  void Body(bool by_server, uint32_t stream, int flags, std::string_view bytes);
  // Any frame as it is.
  void Frame(bool by_server, uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload,
             const Http2Travel& travel = {});

  // The block of `fields`, which the deflater of that side has then sent.
  std::string Block(bool by_server, const Fields& fields);
  // The side's encoder uses a table of that size from its next block on.
  void ResizeTable(bool by_server, size_t bytes);

 private:
  struct Free {
    void operator()(nghttp2_hd_deflater* deflater) const { nghttp2_hd_deflate_del(deflater); }
  };
  void Headers(bool by_server, uint8_t type, uint32_t stream, const std::string& before,
               const Fields& fields, const Http2Travel& travel);

  std::array<std::unique_ptr<nghttp2_hd_deflater, Free>, 2> deflaters_;  // client's, server's
};

// A GET or POST of `path` at example.test with an Authorization field, as clients write it.
Fields RequestFields(const std::string& path, const std::string& authorization,
                     const std::string& method = "GET");
// An answer with that status.
Fields AnswerFields(int status);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_REPLAY_HTTP2_CONVERSATION_H_
