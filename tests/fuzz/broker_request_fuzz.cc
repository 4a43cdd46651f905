// Any bytes from a worker that was taken over: a request is refused, or is one that a worker could
// have made, bounded as its kind says. The same bytes are read as an answer as well.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/broker/messages.h"
#include "agent/broker/request.h"
#include "agent/broker/wire.h"

namespace tokenwatch {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void ReadRequest(std::string_view bytes) {
  const absl::StatusOr<Request> request = DecodeRequest(bytes);
  if (!request.ok()) {
    Require(absl::IsInvalidArgument(request.status()));
    return;
  }
  Require(request->kind != RequestKind::kNone);
  Require(static_cast<uint32_t>(request->kind) < kRequestKinds);
  Require(request->text.size() <= Request::kTextMax);
  if (request->kind == RequestKind::kExists || request->kind == RequestKind::kLook) {
    Require(request->pid != 0);
    Require(request->text.find('\0') == std::string::npos);
    Require(request->text.empty() || request->text.front() == '/');
  }
  // Nothing of it is left out, so nothing was overlooked.
  Require(EncodeRequest(*request) == bytes);
}

void ReadAnswer(std::string_view bytes) {
  CaptureStatus status;
  WireReader reader(bytes);
  reader(status);
  if (!reader.IsDone()) return;
  WireWriter writer;
  writer(status);
  CaptureStatus again;
  WireReader second(writer.bytes());
  second(again);
  Require(second.IsDone() && again.probes.size() == status.probes.size());
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  tokenwatch::ReadRequest(bytes);
  tokenwatch::ReadAnswer(bytes);
  return 0;
}
