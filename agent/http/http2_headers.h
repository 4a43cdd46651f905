// HTTP/2: header blocks out of frames.
//
// A block lies in a HEADERS or PUSH_PROMISE frame and the CONTINUATION frames behind it, in nothing
// else's way (RFC 9113, 6.10). Every block of a direction must pass through its inflater, in order;
// where bytes of one are missing, the inflater is told and what comes later resolves or does not.
#ifndef TOKENWATCH_AGENT_HTTP_HTTP2_HEADERS_H_
#define TOKENWATCH_AGENT_HTTP_HTTP2_HEADERS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string_view>

#include "agent/capture/segment.h"
#include "agent/http/block_sink.h"
#include "agent/http/field_list.h"
#include "agent/http/hpack_heirs.h"
#include "agent/http/hpack_inflater.h"
#include "agent/http/http2_connection.h"
#include "agent/http/http2_frame.h"
#include "agent/http/http2_streams.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

// Takes frames as blocks. Not thread safe.
class Http2Headers : public BlockSink {
 public:
  // Both must outlive this object.
  Http2Headers(Http2Streams* streams, ReaderContext* context)
      : streams_(streams), context_(context), memory_(context), heirs_(&memory_) {}
  Http2Headers(const Http2Headers&) = delete;
  Http2Headers& operator=(const Http2Headers&) = delete;

  void OnBlockStart(Connection& connection, const tw_data& first) override;
  void OnBlock(Connection& connection, const tw_data& first, const HeaderBlock& frame) override;
  void OnMissing(Connection& connection, uint8_t direction) override;

  // Hands on what is known of the connection's unfinished header blocks.
  void GiveUpAll(Connection& connection);
  // Gives up what is older than ReaderLimits::block_age_ns.
  void Sweep();
  // Header blocks, answers' too, of which frames are still to come.
  UnfinishedRequests Unfinished() const {
    return open_.empty() ? UnfinishedRequests()
                         : UnfinishedRequests{open_.size(), open_.front().first.h.mono_ns};
  }
  // Encrypts what inflaters keep, until their next block.
  void Seal() { memory_.SealAll(); }

  // What the table of `connection` in `direction` is, for an agent that takes over.
  void Export(const Connection& connection, uint8_t direction, SecretBuffer* out);
  HpackHeirs& heirs() { return heirs_; }
  const HpackHeirs& heirs() const { return heirs_; }

 private:
  void OnHeaders(Connection& connection, const tw_data& first, const Http2Frame& frame);
  void OnContinuation(Connection& connection, const tw_data& first, const Http2Frame& frame);
  OpenHeaders& Open(Connection& connection, const tw_data& first, const Http2Frame& frame);
  void Append(OpenHeaders& headers, std::string_view fragment);
  // Decodes and hands on. `is_cut`: bytes are missing behind `block`.
  void Decode(Connection& connection, const tw_data& first, uint32_t stream, bool is_promise,
              bool ends_stream, std::string_view block, bool is_cut);
  // The same with a block in pieces, which ends here.
  void Close(OpenHeaders& headers, bool is_cut);

  Http2Streams* const streams_;
  ReaderContext* const context_;
  HpackMemory memory_;
  HpackHeirs heirs_;
  std::list<OpenHeaders> open_;  // oldest first
  size_t bytes_ = 0;             // in open_
  FieldList fields_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HTTP2_HEADERS_H_
