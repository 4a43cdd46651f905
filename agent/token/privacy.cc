#include "agent/token/privacy.h"

#include <cstddef>
#include <initializer_list>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

template <typename T>
using Words = std::initializer_list<std::pair<const char*, T>>;

template <typename T>
absl::Status Read(const char* setting, const std::string& text, const Words<T>& words, T* value) {
  if (text.empty()) return absl::OkStatus();
  std::string known;
  for (const auto& [word, meaning] : words) {
    if (text == word) {
      *value = meaning;
      return absl::OkStatus();
    }
    absl::StrAppend(&known, known.empty() ? "" : ", ", word);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(setting, " is \"", text, "\" and must be one of ", known));
}

}  // namespace

absl::StatusOr<Privacy> ReadPrivacy(const PrivacySettings& settings) {
  bool strict = false;
  absl::Status status =
      Read("privacy", settings.profile, {{"default", false}, {"strict", true}}, &strict);
  Privacy privacy;
  if (strict) {
    privacy = {.basic_user = Privacy::BasicUser::kNone,
               .user_agent = Privacy::UserAgent::kProduct,
               .paths = Privacy::Paths::kTop,
               .claims = Privacy::Claims::kMachines,
               .query_names = false,
               .user_names = false};
  }
  using BasicUser = Privacy::BasicUser;
  using UserAgent = Privacy::UserAgent;
  using Paths = Privacy::Paths;
  using Claims = Privacy::Claims;
  status.Update(
      Read("keep-basic-user", settings.basic_user,
           {{"none", BasicUser::kNone}, {"hash", BasicUser::kHash}, {"clear", BasicUser::kClear}},
           &privacy.basic_user));
  status.Update(Read(
      "keep-user-agent", settings.user_agent,
      {{"none", UserAgent::kNone}, {"product", UserAgent::kProduct}, {"full", UserAgent::kFull}},
      &privacy.user_agent));
  status.Update(Read("keep-paths", settings.paths,
                     {{"none", Paths::kNone}, {"top", Paths::kTop}, {"template", Paths::kTemplate}},
                     &privacy.paths));
  status.Update(
      Read("keep-claims", settings.claims,
           {{"none", Claims::kNone}, {"machines", Claims::kMachines}, {"hashed", Claims::kHashed}},
           &privacy.claims));
  status.Update(Read("keep-query-names", settings.query_names, {{"none", false}, {"names", true}},
                     &privacy.query_names));
  status.Update(Read("keep-user-names", settings.user_names, {{"none", false}, {"names", true}},
                     &privacy.user_names));
  if (!status.ok()) return status;
  return privacy;
}

std::string_view KeptUserAgent(std::string_view user_agent, Privacy::UserAgent keep) {
  switch (keep) {
    case Privacy::UserAgent::kNone:
      return {};
    case Privacy::UserAgent::kProduct:
      return user_agent.substr(0, user_agent.find_first_of(" \t(;,"));
    case Privacy::UserAgent::kFull:
      break;
  }
  return user_agent;
}

std::string KeptPath(std::string path, Privacy::Paths keep) {
  if (keep == Privacy::Paths::kTemplate) return path;
  // "*" of OPTIONS and the empty path of CONNECT are no path.
  if (path.empty() || path.front() != '/') return path;
  if (keep == Privacy::Paths::kNone) return "/...";
  size_t end = 0;
  for (int segments = 0; segments < 3; ++segments) {
    if (end == std::string::npos) return path;
    end = path.find('/', end + (segments == 0 ? 0 : 1));
  }
  if (end == std::string::npos || end + 1 == path.size()) return path;
  path.resize(end);
  return path + "/...";
}

}  // namespace tokenwatch
