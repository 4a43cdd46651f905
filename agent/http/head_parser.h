// Splits an HTTP/1 header block into its start line and its fields.
//
// Own code and not Boost.Beast's basic_parser, because (tried with 1.74, the header limit at
// 64 KiB) that one gives up the whole block at the first line it dislikes: no colon, a blank before
// the colon, a control character, a bare LF, a second Content-Length, a space in the target,
// HTTP/1.2. A credential in the next line would be lost, though real servers accept most of these.
// It also unfolds a folded value into a stack buffer that is never wiped.
//
// Here every line stands for itself: one that is no field is skipped and counted, lines end at LF
// with or without CR, and bytes from 0x80 on are kept. Nothing is copied, except that the fields of
// a block with folded lines (RFC 9112, 5.2) or with holes are rewritten into a wiped buffer first.
// Nothing is joined over a hole.
#ifndef TOKENWATCH_AGENT_HTTP_HEAD_PARSER_H_
#define TOKENWATCH_AGENT_HTTP_HEAD_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/block_sink.h"
#include "agent/http/exchange.h"

namespace tokenwatch {

struct RequestLine {
  std::string_view method;  // a token (RFC 9110, 5.6.2) of at most 64 bytes
  std::string_view target;  // not empty; whatever stands between method and version
  int version_minor = 1;
};

// Reuse one for many blocks: it keeps its memory. Not thread safe.
class HeadParser {
 public:
  // Nothing where the block does not begin with a request line. Where a hole cuts that line behind
  // the first byte of its target, the target is what came before the hole, and there are no fields.
  // Otherwise, where there are holes, the last field is the one that the first of them cuts, as
  // RequestHead::cut says. All views are valid until the next call and as long as the block is.
  std::optional<RequestLine> ParseRequest(const HeaderBlock& block);
  // The status, 100 to 999; nothing where the block does not begin with a status line. A field that
  // a hole cuts is left out.
  std::optional<int> ParseResponse(const HeaderBlock& block);

  // Of the last block parsed.
  absl::Span<const HeaderField> Fields() const { return fields_; }
  // Lines of the last block that were left out: no field, unfinished, or next to a hole.
  uint64_t DroppedLines() const { return dropped_lines_; }

  // Wipes what was copied and forgets the fields. To be called when a block is done with.
  void Clear();

 private:
  // The start line, empty where there is none, up to a hole in it.
  struct StartLine {
    std::string_view text;
    bool is_cut = false;
  };
  // Fills fields_ and, where there are holes, cut_field_.
  StartLine Split(const HeaderBlock& block);
  // Copies the field lines from `at` on to rewritten_, unfolded, each ended by LF; what is known of
  // the line that is cut comes last. Returns the size of the lines that are whole.
  size_t Rewrite(const HeaderBlock& block, size_t at);
  void SplitFields(std::string_view lines);
  void WriteLine(absl::Span<const std::string_view> parts);

  std::vector<HeaderField> fields_;
  HeaderField cut_field_;
  SecretBuffer rewritten_;
  uint64_t dropped_lines_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HEAD_PARSER_H_
