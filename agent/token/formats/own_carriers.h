// The carriers that rows of formats name: how they are written, and those that the table of
// carriers does not have.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_OWN_CARRIERS_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_OWN_CARRIERS_H_

#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"

namespace tokenwatch {

// Carriers are written as uses show them: header/NAME, query/NAME, authorization,
// authorization/SCHEME, cookie/NAME, body, body/NAME, userinfo or path, in lower case.
// InvalidArgument says what is wrong, also of a field or parameter that is never searched.
absl::Status CheckCarrier(std::string_view carrier);

// Header fields and query parameters of the user's own. Names compare without case.
class OwnCarriers {
 public:
  // The carrier has passed CheckCarrier. Adds nothing where the agent looks there anyway.
  void Add(std::string_view carrier);

  // The carrier, valid as long as this object, or empty.
  std::string_view Field(std::string_view name) const { return Find(fields_, name); }
  std::string_view Parameter(std::string_view name) const { return Find(parameters_, name); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using ByName = std::unordered_map<std::string, std::string, Hash, std::equal_to<>>;

  static std::string_view Find(const ByName& names, std::string_view name);

  ByName fields_, parameters_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_OWN_CARRIERS_H_
