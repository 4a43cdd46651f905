// HPACK tables that another agent knew, on their way to the connections they belong to.
//
// An agent that takes over follows HTTP/2 connections from somewhere in their middle, so older
// entries of their tables are unknown to it. The agent before it knows them, as they were after
// some header block. They are right only at that very place: so each table waits until the
// connection's own blocks are seen to be there, or, where they had passed it, those since are
// decoded once more on top of it. A table whose place cannot be told is dropped; its connection
// stays as it is.
#ifndef TOKENWATCH_AGENT_HTTP_HPACK_HEIRS_H_
#define TOKENWATCH_AGENT_HTTP_HPACK_HEIRS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/hpack_inflater.h"
#include "agent/http/hpack_table.h"

namespace tokenwatch {

// What one direction of a connection has come to.
struct HpackTrack {
  struct Step {
    uint32_t position = 0;  // HpackTableHead
    SecretBuffer block;
  };

  uint32_t first = 0;       // position of the first block
  uint32_t position = 0;    // of the last block; 0: none yet
  std::vector<Step> steps;  // oldest first; while HpackHeirs::IsTracking
};

// Not thread safe.
class HpackHeirs {
 public:
  static constexpr size_t kMaxTables = 16384;
  static constexpr size_t kMaxSteps = 512;           // kept of one direction of a connection
  static constexpr size_t kMaxStepBytes = 32 << 20;  // kept of all

  // `memory` outlives this.
  explicit HpackHeirs(HpackMemory* memory) : memory_(memory) {}

  // Before the other agent's tables come: steps are kept.
  void Track() { is_tracking_ = true; }
  bool IsTracking() const { return is_tracking_; }

  // Takes tables as AppendTable wrote them; the caller wipes the bytes. Ends the tracking.
  void Offer(std::string_view tables);
  bool empty() const { return tables_.empty(); }

  // A connection that was followed from its beginning has this name now: no table is its own.
  void Drop(uint32_t pid, uint32_t tag);
  void DropProcess(uint32_t pid);

  // Around each block of a late connection: gives `inflater` its table where this is the place. The
  // block is on `stream`; `requests` is the track of the connection's requests.
  void BeforeBlock(uint32_t pid, uint32_t tag, bool is_response, uint32_t stream,
                   const HpackTrack& requests, HpackTrack* track, HpackInflater* inflater);
  void AfterBlock(uint32_t pid, uint32_t tag, bool is_response, const HpackTrack& track,
                  HpackInflater* inflater);
  // Notes a block that was decoded.
  void Note(uint32_t position, std::string_view block, HpackTrack* track);

  uint64_t given() const { return given_; }  // any thread

 private:
  struct Table {
    HpackTableHead head;
    std::unique_ptr<HpackInflater> inflater;  // sealed like any other
  };
  using Key = uint64_t;
  static Key KeyOf(uint32_t pid, uint32_t tag, bool is_response) {
    return (uint64_t{pid} << 32 | tag) * 2 + (is_response ? 1 : 0);
  }
  void Give(absl::flat_hash_map<Key, Table>::iterator at, absl::Span<const HpackTrack::Step> since,
            HpackInflater* inflater);

  HpackMemory* const memory_;
  bool is_tracking_ = false;
  size_t step_bytes_ = 0;  // noted while tracking
  absl::flat_hash_map<Key, Table> tables_;
  std::atomic<uint64_t> given_{0};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HPACK_HEIRS_H_
