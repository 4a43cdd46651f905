// Decodes the header blocks of one direction of an HTTP/2 connection with nghttp2's inflater.
//
// Indices count from the newest entry of the dynamic table. So where older entries were not seen,
// because the connection is older than the agent or bytes are missing, the table is primed with
// empty entries behind those that are known: every index that a real peer can use then resolves, to
// the truth or to an empty name with an empty value. Placeholders cost memory, so they are made
// when a block first refers to them. A table emptied by its peer (a size update to 0) is known
// again.
#ifndef TOKENWATCH_AGENT_HTTP_HPACK_INFLATER_H_
#define TOKENWATCH_AGENT_HTTP_HPACK_INFLATER_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>

#include "agent/common/secret_buffer.h"
#include "agent/http/field_list.h"
#include "agent/http/hpack_block.h"
#include "agent/http/reader_context.h"
#include "agent/http/sealed_heap.h"

namespace tokenwatch {

class HpackInflater;

// What all inflaters share: the cipher, who is not sealed, and how much memory all take.
class HpackMemory {
 public:
  // `context` must outlive this object.
  explicit HpackMemory(ReaderContext* context) : context_(context) {}

  // Seals every table that was used since the last call.
  void SealAll();
  size_t Bytes() const { return bytes_; }

 private:
  friend class HpackInflater;

  ReaderContext* const context_;
  HeapCipher cipher_;
  std::list<HpackInflater*> tables_;  // with a table, longest unused first
  size_t open_ = 0;                   // of them, at the end, not sealed
  size_t bytes_ = 0;
};

// Without a table until the first block. Not thread safe.
class HpackInflater {
 public:
  // `memory` must outlive the inflater.
  explicit HpackInflater(HpackMemory* memory) : memory_(memory) {}
  ~HpackInflater() { Drop(); }
  HpackInflater(const HpackInflater&) = delete;
  HpackInflater& operator=(const HpackInflater&) = delete;

  // From now on the peer's table holds entries that were not seen; what was known is dropped, for
  // it would answer wrongly.
  void Forget();

  // Adds the fields of a block to `fields`. False where the block could not be decoded to its end:
  // `is_cut`, that is bytes of it are missing behind `block`, or the bytes are no HPACK. What the
  // table holds is unknown then.
  bool Decode(std::string_view block, bool is_cut, FieldList* fields);

  // Encrypts the table until the next block.
  void Seal();

  // Appends the table as header fields that would make it so, from the oldest on. False where
  // nothing is known of it.
  bool Export(SecretBuffer* entries, uint32_t* unknown, uint32_t* max_bytes);
  // Makes the table what Export said of another. False where that cannot be.
  bool Load(std::string_view entries, uint32_t unknown, uint32_t max_bytes);
  // Takes the table of `other`, which is left without, in place of its own. False where it has
  // none.
  bool Inherit(HpackInflater* other);

 private:
  // Largest table that is followed, and most entries that fit into it.
  static constexpr uint32_t kMaxTable = 65536;
  static constexpr uint32_t kEntryOverhead = 32;  // RFC 7541, 4.1
  static constexpr uint32_t kMaxEntries = kMaxTable / kEntryOverhead;

  // A table to decode with, made if need be and opened. False where there is no memory.
  bool Ready(const HpackNeeds& needs);
  bool Create();
  bool Open();
  // Appends the `count` newest entries, of them the oldest first.
  void AppendEntries(size_t count, SecretBuffer* out) const;
  size_t Entries() const;
  // Puts placeholders behind what is known, so that there are `wanted` entries.
  bool Prime(uint32_t wanted);
  // Runs nghttp2 over a whole block; `fields` may be null.
  bool Inflate(std::string_view block, bool is_last, FieldList* fields);
  void Drop();
  // Books a change of the heap's size.
  void Book();

  HpackMemory* const memory_;
  std::unique_ptr<SealedHeap> heap_;
  nghttp2_hd_inflater* inflater_ = nullptr;  // in heap_, gone with it
  std::list<HpackInflater*>::iterator self_;
  size_t booked_ = 0;
  uint32_t unknown_ = 0;  // at most so many entries of the peer's table were not seen
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HPACK_INFLATER_H_
