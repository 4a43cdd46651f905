#include "collector/json/json.h"

#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "agent/common/utf8.h"

namespace tokenwatch {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

Json TimestampText(const google::protobuf::Timestamp& time) {
  // RFC 3339 has years of four digits; a clock of a hostile agent may have more.
  static const absl::Time first = absl::FromCivil(absl::CivilSecond(1), absl::UTCTimeZone());
  static const absl::Time end = absl::FromCivil(absl::CivilSecond(10000), absl::UTCTimeZone());
  const absl::Time given = absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
  const absl::Time shown = std::clamp(given, first, end - absl::Microseconds(1));
  return absl::FormatTime("%E4Y-%m-%dT%H:%M:%E6SZ", shown, absl::UTCTimeZone());
}

Json MessageJson(const Message& message) {
  if (IsTimestamp(*message.GetDescriptor())) {
    google::protobuf::Timestamp time;
    time.CopyFrom(message);
    return TimestampText(time);
  }
  return ToJson(message);
}

// The value of a singular field, or of element `index` of a repeated one where it is not negative.
Json ValueJson(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return repeated ? reflection.GetRepeatedInt32(message, &field, index)
                      : reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return repeated ? reflection.GetRepeatedInt64(message, &field, index)
                      : reflection.GetInt64(message, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return repeated ? reflection.GetRepeatedUInt32(message, &field, index)
                      : reflection.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return repeated ? reflection.GetRepeatedUInt64(message, &field, index)
                      : reflection.GetUInt64(message, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return repeated ? reflection.GetRepeatedDouble(message, &field, index)
                      : reflection.GetDouble(message, &field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return repeated ? reflection.GetRepeatedFloat(message, &field, index)
                      : reflection.GetFloat(message, &field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return repeated ? reflection.GetRepeatedBool(message, &field, index)
                      : reflection.GetBool(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return repeated ? reflection.GetRepeatedEnum(message, &field, index)->name()
                      : reflection.GetEnum(message, &field)->name();
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text = repeated ? reflection.GetRepeatedString(message, &field, index)
                                  : reflection.GetString(message, &field);
      if (field.type() == FieldDescriptor::TYPE_BYTES) return absl::Base64Escape(text);
      return text;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (repeated) return MessageJson(reflection.GetRepeatedMessage(message, &field, index));
      if (!reflection.HasField(message, &field)) return nullptr;
      return MessageJson(reflection.GetMessage(message, &field));
  }
  return nullptr;
}

Json MapJson(const Message& message, const FieldDescriptor& field) {
  const FieldDescriptor& key_field = *field.message_type()->map_key();
  const FieldDescriptor& value_field = *field.message_type()->map_value();
  // Sorted: the iteration order of a protobuf map changes from run to run.
  std::vector<std::pair<std::string, Json>> entries;
  const int size = message.GetReflection()->FieldSize(message, &field);
  for (int i = 0; i < size; ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    const Json key = ValueJson(entry, key_field, -1);
    entries.emplace_back(key.is_string() ? ReplaceInvalidUtf8(key.get<std::string>()) : key.dump(),
                         ValueJson(entry, value_field, -1));
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  Json map = Json::object();
  for (auto& [key, value] : entries) map[key] = std::move(value);
  return map;
}

}  // namespace

bool IsTimestamp(const Descriptor& message) {
  return message.full_name() == google::protobuf::Timestamp::descriptor()->full_name();
}

bool IsLeftOut(const FieldDescriptor& field) {
  for (const char* name : {"tokenwatch.v1.Use.token_id", "tokenwatch.v1.Use.credential_id",
                           "tokenwatch.v1.Token.credential_id"}) {
    if (field.full_name() == name) return true;
  }
  return false;
}

Json ToJson(const Message& message) {
  const Descriptor& descriptor = *message.GetDescriptor();
  Json json = Json::object();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (field.is_map()) {
      json[field.json_name()] = MapJson(message, field);
    } else if (field.is_repeated()) {
      Json list = Json::array();
      const int size = message.GetReflection()->FieldSize(message, &field);
      for (int k = 0; k < size; ++k) list.push_back(ValueJson(message, field, k));
      json[field.json_name()] = std::move(list);
    } else if (!IsLeftOut(field) || message.GetReflection()->HasField(message, &field)) {
      json[field.json_name()] = ValueJson(message, field, -1);
    }
  }
  return json;
}

std::string DumpJson(const Json& json, bool ascii) {
  return json.dump(-1, ' ', ascii, Json::error_handler_t::replace);
}

void MakeUtf8Valid(Message* message) {
  const Descriptor& descriptor = *message->GetDescriptor();
  const Reflection& reflection = *message->GetReflection();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor* field = descriptor.field(i);
    const bool text = field->type() == FieldDescriptor::TYPE_STRING;
    const bool nested = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    const int size = field->is_repeated() ? reflection.FieldSize(*message, field) : 0;
    std::string scratch;
    for (int k = 0; k < size; ++k) {
      if (nested) MakeUtf8Valid(reflection.MutableRepeatedMessage(message, field, k));
      if (!text) continue;
      const std::string& value =
          reflection.GetRepeatedStringReference(*message, field, k, &scratch);
      if (!IsValidUtf8(value))
        reflection.SetRepeatedString(message, field, k, ReplaceInvalidUtf8(value));
    }
    if (field->is_repeated()) continue;
    if (nested && reflection.HasField(*message, field)) {
      MakeUtf8Valid(reflection.MutableMessage(message, field));
    } else if (text) {
      const std::string& value = reflection.GetStringReference(*message, field, &scratch);
      if (!IsValidUtf8(value)) reflection.SetString(message, field, ReplaceInvalidUtf8(value));
    }
  }
}

}  // namespace tokenwatch
