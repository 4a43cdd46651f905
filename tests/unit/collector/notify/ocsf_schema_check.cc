#include "tests/unit/collector/notify/ocsf_schema_check.h"

#include <arpa/inet.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tokenwatch {
namespace {

struct Attribute {
  std::string type;  // or the name of an object
  bool is_object = false, is_list = false, is_required = false;
  std::string profile;
  std::set<std::string> values;
};

struct Facts {
  std::map<std::string, Attribute> attributes;
  std::set<std::string> at_least_one;
};

using Schema = std::map<std::string, Facts>;  // "class NAME" or "object NAME"

std::set<std::string> Listed(const std::string& text) {
  return absl::StrSplit(text, ',', absl::SkipEmpty());
}

Schema ReadSchema() {
  Schema schema;
  Facts* facts = nullptr;
  std::ifstream file(OCSF_FACTS);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string first, word;
    words >> first;
    if (first.empty() || first == "#" || line.starts_with("#")) continue;
    if (!line.starts_with("  ")) {
      words >> word;
      facts = &schema[absl::StrCat(first, " ", word)];
      while (words >> word) {
        if (word.starts_with("at_least_one=")) facts->at_least_one = Listed(word.substr(13));
      }
      continue;
    }
    Attribute& attribute = facts->attributes[first];
    words >> attribute.type;
    attribute.is_list = attribute.type.ends_with("[]");
    if (attribute.is_list) attribute.type.resize(attribute.type.size() - 2);
    attribute.is_object = attribute.type.starts_with("@");
    if (attribute.is_object) attribute.type.erase(0, 1);
    while (words >> word) {
      if (word == "!") attribute.is_required = true;
      if (word.starts_with("+")) attribute.profile = word.substr(1);
      if (word.starts_with("=")) attribute.values = Listed(word.substr(1));
    }
  }
  return schema;
}

bool IsAddress(const std::string& text) {
  in6_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool HasType(const Json& value, const std::string& type) {
  if (type == "json_t") return true;
  if (type == "boolean_t") return value.is_boolean();
  if (type == "float_t") return value.is_number();
  if (type == "long_t" || type == "timestamp_t") return value.is_number_integer();
  if (type == "integer_t" || type == "port_t") {
    const int64_t most = type == "port_t" ? 65535 : INT32_MAX;
    return value.is_number_integer() && value.get<int64_t>() <= most &&
           value.get<int64_t>() >= (type == "port_t" ? 0 : INT32_MIN);
  }
  if (!value.is_string()) return false;
  const std::string text = value;
  if (type == "ip_t") return IsAddress(text);
  if (type == "email_t") return text.find('@') != std::string::npos;
  return true;
}

class Check {
 public:
  Check() : schema_(ReadSchema()) {}

  std::vector<std::string> Of(const Json& event) {
    static const std::map<int, std::string> kClasses = {
        {0, "base_event"}, {2004, "detection_finding"}, {6003, "api_activity"}};
    const auto name = kClasses.find(event.value("class_uid", -1));
    if (name == kClasses.end()) return {"of no class that we write"};
    if (event.contains(Json::json_pointer("/metadata/profiles"))) {
      for (const Json& profile : event["metadata"]["profiles"]) profiles_.insert(profile);
    }
    Object(event, "class " + name->second, "");
    return problems_;
  }

 private:
  void Object(const Json& object, const std::string& name, const std::string& path) {
    const auto facts = schema_.find(name);
    if (facts == schema_.end()) return Tell(path, "leads to an object that is not known: " + name);
    // What is only ours.
    if (name == "object object") return;
    for (const auto& [key, value] : object.items()) {
      const std::string at = path + "/" + key;
      const auto found = facts->second.attributes.find(key);
      if (found == facts->second.attributes.end()) {
        Tell(at, "is no attribute of " + name);
      } else {
        Value(value, found->second, at);
      }
    }
    for (const auto& [key, attribute] : facts->second.attributes) {
      const bool applies = attribute.profile.empty() || profiles_.contains(attribute.profile);
      if (attribute.is_required && applies && !object.contains(key)) {
        Tell(path + "/" + key, "is required");
      }
    }
    bool any = facts->second.at_least_one.empty();
    for (const std::string& key : facts->second.at_least_one) any = any || object.contains(key);
    if (!any) Tell(path, "has none of those of which " + name + " needs one");
  }

  void Value(const Json& value, const Attribute& attribute, const std::string& path) {
    if (!attribute.profile.empty() && !profiles_.contains(attribute.profile)) {
      Tell(path, "needs the profile " + attribute.profile);
    }
    if (!attribute.is_list) return One(value, attribute, path);
    if (!value.is_array() || value.empty()) return Tell(path, "is no list, or an empty one");
    for (size_t i = 0; i < value.size(); ++i) One(value[i], attribute, absl::StrCat(path, "/", i));
  }

  void One(const Json& value, const Attribute& attribute, const std::string& path) {
    if (attribute.is_object) {
      if (!value.is_object()) return Tell(path, "is no object");
      return Object(value, "object " + attribute.type, path);
    }
    if (!HasType(value, attribute.type)) Tell(path, "is no " + attribute.type);
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (!attribute.values.empty() && !attribute.values.contains(text)) {
      Tell(path, "has a value that is none of its own: " + text);
    }
  }

  void Tell(const std::string& path, const std::string& what) {
    problems_.push_back(absl::StrCat(path, " ", what));
  }

  const Schema schema_;
  std::set<std::string> profiles_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> OcsfProblems(const Json& event) { return Check().Of(event); }

}  // namespace tokenwatch
