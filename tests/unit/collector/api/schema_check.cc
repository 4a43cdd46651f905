#include "tests/unit/collector/api/schema_check.h"

#include <regex>
#include <set>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

bool HasType(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  return type == "null" && value.is_null();
}

std::string ObjectError(const Json& open_api, const Json& schema, const Json& value,
                        const std::string& path) {
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return path + ": has no " + name.dump();
  }
  if (!schema.contains("properties") && !schema.contains("additionalProperties")) return "";
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, member] : value.items()) {
    const Json* of_member = nullptr;
    if (properties.contains(name)) {
      of_member = &properties.at(name);
    } else if (schema.contains("additionalProperties")) {
      of_member = &schema.at("additionalProperties");
    } else {
      return absl::StrCat(path, ": undescribed member ", name);
    }
    std::string error = SchemaError(open_api, *of_member, member, absl::StrCat(path, ".", name));
    if (!error.empty()) return error;
  }
  return "";
}

}  // namespace

std::string SchemaError(const Json& open_api, const Json& schema, const Json& value,
                        const std::string& path) {
  static const std::set<std::string> known = {
      "$ref",  "type", "format", "minimum", "properties", "required", "additionalProperties",
      "items", "anyOf"};
  for (const auto& [keyword, unused] : schema.items()) {
    if (!known.contains(keyword)) return absl::StrCat(path, ": unknown keyword ", keyword);
  }
  if (schema.contains("$ref")) {
    const Json::json_pointer pointer(schema.at("$ref").get<std::string>().substr(1));
    if (!open_api.contains(pointer)) return path + ": no schema " + schema.dump();
    return SchemaError(open_api, open_api.at(pointer), value, path);
  }
  if (schema.contains("anyOf")) {
    std::string error;
    for (const Json& option : schema.at("anyOf")) {
      error = SchemaError(open_api, option, value, path);
      if (error.empty()) return "";
    }
    return error;
  }
  const Json types =
      schema.at("type").is_array() ? schema.at("type") : Json::array({schema.at("type")});
  bool fits = false;
  for (const Json& type : types) fits = fits || HasType(value, type.get<std::string>());
  if (!fits) return path + ": is " + value.dump() + ", not " + types.dump();
  if (schema.contains("minimum") && value < schema.at("minimum")) return path + ": too small";
  static const std::regex date_time(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)");
  if (schema.value("format", "") == "date-time" && value.is_string() &&
      !std::regex_match(value.get<std::string>(), date_time)) {
    return path + ": " + value.dump() + " is no time";
  }
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      std::string error =
          SchemaError(open_api, schema.at("items"), value[i], absl::StrCat(path, "[", i, "]"));
      if (!error.empty()) return error;
    }
  }
  return value.is_object() ? ObjectError(open_api, schema, value, path) : "";
}

}  // namespace tokenwatch
