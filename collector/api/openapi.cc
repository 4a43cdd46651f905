#include "collector/api/openapi.h"

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "agent/common/prometheus_text.h"
#include "agent/common/version.h"
#include "collector/api/routes.h"

namespace tokenwatch {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

Json Reference(const std::string& name) { return {{"$ref", "#/components/schemas/" + name}}; }

Json ScalarSchema(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return {{"type", "integer"}, {"format", "int32"}};
    case FieldDescriptor::CPPTYPE_INT64:
      return {{"type", "integer"}, {"format", "int64"}};
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return {{"type", "integer"}, {"minimum", 0}};
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return {{"type", "number"}};
    case FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::CPPTYPE_ENUM:
    case FieldDescriptor::CPPTYPE_STRING:
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return {{"type", "string"}};
}

// Of an element of a list, of a map's value, or of a message's field.
Json ValueSchema(const FieldDescriptor& field, bool may_be_null) {
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return ScalarSchema(field);
  if (IsTimestamp(*field.message_type())) {
    Json schema = {{"type", "string"}, {"format", "date-time"}};
    if (may_be_null) schema["type"] = Json::array({"string", "null"});
    return schema;
  }
  Json reference = Reference(field.message_type()->name());
  if (!may_be_null) return reference;
  return {{"anyOf", Json::array({reference, {{"type", "null"}}})}};
}

Json FieldSchema(const FieldDescriptor& field) {
  if (field.is_map()) {
    return {{"type", "object"},
            {"additionalProperties", ValueSchema(*field.message_type()->map_value(), false)}};
  }
  if (field.is_repeated()) return {{"type", "array"}, {"items", ValueSchema(field, false)}};
  return ValueSchema(field, true);
}

// Adds the schema of `message` and of all that it holds.
void AddSchema(const Descriptor& message, Json* schemas) {
  if (IsTimestamp(message) || schemas->contains(message.name())) return;
  (*schemas)[message.name()] = nullptr;  // a place in the order, and an end to recursion
  Json properties = Json::object();
  Json required = Json::array();
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    properties[field.json_name()] = FieldSchema(field);
    if (!IsLeftOut(field)) required.push_back(field.json_name());
    const FieldDescriptor& value = field.is_map() ? *field.message_type()->map_value() : field;
    if (value.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      AddSchema(*value.message_type(), schemas);
    }
  }
  (*schemas)[message.name()] = {
      {"type", "object"}, {"properties", properties}, {"required", required}};
}

Json ParameterJson(const std::string& name, const std::string& help, const Json& schema) {
  return {{"name", name},
          {"in", "query"},
          {"required", false},
          {"description", help},
          {"schema", schema}};
}

Json ParametersJson(const Route& route) {
  Json list = Json::array();
  if (route.path.find("{id}") != std::string::npos) {
    list.push_back({{"name", "id"},
                    {"in", "path"},
                    {"required", true},
                    {"description", route.id_help},
                    {"schema", {{"type", "string"}}}});
  }
  if (route.ocsf != nullptr) {
    list.push_back(ParameterJson(kFormat, kFormatHelp,
                                 {{"type", "string"}, {"enum", Json::array({"json", "ocsf"})}}));
  }
  for (const Parameter& parameter : route.parameters) {
    const FieldDescriptor& field = *v1::ListRequest::descriptor()->FindFieldByName(parameter.field);
    list.push_back(ParameterJson(field.json_name(), parameter.help, ScalarSchema(field)));
    if (field.json_name() == "limit") {
      list.push_back(ParameterJson(kPageSize, "Another name of limit.", ScalarSchema(field)));
    }
  }
  return list;
}

Json Operation(const std::string& id, const std::string& summary, const Json& parameters,
               const std::string& content_type, const Json& schema) {
  return {
      {"get",
       {{"operationId", id},
        {"summary", summary},
        {"parameters", parameters},
        {"responses",
         {{"200",
           {{"description", "The answer."}, {"content", {{content_type, {{"schema", schema}}}}}}},
          {"default", {{"$ref", "#/components/responses/Error"}}}}}}}};
}

}  // namespace

Json OpenApi() {
  const std::string json = "application/json";
  Json paths = Json::object();
  Json schemas = Json::object();
  for (const Route& route : Routes()) {
    std::string id = route.operation;
    id[0] = static_cast<char>(id[0] - 'A' + 'a');
    paths[route.path] =
        Operation(id, route.summary, ParametersJson(route), json, Reference(route.answer->name()));
    if (route.ocsf != nullptr) {
      paths[route.path]["get"]["responses"]["200"]["content"]["application/x-ndjson"] = {
          {"schema", {{"type", "string"}}}};
    }
    AddSchema(*route.answer, &schemas);
  }
  const Json none = Json::array();
  paths["/healthz"] =
      Operation("health", "Answers while the process runs.", none, json, Reference("Health"));
  paths["/readyz"] = Operation("ready", "Answers while uses can be taken in and asked for.", none,
                               json, Reference("Health"));
  paths["/metrics"] = Operation("metrics", "Counters for Prometheus.", none,
                                PrometheusText::kContentType, {{"type", "string"}});
  paths["/openapi.json"] =
      Operation("openApi", "This description.", none, json, {{"type", "object"}});
  schemas["Health"] = {{"type", "object"},
                       {"properties", {{"status", {{"type", "string"}}}}},
                       {"required", Json::array({"status"})}};
  schemas["Error"] = {
      {"type", "object"},
      {"properties", {{"code", {{"type", "string"}}}, {"message", {{"type", "string"}}}}},
      {"required", Json::array({"code", "message"})}};
  const Json error = {
      {"description", "What went wrong: a gRPC status name in lower case, and a sentence."},
      {"content", {{json, {{"schema", Reference("Error")}}}}}};
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "tokenwatch collector"},
            {"version", Version()},
            {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
          {"servers", Json::array({{{"url", "/"}}})},
          // The empty one: loopback and Unix sockets without TLS ask for nothing.
          {"security", Json::array({{{"bearer", Json::array()}}, Json::object()})},
          {"paths", paths},
          {"components",
           {{"schemas", schemas},
            {"responses", {{"Error", error}}},
            {"securitySchemes", {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace tokenwatch
