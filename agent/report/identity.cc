#include "agent/report/identity.h"

#include <openssl/crypto.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr char kFolder[] = "/identity";
constexpr char kKeyFile[] = "agent.key";
constexpr char kCertificateFile[] = "/agent.pem";

absl::StatusOr<SecretBuffer> Read(const std::string& path, FileSystem* file_system) {
  auto file = file_system->Open(path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::string> bytes = (*file)->ReadAt(0, kCertificateBytesMax);
  if (!bytes.ok()) return bytes.status();
  SecretBuffer kept(*bytes);
  OPENSSL_cleanse(bytes->data(), bytes->size());
  return kept;
}

absl::Status Write(const std::string& directory, const std::string& path, std::string_view bytes,
                   FileSystem* file_system) {
  const std::string unfinished = path + ".new";
  // What a killed process left may be longer.
  if (absl::Status status = file_system->Remove(unfinished);
      !status.ok() && !absl::IsNotFound(status)) {
    return status;
  }
  auto file = file_system->Open(unfinished, OpenMode::kCreate);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->WriteAt(0, bytes);
  if (status.ok()) status = (*file)->Sync();
  if (status.ok()) status = file_system->Rename(unfinished, path);
  if (status.ok()) status = file_system->SyncDirectory(directory);
  return status;
}

absl::Status Unusable(const std::string& path, const absl::Status& status, const char* advice) {
  return {status.code(), absl::StrCat("the agent's key cannot be kept in ", path, ": ",
                                      status.message(), "; ", advice)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Identity>> Identity::Open(const std::string& spool_directory,
                                                         const std::string& agent_id,
                                                         FileSystem* file_system) {
  constexpr char kWritable[] = "make the spool directory writable";
  const std::string path = spool_directory + kFolder;
  if (absl::Status status = file_system->MakePrivateDirectory(path, kKeyFile); !status.ok()) {
    return Unusable(path, status, kWritable);
  }
  const std::string key_path = absl::StrCat(path, "/", kKeyFile);
  absl::StatusOr<PrivateKey> key = absl::NotFoundError("");
  if (const auto pem = Read(key_path, file_system); pem.ok()) {
    key = PrivateKey::FromPem(pem->view());
    if (!key.ok()) {
      return Unusable(path, key.status(),
                      "remove that folder, so that the agent enrols with another key");
    }
  } else if (!absl::IsNotFound(pem.status())) {
    return Unusable(path, pem.status(), kWritable);
  } else {
    key = PrivateKey::Generate();
    if (!key.ok()) return key.status();
    // Kept before anybody sees it: enrolling again after a kill is then the same agent's.
    if (absl::Status status = Write(path, key_path, key->ToPem().view(), file_system);
        !status.ok()) {
      return Unusable(path, status, kWritable);
    }
  }
  auto identity =
      std::unique_ptr<Identity>(new Identity(path, agent_id, *std::move(key), file_system));
  if (const auto pem = Read(path + kCertificateFile, file_system); pem.ok()) {
    const auto chain = Certificate::ChainFromPem(pem->view());
    if (chain.ok() && chain->size() == 2 && identity->CheckOurs(chain->front()).ok()) {
      identity->certificate_ = chain->front();
      identity->ca_ = chain->back();
    }
  }
  return identity;
}

bool Identity::IsEnrolled(const std::string& spool_directory, FileSystem* file_system) {
  return file_system
      ->Open(absl::StrCat(spool_directory, kFolder, kCertificateFile), OpenMode::kRead)
      .ok();
}

absl::Status Identity::CheckOurs(const Certificate& certificate) const {
  if (certificate.CommonName() != agent_id_ || certificate.KeySha256() != KeySha256(key_.get())) {
    return absl::InvalidArgumentError("the certificate is for another agent, or another key");
  }
  return absl::OkStatus();
}

absl::Status Identity::Keep(const Certificate& certificate, const Certificate& ca) {
  if (absl::Status status = CheckOurs(certificate); !status.ok()) return status;
  if (absl::Status status =
          Write(path_, path_ + kCertificateFile, certificate.ToPem() + ca.ToPem(), file_system_);
      !status.ok()) {
    return Unusable(path_, status, "make the spool directory writable");
  }
  certificate_ = certificate;
  ca_ = ca;
  return absl::OkStatus();
}

}  // namespace tokenwatch
