#include "agent/containers/pod_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "agent/capture/pod_names.h"
#include "agent/capture/unique_fd.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

constexpr size_t kClaimsMax = 8192;  // bytes; those of a pod are about 700
constexpr size_t kVolumesMax = 64;
constexpr size_t kPodsMax = 65536;

// The part of a path that is below `directory` stays below it, whatever its links say. openat2(2)
// is of Linux 5.6.
UniqueFd OpenBelow(int directory, const std::string& path, uint64_t flags, uint64_t resolve) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  int64_t fd = -1;
  // EAGAIN: something was renamed meanwhile, as the kubelet does when it renews a token.
  for (int tries = 0; tries < 8; ++tries) {
    fd = syscall(SYS_openat2, directory, path.c_str(), &how, sizeof(how));
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return UniqueFd(static_cast<int>(fd));
}

template <typename Visit>
void ForEntries(UniqueFd directory, size_t bound, Visit visit) {
  DIR* entries = fdopendir(dup(directory.get()));
  if (entries == nullptr) return;
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_name[0] == '.') continue;
    if (bound-- == 0 || !visit(std::string_view(entry->d_name))) break;
  }
  closedir(entries);
}

// The string at `path` of an object; empty where there is none.
std::string StringAt(const nlohmann::json& object, std::initializer_list<const char*> path) {
  const nlohmann::json* at = &object;
  for (const char* name : path) {
    if (!at->is_object()) return {};
    const auto found = at->find(name);
    if (found == at->end()) return {};
    at = &*found;
  }
  return at->is_string() ? at->get<std::string>() : std::string();
}

}  // namespace

std::optional<PodName> FindPodName(const std::string& pods_dir, std::string_view uid) {
  std::optional<PodName> found;
  ForEntries(UniqueFd(open(pods_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), kPodsMax,
             [&](std::string_view name) {
               if (!name.ends_with(uid)) return true;
               const std::optional<PodDirectory> pod = ParsePodDirectory(name);
               if (!pod.has_value() || pod->uid != uid) return true;
               found = PodName{std::string(pod->pod), std::string(pod->name_space)};
               return false;
             });
  return found;
}

std::string FindServiceAccount(const std::string& root, const std::string& kubelet_dir,
                               std::string_view uid) {
  const UniqueFd top(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top.valid()) return {};
  const std::string volumes =
      absl::StrCat(kubelet_dir, "/pods/", std::string(uid), "/volumes/kubernetes.io~projected");
  UniqueFd directory = OpenBelow(top.get(), volumes, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT);
  if (!directory.valid()) return {};
  const int at = directory.get();
  std::string account;
  const auto look = [&](std::string_view volume) {
    // A container cannot write here; a file that would block is still none of ours.
    const UniqueFd token = OpenBelow(at, absl::StrCat(std::string(volume), "/token"),
                                     O_RDONLY | O_NONBLOCK, RESOLVE_BENEATH);
    struct stat info;
    if (!token.valid() || fstat(token.get(), &info) != 0 || !S_ISREG(info.st_mode)) return true;
    account = ServiceAccountOfClaims(ReadJwtClaims(token.get()).view(), uid);
    return account.empty();
  };
  ForEntries(std::move(directory), kVolumesMax, look);
  return account;
}

SecretBuffer ReadJwtClaims(int file) {
  SecretBuffer claims;
  claims.Reserve(kClaimsMax);
  int dots = 0;
  char c = 0;
  for (size_t size = 0; size < kClaimsMax; ++size) {
    ssize_t got = 0;
    do {
      got = read(file, &c, 1);
    } while (got < 0 && errno == EINTR);
    if (got != 1) break;
    if (c == '.') {
      if (++dots == 2) break;
    } else if (dots == 1) {
      claims.Append(c);
    }
  }
  OPENSSL_cleanse(&c, 1);
  if (dots != 2) claims.Clear();
  return claims;
}

std::string ServiceAccountOfClaims(std::string_view claims, std::string_view uid) {
  const std::optional<SecretBuffer> text = DecodeBase64(claims);
  if (!text.has_value()) return {};
  const nlohmann::json json =
      nlohmann::json::parse(text->view(), nullptr, /*allow_exceptions=*/false);
  if (StringAt(json, {"kubernetes.io", "pod", "uid"}) != uid) return {};
  return StringAt(json, {"kubernetes.io", "serviceaccount", "name"});
}

}  // namespace tokenwatch
