// The names by which people know a workload.
#ifndef TOKENWATCH_COLLECTOR_STORE_WORKLOAD_NAMES_H_
#define TOKENWATCH_COLLECTOR_STORE_WORKLOAD_NAMES_H_

#include <string_view>

#include "absl/strings/str_cat.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

inline std::string_view LastPartOfPath(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// Whether `matches` takes one of them: comm, exe, script, unit, container id or name, image, pod,
// namespace, "namespace/pod", service account, user, and the last part of an executable's, script's
// or image's path. Names may be empty.
template <typename Matches>
bool AnyWorkloadName(const v1::Workload& who, Matches matches) {
  for (const std::string* name :
       {&who.comm(), &who.exe(), &who.script(), &who.unit(), &who.container_id(),
        &who.container_name(), &who.image(), &who.pod(), &who.namespace_(), &who.service_account(),
        &who.user()}) {
    if (matches(std::string_view(*name))) return true;
  }
  for (const std::string* path : {&who.exe(), &who.script(), &who.image()}) {
    if (matches(LastPartOfPath(*path))) return true;
  }
  return !who.pod().empty() && matches(absl::StrCat(who.namespace_(), "/", who.pod()));
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_WORKLOAD_NAMES_H_
