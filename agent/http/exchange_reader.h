// Turns the segments of many connections into exchanges.
//
// The kernel side frames and numbers messages; here blocks are put together from their pieces
// (BlockAssembler), parsed, and answers joined to requests by connection and ordinal
// (ExchangePairer) or stream (Http2Headers, Http2Streams), never by guessing. So a lost piece can
// cost an exchange or some of its fields, but cannot give one request another's answer. Everything
// that grows has a limit, and every limit a counter.
#ifndef TOKENWATCH_AGENT_HTTP_EXCHANGE_READER_H_
#define TOKENWATCH_AGENT_HTTP_EXCHANGE_READER_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "agent/capture/segment.h"
#include "agent/common/counters.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/block_assembler.h"
#include "agent/http/body_reader.h"
#include "agent/http/connection.h"
#include "agent/http/exchange.h"
#include "agent/http/exchange_pairer.h"
#include "agent/http/http2_bodies.h"
#include "agent/http/http2_headers.h"
#include "agent/http/http2_streams.h"
#include "agent/http/open_exchanges.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

// Single-threaded but for AddCounters.
class ExchangeReader {
 public:
  // `sink` must outlive the reader, is called on the thread that calls the reader, and must not
  // call back into it.
  explicit ExchangeReader(ExchangeSink* sink, const ReaderLimits& limits = {});
  ExchangeReader(const ExchangeReader&) = delete;
  ExchangeReader& operator=(const ExchangeReader&) = delete;

  // Takes the next segment; those of one connection in the order in which the kernel made them. No
  // view into it is kept.
  void OnSegment(const Segment& segment);

  // Ends what has waited too long. To be called about once a second with CLOCK_MONOTONIC, ns.
  void Sweep(uint64_t now_mono_ns);

  // Encrypts what is kept of HTTP/2 header fields until they are needed again. To be called when
  // nothing came for a moment; Sweep does so too.
  void Seal() { http2_.Seal(); }

  // At a hand-over: the HPACK tables of live HTTP/2 connections, at most `limit` bytes of them, the
  // connections that were used last. They hold credentials.
  void ExportTables(size_t limit, SecretBuffer* out);
  // The agent that takes over: before, and with what the other's ExportTables gave.
  void ExpectTables() { http2_.heirs().Track(); }
  void OfferTables(std::string_view tables) { http2_.heirs().Offer(tables); }
  uint64_t tables_inherited() const {  // any thread
    return http2_.heirs().given();
  }

  // Of which the sink has not been told.
  UnfinishedRequests Unfinished() const;

  // Ends requests that began before `mono_ns`, as at the agent's stop; the others go on.
  void GiveUpBefore(uint64_t mono_ns) { exchanges_.GiveUpBefore(mono_ns); }

  // Ends everything and forgets all connections, as at the agent's stop.
  void Finish();

  // Any thread.
  void AddCounters(Counters* counters) const { context_.counters.AddTo(counters); }

 private:
  using Connections = std::list<Connection>;

  void OnData(const DataSegment& data);
  void OnPeer(const tw_peer& peer);
  void OnClose(const tw_close& close);
  void OnGap(const tw_gap& gap);
  void OnExit(const tw_exit& exit);

  // The connection's state, made if need be.
  Connection& Use(uint64_t id);
  Connection* Find(uint64_t id);
  // Hands on what is known of the connection's unfinished blocks, then ends its exchanges.
  // `grpc_status`: of gRPC calls that have no result yet.
  void EndAll(Connection& connection, std::optional<int> grpc_status = std::nullopt);
  // As EndAll; its state is gone then. Returns the next one.
  Connections::iterator Forget(Connections::iterator connection,
                               std::optional<int> grpc_status = std::nullopt);
  void OnHttp2Gap(Connection& connection, const tw_gap& gap);
  void SetClosing(Connection& connection, bool closing);
  // Forgets connections whose reference was dropped, or whose process exited, a grace ago.
  void SweepConnections();

  ReaderContext context_;
  OpenExchanges exchanges_;
  ExchangePairer pairer_;
  Http2Bodies http2_bodies_;
  Http2Streams streams_;
  Http2Headers http2_;
  BodyReader bodies_;
  BlockAssembler assembler_;
  Connections connections_;  // longest silent first
  absl::flat_hash_map<uint64_t, Connections::iterator> by_id_;
  absl::flat_hash_map<uint64_t, uint64_t> exits_;  // ReaderContext::clock at a process's exit
  size_t closing_ = 0;                             // connections with `closing`
  uint64_t swept_ = 0;  // ReaderContext::clock when connections were swept
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_EXCHANGE_READER_H_
