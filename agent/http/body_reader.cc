#include "agent/http/body_reader.h"

#include "agent/http/connection.h"
#include "agent/http/message.h"

namespace tokenwatch {

void BodyReader::OnBlock(Connection& connection, const tw_data& first, const HeaderBlock& block) {
  Body body;
  const EndedExchange& ended = connection.exchanges.ended;
  if (const PendingExchange* const pending =
          IsResponse(first) ? nullptr : exchanges_->Find(connection, first.message)) {
    body.exchange = pending->exchange;
  } else if (ended.exchange != 0 && ended.message == first.message) {
    body.exchange = ended.exchange;
  } else {
    context_->counters.Add(ReaderCount::kBodiesOrphaned);
    return;
  }
  body.answer = IsResponse(first);
  body.complete = block.holes.empty();
  body.bytes = block.bytes;
  context_->counters.Add(ReaderCount::kBodies);
  sink_->OnBody(body);
}

}  // namespace tokenwatch
