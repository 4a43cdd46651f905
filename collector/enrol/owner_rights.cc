#include "collector/enrol/owner_rights.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {

absl::StatusOr<std::unique_ptr<OwnerRights>> OwnerRights::TakeOn(const std::string& directory) {
  std::unique_ptr<OwnerRights> rights(new OwnerRights());
  struct stat info;
  if (geteuid() != 0 || stat(directory.c_str(), &info) != 0 || info.st_uid == 0) return rights;
  rights->user_ = info.st_uid;
  rights->group_ = info.st_gid;
  rights->own_group_ = getegid();
  rights->own_groups_.resize(static_cast<size_t>(std::max(getgroups(0, nullptr), 0)));
  const int size = static_cast<int>(rights->own_groups_.size());
  rights->other_ = true;
  if (getgroups(size, rights->own_groups_.data()) == size && rights->TryTake()) return rights;
  return absl::InternalError(absl::StrCat("cannot act as the owner of ", directory, ": ",
                                          std::strerror(errno), "; run this command as that user"));
}

OwnerRights::~OwnerRights() { PutDown(); }

bool OwnerRights::TryTake() {
  return setgroups(1, &group_) == 0 && setegid(group_) == 0 && seteuid(user_) == 0;
}

// Going on with other rights than those that are meant would be worse than to end.
void OwnerRights::Take() {
  if (other_ && !TryTake()) std::abort();
}

void OwnerRights::PutDown() {
  if (!other_) return;
  if (seteuid(0) != 0 || setegid(own_group_) != 0 ||
      setgroups(own_groups_.size(), own_groups_.data()) != 0) {
    std::abort();
  }
}

}  // namespace tokenwatch
