#include "collector/enrol/gatekeeper.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/common/log.h"
#include "agent/common/token_id.h"

namespace tokenwatch {
namespace {

constexpr size_t kSecretBytes = 16;
// Between two certificates of an agent that renews, at most; a twentieth of a short life. An agent
// that lost the answer asks again for a third of a certificate's life.
constexpr absl::Duration kRenewalPause = absl::Minutes(10);
constexpr size_t kHostMax = 253;
constexpr size_t kCredentialMax = 256;
// More addresses than this in a minute share one allowance.
constexpr size_t kAddressesMax = 1024;
constexpr char kOtherAddresses[] = "others";
constexpr char kEnrolAgain[] =
    "enrol it again with --enrol-secret-file and a secret of \"tokenwatch-collector "
    "enrol-secret\"";

std::string Sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

// In a time that does not tell where they differ.
bool Same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool IsAgentId(const std::string& text) {
  std::array<uint8_t, 16> number;
  return ParseCrockfordText("agt_", text, absl::MakeSpan(number)) &&
         CrockfordText("agt_", number) == text;
}

std::string Revoked(const std::string& agent) {
  return absl::StrCat("the agent ", agent,
                      " was revoked; if it may report again, run \"tokenwatch-collector agents "
                      "forget ",
                      agent, "\" on the collector and enrol it anew");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Gatekeeper>> Gatekeeper::Open(const std::string& data_dir,
                                                             const Options& options,
                                                             const Clock* clock) {
  EnrolDirectory directory(data_dir);
  absl::StatusOr<CertificateAuthority> authority = directory.LoadAuthority();
  if (!authority.ok()) return authority.status();
  absl::StatusOr<std::unique_ptr<Registry>> registry = Registry::Open(directory.path());
  if (!registry.ok()) return registry.status();
  const absl::Time ends = authority->certificate().NotAfter();
  if (clock->Now() > ends) {
    return absl::FailedPreconditionError(
        absl::StrCat("the certificate authority in ", directory.path(), " ended at ",
                     ShownTime(ends), " and this host's clock says ", ShownTime(clock->Now()),
                     ": set the clock if it is wrong, else move that directory away, run "
                     "\"tokenwatch-collector init\" and enrol the agents again"));
  }
  auto gatekeeper = std::unique_ptr<Gatekeeper>(new Gatekeeper(
      std::move(directory), *std::move(authority), *std::move(registry), options, clock));
  if (const auto kept = gatekeeper->KeepServer(); !kept.ok()) return kept.status();
  return gatekeeper;
}

absl::StatusOr<Certificate> Gatekeeper::ReadPeer(std::string_view certificate_pem) const {
  if (certificate_pem.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the agent presented no certificate: ", kEnrolAgain));
  }
  absl::StatusOr<Certificate> certificate = Certificate::FromPem(certificate_pem);
  if (!certificate.ok()) {
    return absl::UnauthenticatedError("the agent's certificate cannot be read");
  }
  const absl::Time now = clock_->Now();
  switch (
      CheckCertificate(*certificate, authority_.certificate(), CertificateRole::kAgent, "", now)) {
    case CertificateProblem::kNone:
      return certificate;
    case CertificateProblem::kNotYetValid:
      return absl::UnauthenticatedError(absl::StrCat(
          "the agent's certificate begins at ", ShownTime(certificate->NotBefore()),
          " and the collector's clock says ", ShownTime(now), ": set the collector's clock"));
    case CertificateProblem::kExpired:
      return absl::UnauthenticatedError(
          absl::StrCat("the agent's certificate ended at ", ShownTime(certificate->NotAfter()),
                       " and the collector's clock says ", ShownTime(now),
                       ": set the collector's clock if it is wrong, else ", kEnrolAgain));
    case CertificateProblem::kOtherIssuer:
    case CertificateProblem::kOtherName:
      break;
  }
  return absl::UnauthenticatedError(absl::StrCat(
      "the agent's certificate is not from this collector's certificate authority: ", kEnrolAgain));
}

absl::Status Gatekeeper::CheckEnrolled(const std::string& agent,
                                       std::string_view key_sha256) const {
  absl::Status known;
  registry_->Look([&](const RegistryState& state) {
    const auto found = state.agents.find(agent);
    if (found == state.agents.end()) {
      known = absl::UnauthenticatedError(
          absl::StrCat("the agent ", agent, " is not enrolled at this collector: ", kEnrolAgain));
    } else if (found->second.revoked) {
      known = absl::PermissionDeniedError(Revoked(agent));
    } else if (!Same(found->second.key_sha256, key_sha256)) {
      known = absl::PermissionDeniedError(
          absl::StrCat("the agent id ", agent,
                       " now belongs to another key: if this is the right machine, run "
                       "\"tokenwatch-collector agents forget ",
                       agent, "\" on the collector and ", kEnrolAgain));
    }
  });
  return known;
}

absl::StatusOr<AdmittedAgent> Gatekeeper::Admit(std::string_view certificate_pem) {
  const absl::StatusOr<Certificate> certificate = ReadPeer(certificate_pem);
  absl::Status status = certificate.status();
  AdmittedAgent agent;
  if (certificate.ok()) {
    agent = {.id = certificate->CommonName(),
             .key_sha256 = certificate->KeySha256(),
             .until = certificate->NotAfter()};
    status = CheckEnrolled(agent.id, agent.key_sha256);
  }
  if (status.ok()) return agent;
  Count("enrol_refused_certificates");
  return status;
}

absl::Status Gatekeeper::CheckStill(const AdmittedAgent& agent) {
  return CheckEnrolled(agent.id, agent.key_sha256);
}

absl::Status Gatekeeper::CheckSecret(std::string_view secret, const std::string& address) {
  const std::string hash = Sha256(secret);
  const absl::Time now = clock_->Now();
  bool valid = false;
  absl::Time expired = absl::InfinitePast();
  // All are compared, so that the time tells nothing.
  const auto look = [&] {
    registry_->Look([&](const RegistryState& state) {
      for (const IssuedSecret& issued : state.secrets) {
        if (!Same(issued.sha256, hash)) continue;
        valid = valid || now < issued.expires;
        expired = std::max(expired, issued.expires);
      }
    });
    return valid;
  };
  // What an operator has just made counts at once.
  if (!look() && registry_->Refresh().ok()) look();
  // Also where others behind the same address had wrong ones: 128 random bits are not guessed, so
  // the bound is for the log and for whoever has a wrong one.
  if (valid && secret.size() == kSecretBytes) return absl::OkStatus();
  if (!MayTry(address)) {
    Count("enrol_throttled");
    return absl::ResourceExhaustedError(
        "too many wrong enrolment secrets came from this address: wait a minute, and check the "
        "secret");
  }
  CountFailure(address);
  if (expired != absl::InfinitePast()) {
    return absl::UnauthenticatedError(absl::StrCat(
        "the enrolment secret ended at ", ShownTime(expired),
        " by the collector's clock: make a new one with \"tokenwatch-collector enrol-secret\""));
  }
  return absl::UnauthenticatedError(
      "the enrolment secret is wrong: copy it again, or make a new one with "
      "\"tokenwatch-collector enrol-secret\"");
}

absl::StatusOr<Gatekeeper::Issued> Gatekeeper::Enrol(std::string_view secret,
                                                     std::string_view request_der,
                                                     const std::string& host,
                                                     const std::string& address) {
  if (absl::Status status = CheckSecret(secret, address); !status.ok()) {
    refusals_.Warn("secret", address, absl::StrCat("to enrol an agent at ", address), status);
    return status;
  }
  const absl::StatusOr<CertificateRequest> request = ReadCertificateRequest(request_der);
  if (!request.ok()) return request.status();
  if (!IsAgentId(request->common_name)) {
    return absl::InvalidArgumentError("the certificate request's common name is no agent id");
  }
  absl::StatusOr<Issued> issued = Issue(*request, host.substr(0, kHostMax), address);
  if (issued.ok()) {
    Count("enrol_agents");
    Log(LogLevel::kInfo, "enrolled the agent ", request->common_name, " of host ",
        host.substr(0, kHostMax), " (", address, ")");
  } else {
    Count("enrol_refused_agents");
    refusals_.Warn("enrol", address, absl::StrCat("to enrol an agent at ", address),
                   issued.status());
  }
  return issued;
}

absl::StatusOr<Gatekeeper::Issued> Gatekeeper::Renew(std::string_view certificate_pem,
                                                     std::string_view request_der,
                                                     const std::string& address) {
  const absl::StatusOr<CertificateRequest> request = ReadCertificateRequest(request_der);
  if (!request.ok()) return request.status();
  const absl::StatusOr<AdmittedAgent> agent = Admit(certificate_pem);
  if (!agent.ok()) return agent.status();
  if (absl::Status status = CheckName(*agent, request->common_name); !status.ok()) {
    Count("enrol_refused_certificates");
    return status;
  }
  std::string host;
  absl::Time newest = absl::InfinitePast();
  registry_->Look([&](const RegistryState& state) {
    const auto found = state.agents.find(agent->id);
    if (found == state.agents.end()) return;
    host = found->second.host;
    newest = found->second.enrolled;
  });
  const absl::Duration pause = std::min(kRenewalPause, options_.certificate_lifetime / 20);
  const absl::Duration since = clock_->Now() - newest;
  if (since >= absl::ZeroDuration() && since < pause) {  // no pause where the clock was set back
    Count("enrol_throttled");
    return absl::ResourceExhaustedError(absl::StrCat("this agent has a certificate of ",
                                                     ShownTime(newest), ": another one is made ",
                                                     absl::FormatDuration(pause), " later"));
  }
  absl::StatusOr<Issued> issued = Issue(*request, host, address);
  if (issued.ok()) Count("enrol_renewals");
  return issued;
}

absl::StatusOr<Gatekeeper::Issued> Gatekeeper::Issue(const CertificateRequest& request,
                                                     const std::string& host,
                                                     const std::string& address) {
  const absl::Time now = clock_->Now();
  const absl::StatusOr<Certificate> certificate =
      authority_.IssueAgent(request, now, options_.certificate_lifetime);
  if (!certificate.ok()) return certificate.status();
  // Known before it is handed out: what is not durable does not count.
  if (absl::Status status =
          registry_->AddAgent(request.common_name, {.key_sha256 = request.key_sha256,
                                                    .host = host,
                                                    .address = address,
                                                    .enrolled = now,
                                                    .until = certificate->NotAfter()});
      !status.ok()) {
    if (absl::IsPermissionDenied(status) || absl::IsAlreadyExists(status)) return status;
    refusals_.Warn("registry", "", absl::StrCat("a certificate to the agent at ", address), status);
    return absl::UnavailableError("the collector cannot keep its list of agents: its log says why");
  }
  return Issued{certificate->ToDer(), authority_.certificate().ToDer(), now};
}

absl::Status Gatekeeper::CheckCredential(std::string_view authorization, CredentialScope scope) {
  constexpr std::string_view kScheme = "bearer ";
  constexpr char kHowTo[] =
      "make one with \"tokenwatch-collector credentials add\" and give its file with "
      "--credential-file, or send it as \"Authorization: Bearer ...\"";
  if (authorization.empty()) {
    Count("credential_missing");
    return absl::UnauthenticatedError(absl::StrCat("this needs a credential: ", kHowTo));
  }
  const std::string scheme(authorization.substr(0, kScheme.size()));
  if (authorization.size() > kCredentialMax || absl::AsciiStrToLower(scheme) != kScheme) {
    Count("credential_refused");
    return absl::UnauthenticatedError(absl::StrCat("the credential is no bearer's: ", kHowTo));
  }
  const std::string hash = Sha256(authorization.substr(kScheme.size()));
  bool known = false, allowed = false;
  const auto look = [&] {
    registry_->Look([&](const RegistryState& state) {
      for (const auto& [name, credential] : state.credentials) {
        if (!Same(credential.sha256, hash)) continue;
        known = true;
        allowed = credential.scope == CredentialScope::kQuery || credential.scope == scope;
      }
    });
    return known;
  };
  // What an operator has just made counts at once.
  if (!look() && registry_->Refresh().ok()) look();
  if (allowed) return absl::OkStatus();
  Count("credential_refused");
  if (known) {
    return absl::PermissionDeniedError(
        absl::StrCat("this credential is for metrics only: ", kHowTo));
  }
  return absl::UnauthenticatedError(
      absl::StrCat("the credential is wrong, or was revoked: ", kHowTo));
}

absl::StatusOr<bool> Gatekeeper::Refresh() {
  absl::StatusOr<bool> read = registry_->Refresh();
  registry_unreadable_ = !read.ok();
  return read;
}

absl::StatusOr<bool> Gatekeeper::KeepServer() {
  absl::StatusOr<bool> made = directory_.KeepServer(authority_, {}, clock_->Now());
  if (!made.ok()) return made;
  // Also where `init` made it.
  const absl::StatusOr<Certificate> server = directory_.LoadServer();
  if (!server.ok()) return server.status();
  server_until_ = absl::ToUnixSeconds(server->NotAfter());
  return made;
}

std::vector<Gatekeeper::Life> Gatekeeper::Certificates() const {
  const absl::Time now = clock_->Now();
  const Certificate& authority = authority_.certificate();
  std::vector<Life> lives = {
      {"authority", authority.NotAfter() - now, authority.NotAfter() - authority.NotBefore()},
      {"server", absl::FromUnixSeconds(server_until_) - now, EnrolDirectory::kServerLifetime}};
  absl::Time first = absl::InfiniteFuture();
  registry_->Look([&](const RegistryState& state) {
    for (const auto& [id, agent] : state.agents) {
      if (!agent.revoked && agent.until >= now) first = std::min(first, agent.until);
    }
  });
  if (first != absl::InfiniteFuture()) {
    lives.push_back({"agents", first - now, options_.certificate_lifetime});
  }
  return lives;
}

bool Gatekeeper::MayTry(const std::string& address) {
  const absl::MutexLock lock(&mutex_);
  const int64_t minute = static_cast<int64_t>(clock_->MonotonicNs() / 60'000'000'000);
  if (std::exchange(minute_, minute) != minute) failures_.clear();
  auto found = failures_.find(address);
  if (found == failures_.end() && failures_.size() >= kAddressesMax) {
    found = failures_.find(kOtherAddresses);
  }
  return found == failures_.end() || found->second < options_.failures_per_minute;
}

void Gatekeeper::CountFailure(const std::string& address) {
  const absl::MutexLock lock(&mutex_);
  ++counters_["enrol_refused_secrets"];
  if (failures_.contains(address) || failures_.size() < kAddressesMax) {
    ++failures_[address];
  } else {
    ++failures_[kOtherAddresses];
  }
}

void Gatekeeper::Count(const char* name) {
  const absl::MutexLock lock(&mutex_);
  ++counters_[name];
}

void Gatekeeper::AddCounters(Counters* counters) const {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [name, value] : counters_) (*counters)[name] += value;
  uint64_t ended = 0;
  registry_->Look([&, now = clock_->Now()](const RegistryState& state) {
    for (const auto& [id, agent] : state.agents) ended += !agent.revoked && agent.until < now;
  });
  (*counters)["enrol_ended_agents"] = ended;
  (*counters)["enrol_registry_unreadable"] = registry_unreadable_ ? 1 : 0;
}

}  // namespace tokenwatch
