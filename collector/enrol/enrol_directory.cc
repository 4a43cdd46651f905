#include "collector/enrol/enrol_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "absl/strings/str_cat.h"
#include "agent/common/secret_file.h"

namespace tokenwatch {
namespace {

constexpr const char* kOwnNames[] = {"localhost", "127.0.0.1", "::1"};

// With the owner of the folder it is in.
absl::Status MakeDirectory(const std::string& path, const std::string& parent) {
  struct stat above;
  if (mkdir(path.c_str(), 0700) != 0) {
    if (errno == EEXIST) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  }
  if (!parent.empty() && geteuid() == 0 && stat(parent.c_str(), &above) == 0 &&
      chown(path.c_str(), above.st_uid, above.st_gid) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot change the owner of ", path));
  }
  return absl::OkStatus();
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status Unreadable(const std::string& path, const absl::Status& status) {
  return {status.code(),
          absl::StrCat(path, " cannot be used: ", status.message(), "; restore it from a backup")};
}

}  // namespace

bool EnrolDirectory::IsMade() const {
  return Exists(path_ + "/ca.key") && Exists(path_ + "/ca.pem") && Exists(ServerFile());
}

absl::StatusOr<bool> EnrolDirectory::Make(absl::Time now) {
  const std::string data_dir = path_.substr(0, path_.rfind('/'));
  if (absl::Status status = MakeDirectory(data_dir, ""); !status.ok()) return status;
  if (absl::Status status = MakeDirectory(path_, data_dir); !status.ok()) return status;
  const bool has_key = Exists(path_ + "/ca.key"), has_certificate = Exists(path_ + "/ca.pem");
  if (has_certificate && !has_key) {
    return absl::FailedPreconditionError(absl::StrCat(
        path_, "/ca.key is missing beside ca.pem: restore it from a backup, or remove ", path_,
        " to begin anew, after which every agent has to enrol again"));
  }
  if (has_key && has_certificate) return false;
  // The key is of use only with its certificate, so a run that was cut short between the two begins
  // anew: nobody has seen the certificate yet.
  const absl::StatusOr<CertificateAuthority> authority = CertificateAuthority::Make(now);
  if (!authority.ok()) return authority.status();
  absl::Status status = ReplaceFile(path_ + "/ca.key", authority->KeyPem().view());
  if (status.ok()) status = WriteNewFile(path_ + "/ca.pem", authority->certificate().ToPem());
  if (!status.ok()) return status;
  return true;
}

absl::StatusOr<CertificateAuthority> EnrolDirectory::LoadAuthority() const {
  const auto key = ReadSecretFile(path_ + "/ca.key", "the certificate authority's key");
  const auto certificate = ReadSecretFile(path_ + "/ca.pem", "the certificate authority");
  for (const absl::Status& status : {key.status(), certificate.status()}) {
    if (absl::IsNotFound(status)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "there are no certificates in ", path_, ": run \"tokenwatch-collector init\" first"));
    }
    if (!status.ok()) return status;
  }
  absl::StatusOr<CertificateAuthority> authority =
      CertificateAuthority::Load(key->view(), certificate->view());
  if (!authority.ok()) return Unreadable(path_ + "/ca.key", authority.status());
  return authority;
}

absl::StatusOr<Certificate> EnrolDirectory::LoadServer() const {
  const auto pem = ReadSecretFile(ServerFile(), "the server's certificate");
  if (!pem.ok()) return pem.status();
  absl::StatusOr<Certificate> certificate = Certificate::FromPem(pem->view());
  if (!certificate.ok()) return Unreadable(ServerFile(), certificate.status());
  return certificate;
}

absl::StatusOr<bool> EnrolDirectory::KeepServer(const CertificateAuthority& authority,
                                                absl::Span<const std::string> names,
                                                absl::Time now) {
  std::set<std::string> wanted(names.begin(), names.end());
  absl::StatusOr<PrivateKey> key = absl::NotFoundError("");
  if (const auto pem = ReadSecretFile(ServerFile(), "the server's key"); pem.ok()) {
    key = PrivateKey::FromPem(pem->view());
    if (!key.ok()) return Unreadable(ServerFile(), key.status());
    const absl::StatusOr<Certificate> current = Certificate::FromPem(pem->view());
    if (!current.ok()) return Unreadable(ServerFile(), current.status());
    const std::vector<std::string> known = current->Names();
    wanted.insert(known.begin(), known.end());
    for (const char* own : kOwnNames) wanted.insert(own);
    const bool young = now < current->NotAfter() - kServerLifetime / 3;
    if (young && wanted == std::set<std::string>(known.begin(), known.end())) return false;
  } else if (!absl::IsNotFound(pem.status())) {
    return pem.status();
  } else {
    key = PrivateKey::Generate();
    if (!key.ok()) return key.status();
  }
  for (const char* own : kOwnNames) wanted.insert(own);
  const absl::StatusOr<Certificate> certificate = authority.IssueServer(
      key->get(), std::vector<std::string>(wanted.begin(), wanted.end()), now, kServerLifetime);
  if (!certificate.ok()) return certificate.status();
  SecretBuffer pem = key->ToPem();
  pem.Append(certificate->ToPem());
  pem.Append(authority.certificate().ToPem());
  if (absl::Status status = ReplaceFile(ServerFile(), pem.view()); !status.ok()) return status;
  return true;
}

}  // namespace tokenwatch
