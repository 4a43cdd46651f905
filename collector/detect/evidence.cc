#include "collector/detect/evidence.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "agent/common/token_id.h"
#include "collector/detect/words.h"
#include "collector/store/outcome.h"
#include "collector/store/proto_time.h"
#include "collector/store/use_traits.h"
#include "collector/store/user_id.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kOneGrpcStatus = 1000;
constexpr size_t kTextMax = 1024;  // bytes

bool HasTrait(const v1::Use& use, const UseTraitRow& row) {
  const auto& descriptor = *v1::Use::descriptor();
  const auto* const field = descriptor.FindFieldByCamelcaseName(row.word);
  return field != nullptr && use.GetReflection()->GetBool(use, field);
}

// A finding holds many uses and is sent to many: what an agent may say of one is longer.
void CutStrings(google::protobuf::Message* message) {
  const auto& descriptor = *message->GetDescriptor();
  const auto& reflection = *message->GetReflection();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const auto* const field = descriptor.field(i);
    if (field->is_repeated()) continue;
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      if (reflection.HasField(*message, field)) {
        CutStrings(reflection.MutableMessage(message, field));
      }
    } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      std::string scratch;
      const std::string& text = reflection.GetStringReference(*message, field, &scratch);
      if (text.size() <= kTextMax) continue;
      std::string cut(CutText(text, kTextMax));
      reflection.SetString(message, field, std::move(cut));
    }
  }
}

}  // namespace

v1::Use ShownUse(const CommittedUse& use) {
  const UseRow& row = use.row;
  const UseContext& context = *row.context;
  v1::Use shown;
  SetTime(row.time_us, shown.mutable_time());
  if (row.token == nullptr || row.token->ids.empty()) {
    shown.set_unresolved(true);
  } else {
    const auto& [key, id] = row.token->ids.front();
    shown.set_key_id(key);
    shown.set_token_id(TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()}));
  }
  shown.set_format(context.format);
  shown.set_provider(context.provider);
  shown.set_carrier(context.carrier);
  shown.set_token_length(context.token_length);
  shown.set_method(context.method);
  shown.set_scheme(context.scheme);
  shown.set_host(context.host);
  shown.set_path(context.path);
  shown.set_query(context.query);
  shown.set_http_version(context.http_version);
  shown.set_user_agent(context.user_agent);
  shown.set_request_id(row.request_id);
  shown.set_status(row.status);
  shown.set_outcome(OutcomeOf(AnswerCode(row.status, row.grpc_status)));
  shown.set_latency_us(row.latency_us);
  shown.set_peer_address(context.peer_address);
  shown.set_peer_port(context.peer_port);
  shown.set_peer_certainty(context.peer_certainty);
  shown.set_local_address(context.local_address);
  shown.set_local_port(row.local_port);
  shown.set_direction(context.direction);
  shown.set_probe(context.probe);
  shown.set_count(std::max<uint32_t>(row.count, 1));
  if (use.source != nullptr) {
    shown.set_agent_address(use.source->agent_address);
    shown.set_agent(use.source->agent);
    shown.set_stream(absl::BytesToHexString(use.source->stream));
  }
  shown.set_sequence(use.sequence);
  *shown.mutable_workload() = context.workload;
  if (use.credential != nullptr) shown.set_credential_id(*use.credential);
  for (const UseTraitRow& trait : kUseTraits) {
    if ((context.traits & trait.bit) != 0) (shown.*trait.set)(true);
  }
  if (!context.user_id.empty()) shown.set_user_id(UserIdText(context.user_id));
  CutStrings(&shown);
  return shown;
}

CommittedUse UseFromShown(const v1::Use& shown, uint64_t id) {
  CommittedUse use;
  auto context = std::make_shared<UseContext>();
  context->id = id;
  context->workload = shown.workload();
  context->format = shown.format();
  context->provider = shown.provider();
  context->carrier = shown.carrier();
  context->token_length = shown.token_length();
  context->method = shown.method();
  context->scheme = shown.scheme();
  context->host = shown.host();
  context->path = shown.path();
  context->query = shown.query();
  context->http_version = shown.http_version();
  context->user_agent = shown.user_agent();
  context->peer_address = shown.peer_address();
  context->peer_port = shown.peer_port();
  context->peer_certainty = shown.peer_certainty();
  context->local_address = shown.local_address();
  context->direction = shown.direction();
  context->probe = shown.probe();
  for (const UseTraitRow& trait : kUseTraits) {
    if (HasTrait(shown, trait)) context->traits |= trait.bit;
  }
  std::array<uint8_t, 16> token_id{};
  if (ParseTokenIdText(shown.token_id(), &token_id)) {
    auto token = std::make_shared<UseToken>();
    token->id = id;
    token->ids.emplace_back(
        shown.key_id(),
        std::string(reinterpret_cast<const char*>(token_id.data()), token_id.size()));
    use.row.token = std::move(token);
  }
  if (!shown.credential_id().empty()) {
    use.credential = std::make_shared<const std::string>(shown.credential_id());
  }
  auto source = std::make_shared<UseSource>();
  source->agent = shown.agent();
  source->agent_address = shown.agent_address();
  source->stream = absl::HexStringToBytes(shown.stream());
  use.source = std::move(source);
  use.sequence = shown.sequence();
  use.row.context = std::move(context);
  use.row.time_us = MicrosOf(shown.time());
  use.row.status = shown.status() % kOneGrpcStatus;
  use.row.latency_us = shown.latency_us();
  use.row.local_port = shown.local_port();
  use.row.count = static_cast<uint32_t>(
      std::clamp<uint64_t>(shown.count(), 1, std::numeric_limits<uint32_t>::max()));
  use.row.request_id = shown.request_id();
  return use;
}

}  // namespace tokenwatch
