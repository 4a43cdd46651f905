// The agent's key, and the certificates by which it and the collector know each other.
#ifndef TOKENWATCH_AGENT_REPORT_IDENTITY_H_
#define TOKENWATCH_AGENT_REPORT_IDENTITY_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/common/certificate.h"
#include "agent/report/file_system.h"

namespace tokenwatch {

// SPOOL-DIR/identity, mode 0700: `agent.key`, made once, before it is shown to anybody;
// `agent.pem`, the agent's certificate and the collector's CA, which are replaced together. Each
// file is whole or not there, whenever the process ends. Not thread safe.
class Identity {
 public:
  // Makes the key where it is missing. An `agent.pem` that cannot be read, or is for another id or
  // key, counts as missing: enrolment makes it anew. Errors are sentences.
  static absl::StatusOr<std::unique_ptr<Identity>> Open(const std::string& spool_directory,
                                                        const std::string& agent_id,
                                                        FileSystem* file_system);

  // Whether `spool_directory` holds an agent's certificate; nothing is made.
  static bool IsEnrolled(const std::string& spool_directory, FileSystem* file_system);

  const std::string& agent_id() const { return agent_id_; }
  const PrivateKey& key() const { return key_; }
  // Both or neither.
  const std::optional<Certificate>& certificate() const { return certificate_; }
  const std::optional<Certificate>& ca() const { return ca_; }

  // Durable when it returns. InvalidArgument where they are not for this id and key.
  absl::Status Keep(const Certificate& certificate, const Certificate& ca);

 private:
  Identity(std::string path, std::string agent_id, PrivateKey key, FileSystem* file_system)
      : path_(std::move(path)),
        agent_id_(std::move(agent_id)),
        key_(std::move(key)),
        file_system_(file_system) {}
  absl::Status CheckOurs(const Certificate& certificate) const;

  const std::string path_;
  const std::string agent_id_;
  const PrivateKey key_;
  FileSystem* const file_system_;
  std::optional<Certificate> certificate_, ca_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_IDENTITY_H_
