// A RequestHead that owns its bytes.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_REQUEST_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_REQUEST_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/common/text.h"
#include "agent/http/exchange.h"

namespace tokenwatch {

struct Request {
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> fields;
  RequestHead head;  // all but method, target and fields

  // Valid until this object changes.
  const RequestHead& Head() {
    views_.clear();
    for (const auto& [name, value] : fields) views_.push_back({name, value});
    head.method = method;
    head.target = target;
    head.fields = views_;
    return head;
  }

  // "Name: value", or a target.
  static Request FromSample(std::string_view line) {
    Request request;
    if (line.starts_with("/") || line.starts_with("http")) {
      request.target = line;
    } else {
      const size_t colon = line.find(':');
      request.fields.emplace_back(line.substr(0, colon), TrimBlanks(line.substr(colon + 1)));
    }
    return request;
  }

 private:
  std::vector<HeaderField> views_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_REQUEST_H_
