#include "agent/token/lives/life_bodies.h"

#include <utility>

#include "agent/common/text.h"
#include "agent/token/lives/body_text.h"

namespace tokenwatch {

std::optional<AskedBody> ReadAskedBody(const LifeCallRow& row, std::string_view coding,
                                       const Body& body) {
  std::optional<SecretBuffer> text = DecodeBody(coding, body.bytes);
  if (!text.has_value()) return std::nullopt;
  std::vector<BodyMember> members;
  for (const AskedField& field : row.asked) {
    if (!field.name.empty()) members.push_back({.outer = "", .name = field.name});
  }
  if (!row.needs.empty()) members.push_back({.outer = "", .name = row.needs});
  ReadBody(&*text, body.complete, absl::MakeSpan(members));
  AskedBody asked;
  asked.is_call = row.needs.empty() || !members.back().text.empty();
  for (size_t i = 0; i < row.asked.size() && !row.asked[i].name.empty(); ++i) {
    if (members[i].text.empty() || !asked.is_call) continue;
    asked.secrets.push_back({&row.asked[i], std::move(members[i].text)});
  }
  return asked;
}

std::optional<std::vector<GivenSecret>> ReadGivenBody(const LifeCallRow& row,
                                                      std::string_view coding, const Body& body) {
  std::optional<SecretBuffer> text = DecodeBody(coding, body.bytes);
  if (!text.has_value()) return std::nullopt;
  std::vector<GivenSecret> given;
  if (row.gives_text) {
    const std::string_view all = TrimBlanks(text->view());
    if (!all.empty()) given.push_back({GivenRole::kToken, SecretBuffer(all)});
    return given;
  }
  std::vector<BodyMember> members;
  for (const GivenField& field : row.given) {
    if (!field.name.empty()) members.push_back({.outer = field.outer, .name = field.name});
  }
  ReadBody(&*text, body.complete, absl::MakeSpan(members));
  for (size_t i = 0; i < members.size(); ++i) {
    if (!members[i].text.empty()) given.push_back({row.given[i].role, std::move(members[i].text)});
  }
  return given;
}

}  // namespace tokenwatch
