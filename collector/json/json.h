// Answers as JSON: one function for every message, so that HTTP and gRPC cannot differ.
#ifndef TOKENWATCH_COLLECTOR_JSON_JSON_H_
#define TOKENWATCH_COLLECTOR_JSON_JSON_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

namespace tokenwatch {

// Keys in the order of the .proto file.
using Json = nlohmann::ordered_json;

// lowerCamelCase names, defaults printed, 64-bit integers as numbers, timestamps as RFC 3339 UTC
// with microseconds, messages that are not set as null. Left out is only what IsLeftOut says.
Json ToJson(const google::protobuf::Message& message);

// Whether ToJson leaves the field out where it is empty: a use's token id, which then is
// unresolved, and the credential of what stands for itself only.
bool IsLeftOut(const google::protobuf::FieldDescriptor& field);

bool IsTimestamp(const google::protobuf::Descriptor& message);

// One line; bytes that are no UTF-8 are replaced. With `ascii`, all else is \u-escaped, so that a
// terminal can show it.
std::string DumpJson(const Json& json, bool ascii = false);

// Replaces what is no UTF-8 in every string of `message`: protobuf's parsers refuse it.
void MakeUtf8Valid(google::protobuf::Message* message);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_JSON_JSON_H_
