#include "collector/enrol/registry.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

using Json = nlohmann::ordered_json;

constexpr absl::Duration kExpiredSecretsKept = absl::Hours(24 * 30);
constexpr size_t kReadAtOnce = size_t{1} << 20;

absl::Status Failure(int error, const std::string& path, const char* doing) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot ", doing, " ", path));
}

Json Event(const char* kind, absl::Time now) {
  return {{"event", kind}, {"time", absl::ToUnixSeconds(now)}};
}

std::string Line(const Json& event) {
  return event.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string Hex(std::string_view bytes) {
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

// Members of a line. A line that lacks one, or has it as another kind, is damaged.
bool Text(const Json& event, const char* name, std::string* text) {
  const auto found = event.find(name);
  if (found == event.end() || !found->is_string()) return false;
  *text = found->get<std::string>();
  return true;
}

bool Hash(const Json& event, const char* name, std::string* bytes) {
  std::string hex;
  if (!Text(event, name, &hex) || hex.size() != 64) return false;
  if (!std::all_of(hex.begin(), hex.end(),
                   [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); })) {
    return false;
  }
  *bytes = absl::HexStringToBytes(hex);
  return true;
}

bool Seconds(const Json& event, const char* name, absl::Time* time) {
  const auto found = event.find(name);
  if (found == event.end() || !found->is_number_integer()) return false;
  *time = absl::FromUnixSeconds(found->get<int64_t>());
  return true;
}

const char* ScopeName(CredentialScope scope) {
  return scope == CredentialScope::kMetrics ? "metrics" : "query";
}

// What one line does to the state; false where it cannot be read. A kind that is not known is a
// newer collector's: refusing is safer than forgetting a revocation.
bool ApplyEvent(const Json& event, RegistryState* state) {
  std::string kind, name;
  absl::Time time;
  if (!Text(event, "event", &kind) || !Seconds(event, "time", &time)) return false;
  if (kind == "secret") {
    IssuedSecret secret;
    if (!Hash(event, "sha256", &secret.sha256) || !Seconds(event, "expires", &secret.expires)) {
      return false;
    }
    state->secrets.push_back(std::move(secret));
    std::erase_if(state->secrets, [time](const IssuedSecret& old) {
      return old.expires + kExpiredSecretsKept < time;
    });
    return true;
  }
  if (kind == "secrets_ended") {
    for (IssuedSecret& secret : state->secrets) secret.expires = std::min(secret.expires, time);
    return true;
  }
  if (kind == "fleet_key") return Text(event, "key", &state->first_key_id);
  if (kind == "credential") {
    IssuedCredential credential{.made = time};
    std::string scope;
    if (!Text(event, "name", &name) || !Hash(event, "sha256", &credential.sha256) ||
        !Text(event, "scope", &scope) || (scope != "query" && scope != "metrics")) {
      return false;
    }
    if (scope == "metrics") credential.scope = CredentialScope::kMetrics;
    state->credentials[name] = std::move(credential);
    return true;
  }
  if (kind == "credential_revoked") {
    return Text(event, "name", &name) && state->credentials.erase(name) <= 1;
  }
  if (kind == "agent") {
    EnrolledAgent agent{.enrolled = time};
    if (!Text(event, "agent", &name) || !Hash(event, "key", &agent.key_sha256) ||
        !Text(event, "host", &agent.host) || !Text(event, "address", &agent.address) ||
        !Seconds(event, "until", &agent.until)) {
      return false;
    }
    EnrolledAgent& known = state->agents[name];
    agent.revoked = known.revoked;
    known = std::move(agent);
    return true;
  }
  if (kind == "agent_revoked") {
    if (!Text(event, "agent", &name)) return false;
    state->agents[name].revoked = true;
    return true;
  }
  if (kind == "agent_forgotten") {
    return Text(event, "agent", &name) && state->agents.erase(name) <= 1;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Registry>> Registry::Open(const std::string& directory) {
  const std::string path = directory + "/registry";
  const bool made = access(path.c_str(), F_OK) != 0;
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Failure(errno, path, "open");
  auto registry = std::unique_ptr<Registry>(new Registry(path, fd));
  // It belongs to whom its folder does, also where root made it.
  struct stat folder;
  if (made && geteuid() == 0 && stat(directory.c_str(), &folder) == 0 &&
      fchown(fd, folder.st_uid, folder.st_gid) != 0) {
    return Failure(errno, path, "change the owner of");
  }
  if (const auto read = registry->Refresh(); !read.ok()) return read.status();
  return registry;
}

Registry::~Registry() { close(fd_); }

RegistryState Registry::State() const {
  const absl::MutexLock lock(&mutex_);
  return state_;
}

void Registry::Look(const std::function<void(const RegistryState&)>& look) const {
  const absl::MutexLock lock(&mutex_);
  look(state_);
}

absl::StatusOr<bool> Registry::Refresh() {
  const absl::MutexLock lock(&mutex_);
  return ReadOn();
}

absl::StatusOr<bool> Registry::ReadOn() {
  struct stat file;
  if (fstat(fd_, &file) != 0) return Failure(errno, path_, "read");
  if (file.st_size == read_until_) return false;
  if (file.st_size < read_until_) {  // another process took a line back that it could not write
    state_ = {};
    read_until_ = 0;
    lines_ = 0;
  }
  bool any = false;
  std::string rest;  // not ended by a line's end yet
  std::string part(kReadAtOnce, '\0');
  off_t at = read_until_;
  while (true) {
    const ssize_t got = pread(fd_, part.data(), part.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failure(errno, path_, "read");
    if (got == 0) return any;
    at += got;
    rest.append(part.data(), static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (absl::Status status = Apply(rest.substr(begin, end - begin)); !status.ok()) return status;
      read_until_ += static_cast<off_t>(end + 1 - begin);
      any = true;
    }
    rest.erase(0, begin);
  }
}

absl::Status Registry::Apply(const std::string& line) {
  ++lines_;
  const Json event = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (event.is_object() && ApplyEvent(event, &state_)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      path_, ":", lines_,
      ": this line cannot be read; restore the file from a backup, or start a newer collector if "
      "one wrote it"));
}

absl::Status Registry::Append(const std::function<absl::Status(const RegistryState&)>& check,
                              const std::string& line) {
  const absl::MutexLock lock(&mutex_);
  while (flock(fd_, LOCK_EX) != 0) {
    if (errno != EINTR) return Failure(errno, path_, "lock");
  }
  const absl::Cleanup unlock = [this] { flock(fd_, LOCK_UN); };
  if (const auto read = ReadOn(); !read.ok()) return read.status();
  if (absl::Status status = check(state_); !status.ok()) return status;
  // What a crash left of a line goes: with the lock nobody is writing it.
  if (ftruncate(fd_, read_until_) != 0) return Failure(errno, path_, "write");
  const ssize_t written = write(fd_, line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size()) || fdatasync(fd_) != 0) {
    const int error = written < 0 || written == static_cast<ssize_t>(line.size()) ? errno : ENOSPC;
    if (ftruncate(fd_, read_until_) != 0) return Failure(errno, path_, "write");
    return Failure(error, path_, "write");
  }
  return ReadOn().status();
}

absl::Status Registry::AddSecret(std::string_view sha256, absl::Time expires, absl::Time now) {
  Json event = Event("secret", now);
  event["sha256"] = Hex(sha256);
  event["expires"] = absl::ToUnixSeconds(expires);
  return Append([](const RegistryState&) { return absl::OkStatus(); }, Line(event));
}

absl::Status Registry::EndSecrets(absl::Time now) {
  return Append([](const RegistryState&) { return absl::OkStatus(); },
                Line(Event("secrets_ended", now)));
}

absl::Status Registry::AddCredential(const std::string& name, std::string_view sha256,
                                     CredentialScope scope, absl::Time now) {
  Json event = Event("credential", now);
  event["name"] = name;
  event["sha256"] = Hex(sha256);
  event["scope"] = ScopeName(scope);
  return Append(
      [&name](const RegistryState& state) {
        if (!state.credentials.contains(name)) return absl::OkStatus();
        return absl::AlreadyExistsError(
            absl::StrCat("there is a credential '", name,
                         "' already: choose another name, or revoke that one first"));
      },
      Line(event));
}

absl::Status Registry::RevokeCredential(const std::string& name, absl::Time now) {
  Json event = Event("credential_revoked", now);
  event["name"] = name;
  return Append(
      [&name](const RegistryState& state) {
        return state.credentials.contains(name)
                   ? absl::OkStatus()
                   : absl::NotFoundError(absl::StrCat("there is no credential '", name, "'"));
      },
      Line(event));
}

absl::Status Registry::NoteFleetKey(const std::string& key_id, absl::Time now) {
  Json event = Event("fleet_key", now);
  event["key"] = key_id;
  return Append([](const RegistryState&) { return absl::OkStatus(); }, Line(event));
}

absl::Status Registry::AddAgent(const std::string& agent, const EnrolledAgent& enrolled) {
  Json event = Event("agent", enrolled.enrolled);
  event["agent"] = agent;
  event["key"] = Hex(enrolled.key_sha256);
  event["host"] = enrolled.host;
  event["address"] = enrolled.address;
  event["until"] = absl::ToUnixSeconds(enrolled.until);
  return Append(
      [&](const RegistryState& state) {
        const auto known = state.agents.find(agent);
        if (known == state.agents.end()) return absl::OkStatus();
        if (known->second.revoked) {
          return absl::PermissionDeniedError(
              absl::StrCat("the agent ", agent,
                           " was revoked; if it may report again, run "
                           "\"tokenwatch-collector agents forget ",
                           agent, "\" and let it enrol anew"));
        }
        if (!known->second.key_sha256.empty() && known->second.key_sha256 != enrolled.key_sha256) {
          return absl::AlreadyExistsError(absl::StrCat(
              "the agent id ", agent, " was enrolled with another key, by host ",
              absl::CHexEscape(known->second.host), " (", known->second.address,
              "); if this is the same machine and its key was lost, run \"tokenwatch-collector "
              "agents forget ",
              agent,
              "\" on the collector, else empty this agent's spool "
              "directory, so that it gets an id of its own"));
        }
        return absl::OkStatus();
      },
      Line(event));
}

absl::Status Registry::RevokeAgent(const std::string& agent, absl::Time now) {
  Json event = Event("agent_revoked", now);
  event["agent"] = agent;
  return Append(
      [&agent](const RegistryState& state) {
        return state.agents.contains(agent)
                   ? absl::OkStatus()
                   : absl::NotFoundError(absl::StrCat("no agent ", agent, " has enrolled here"));
      },
      Line(event));
}

absl::Status Registry::ForgetAgent(const std::string& agent, absl::Time now) {
  Json event = Event("agent_forgotten", now);
  event["agent"] = agent;
  return Append(
      [&agent](const RegistryState& state) {
        return state.agents.contains(agent)
                   ? absl::OkStatus()
                   : absl::NotFoundError(absl::StrCat("no agent ", agent, " has enrolled here"));
      },
      Line(event));
}

}  // namespace tokenwatch
