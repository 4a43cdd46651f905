#include "collector/enrol/registry.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/common/log.h"
#include "agent/common/secret_file.h"

namespace tokenwatch {
namespace {

using Json = nlohmann::ordered_json;

constexpr absl::Duration kExpiredSecretsKept = absl::Hours(24 * 30);
constexpr size_t kReadAtOnce = size_t{1} << 20;
constexpr size_t kLineMax = size_t{64} << 10;  // ours have a kilobyte or two
// Fewer lines are read in no time. One row that counts among four is still worth the append.
constexpr uint64_t kCompactFrom = 4096, kCompactRatio = 4;

// Not the status of errno: to an agent PermissionDenied says something else.
absl::Status Failure(int error, const std::string& path, const char* doing) {
  return absl::InternalError(absl::StrCat("cannot ", doing, " ", path, ": ", std::strerror(error)));
}

absl::Status Missing(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(
      path,
      ", the list of agents and credentials, is missing: restore it from a backup, or begin "
      "another "
      "with \"tokenwatch-collector init\", after which every agent has to enrol again"));
}

absl::Status Unreadable(const std::string& path, uint64_t line) {
  return absl::DataLossError(absl::StrCat(
      path, ":", line,
      ": this line cannot be read; restore the file from a backup, or start a newer collector if "
      "one wrote it"));
}

absl::Status TooLong(const std::string& path, off_t at) {
  return absl::DataLossError(
      absl::StrCat(path, ": the line at byte ", at, " has more than ", kLineMax,
                   " bytes, which no collector writes; restore the file from a backup"));
}

absl::Status Shrunk(const std::string& path) {
  return absl::DataLossError(absl::StrCat(
      path,
      " has lost lines that it had while this collector ran: move a backup of it to its place; or, "
      "if what it has now is to hold, start the collector again"));
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
    IssuedSecret secret{.made = time};
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

bool ApplyLine(const std::string& line, RegistryState* state) {
  const Json event = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  return event.is_object() && ApplyEvent(event, state);
}

Json SecretEvent(const IssuedSecret& secret) {
  Json event = Event("secret", secret.made);
  event["sha256"] = Hex(secret.sha256);
  event["expires"] = absl::ToUnixSeconds(secret.expires);
  return event;
}

Json CredentialEvent(const std::string& name, const IssuedCredential& credential) {
  Json event = Event("credential", credential.made);
  event["name"] = name;
  event["sha256"] = Hex(credential.sha256);
  event["scope"] = ScopeName(credential.scope);
  return event;
}

Json FleetKeyEvent(const std::string& key_id, absl::Time now) {
  Json event = Event("fleet_key", now);
  event["key"] = key_id;
  return event;
}

Json AgentEvent(const std::string& name, const EnrolledAgent& agent) {
  Json event = Event("agent", agent.enrolled);
  event["agent"] = name;
  event["key"] = Hex(agent.key_sha256);
  event["host"] = agent.host;
  event["address"] = agent.address;
  event["until"] = absl::ToUnixSeconds(agent.until);
  return event;
}

Json NamedAgentEvent(const char* kind, const std::string& name, absl::Time now) {
  Json event = Event(kind, now);
  event["agent"] = name;
  return event;
}

uint64_t RowsOf(const RegistryState& state) {
  uint64_t rows = 1 + state.secrets.size() + state.credentials.size();
  for (const auto& [name, agent] : state.agents) rows += agent.revoked ? 2 : 1;
  return rows;
}

// The shortest file that says the same.
std::string TextOf(const RegistryState& state) {
  std::string text;
  for (const IssuedSecret& secret : state.secrets) text += Line(SecretEvent(secret));
  if (!state.first_key_id.empty()) {
    text += Line(FleetKeyEvent(state.first_key_id, absl::UnixEpoch()));
  }
  for (const auto& [name, credential] : state.credentials) {
    text += Line(CredentialEvent(name, credential));
  }
  for (const auto& [name, agent] : state.agents) {
    if (!agent.key_sha256.empty()) text += Line(AgentEvent(name, agent));
    if (agent.revoked) text += Line(NamedAgentEvent("agent_revoked", name, agent.enrolled));
  }
  return text;
}

}  // namespace

class Registry::File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const { return fd_; }

  // Hands whole lines to `take` from *from on, which is moved along, until that is false.
  absl::Status ReadLines(const std::string& path, off_t* from,
                         const std::function<absl::Status(const std::string&)>& take) const;

 private:
  const int fd_;
};

absl::Status Registry::File::ReadLines(
    const std::string& path, off_t* from,
    const std::function<absl::Status(const std::string&)>& take) const {
  std::string rest;  // not ended by a line's end yet
  std::string part(kReadAtOnce, '\0');
  off_t at = *from;
  while (true) {
    const ssize_t got = pread(fd_, part.data(), part.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failure(errno, path, "read");
    if (got == 0) return absl::OkStatus();
    at += got;
    rest.append(part.data(), static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (end - begin > kLineMax) return TooLong(path, *from);
      if (absl::Status status = take(rest.substr(begin, end - begin)); !status.ok()) return status;
      *from += static_cast<off_t>(end + 1 - begin);
    }
    rest.erase(0, begin);
    if (rest.size() > kLineMax) return TooLong(path, *from);
  }
}

void Registry::Progress::Take(const std::string& line) {
  last_line = until;
  ++lines;
  sha256_before_last = std::move(sha256);
  const std::string text = absl::StrCat(sha256_before_last, line);
  sha256.assign(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(sha256.data()));
}

absl::StatusOr<std::unique_ptr<Registry>> Registry::Open(const std::string& directory) {
  auto registry = std::unique_ptr<Registry>(new Registry(directory + "/registry"));
  if (const auto read = registry->Refresh(); !read.ok()) return read.status();
  return registry;
}

absl::StatusOr<std::unique_ptr<Registry>> Registry::Make(const std::string& directory) {
  absl::Status made = WriteNewFile(directory + "/registry", "");
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  return Open(directory);
}

RegistryState Registry::State() const {
  const absl::MutexLock lock(&mutex_);
  return state_;
}

void Registry::Look(const std::function<void(const RegistryState&)>& look) const {
  const absl::MutexLock lock(&mutex_);
  look(state_);
}

absl::StatusOr<bool> Registry::Refresh() {
  const absl::MutexLock lock(&file_mutex_);
  return ReadOn();
}

absl::StatusOr<bool> Registry::ReadOn() {
  struct stat there, ours;
  if (lstat(path_.c_str(), &there) != 0) {
    return errno == ENOENT ? Missing(path_) : Failure(errno, path_, "read");
  }
  const Version version{.device = there.st_dev,
                        .inode = there.st_ino,
                        .size = there.st_size,
                        .changed_ns = there.st_mtim.tv_sec * 1'000'000'000 + there.st_mtim.tv_nsec};
  // Looked at twice a second, it is not read each time.
  if (!unreadable_why_.ok() && version == unreadable_) return unreadable_why_;
  absl::StatusOr<bool> read = false;
  if (file_ == nullptr || fstat(file_->fd(), &ours) != 0 || ours.st_dev != there.st_dev ||
      ours.st_ino != there.st_ino) {
    const int fd = open(path_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? Missing(path_) : Failure(errno, path_, "open");
    read = ReadAnew(std::make_shared<const File>(fd));
  } else if (there.st_size < progress_.until) {  // a line was taken back that could not be written
    read = ReadAnew(file_);
  } else if (there.st_size > progress_.until) {
    const off_t from = progress_.until;
    const absl::Status status =
        file_->ReadLines(path_, &progress_.until, [this](const std::string& line) {
          file_mutex_.AssertHeld();
          const absl::MutexLock lock(&mutex_);
          if (!ApplyLine(line, &state_)) return Unreadable(path_, progress_.lines + 1);
          progress_.Take(line);
          return absl::OkStatus();
        });
    // A line that was taken back and others since leave no line's end where we were.
    read = status.ok() ? absl::StatusOr<bool>(progress_.until > from) : ReadAnew(file_);
  }
  unreadable_ = version;
  unreadable_why_ = absl::IsDataLoss(read.status()) ? read.status() : absl::OkStatus();
  return read;
}

// What was known goes only once all of the other file is.
absl::StatusOr<bool> Registry::ReadAnew(const std::shared_ptr<const File>& file) {
  struct stat info;
  if (fstat(file->fd(), &info) != 0) return Failure(errno, path_, "read");
  if (!S_ISREG(info.st_mode)) {
    return absl::DataLossError(absl::StrCat(path_, " is no regular file"));
  }
  RegistryState state;
  Progress progress;
  const Progress before = progress_;
  const bool same = file == file_;
  // Whether all that was read before is there, but for a last line that was taken back.
  bool kept = !same;
  const auto look = [&] {
    kept = kept ||
           (progress.until == before.last_line && progress.sha256 == before.sha256_before_last);
  };
  if (absl::Status status = file->ReadLines(path_, &progress.until,
                                            [&](const std::string& line) {
                                              look();
                                              progress.Take(line);
                                              return ApplyLine(line, &state)
                                                         ? absl::OkStatus()
                                                         : Unreadable(path_, progress.lines);
                                            });
      !status.ok()) {
    return status;
  }
  look();
  const bool emptied = same && progress.until == 0 && before.until > 0;
  if (!kept || emptied) return Shrunk(path_);
  file_ = file;
  progress_ = std::move(progress);
  const absl::MutexLock lock(&mutex_);
  state_ = std::move(state);
  return true;
}

absl::StatusOr<std::shared_ptr<const Registry::File>> Registry::Lock() {
  while (true) {
    std::shared_ptr<const File> file;
    {
      const absl::MutexLock lock(&file_mutex_);
      if (const auto read = ReadOn(); !read.ok()) return read.status();
      file = file_;
    }
    while (flock(file->fd(), LOCK_EX) != 0) {
      if (errno != EINTR) return Failure(errno, path_, "lock");
    }
    const absl::MutexLock lock(&file_mutex_);
    const auto read = ReadOn();
    if (read.ok() && file_ == file) return file;
    // Who had the lock put another file in its place.
    flock(file->fd(), LOCK_UN);
    if (!read.ok()) return read.status();
  }
}

absl::Status Registry::Append(const std::function<absl::Status(const RegistryState&)>& check,
                              const std::string& line) {
  if (line.size() > kLineMax) return absl::InvalidArgumentError("the name is too long");
  const absl::MutexLock appending(&append_mutex_);
  const auto file = Lock();
  if (!file.ok()) return file.status();
  const absl::Cleanup unlock = [&file] { flock((*file)->fd(), LOCK_UN); };
  absl::Status status;
  Look([&](const RegistryState& state) { status = check(state); });
  if (status.ok()) status = Write(**file, line);
  if (!status.ok()) return status;
  uint64_t lines = 0;
  {
    const absl::MutexLock lock(&file_mutex_);
    if (const auto read = ReadOn(); !read.ok()) return read.status();
    if (file_ != *file) return Failure(ESTALE, path_, "write");
    lines = progress_.lines;
  }
  uint64_t rows = 0;
  Look([&rows](const RegistryState& state) { rows = RowsOf(state); });
  if (lines >= kCompactFrom && lines >= kCompactRatio * rows) Compact();
  return absl::OkStatus();
}

absl::Status Registry::Write(const File& file, const std::string& line) {
  off_t end = 0;
  {
    const absl::MutexLock lock(&file_mutex_);
    end = progress_.until;
  }
  // What a crash left of a line goes: with the lock nobody is writing it.
  if (ftruncate(file.fd(), end) != 0) return Failure(errno, path_, "write");
  const ssize_t written = write(file.fd(), line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size()) && fdatasync(file.fd()) == 0) {
    return absl::OkStatus();
  }
  const int error = written < 0 || written == static_cast<ssize_t>(line.size()) ? errno : ENOSPC;
  if (ftruncate(file.fd(), end) != 0) return Failure(errno, path_, "write");
  return Failure(error, path_, "write");
}

void Registry::Compact() {
  const std::string text = TextOf(State());
  absl::Status status = ReplaceFile(path_, text);
  if (status.ok()) status = Refresh().status();
  // It stays as long as it is.
  if (!status.ok()) Log(LogLevel::kWarning, path_, " cannot be shortened: ", status.message());
}

absl::Status Registry::AddSecret(std::string_view sha256, absl::Time expires, absl::Time now) {
  const IssuedSecret secret{.sha256 = std::string(sha256), .made = now, .expires = expires};
  return Append([](const RegistryState&) { return absl::OkStatus(); }, Line(SecretEvent(secret)));
}

absl::Status Registry::EndSecrets(absl::Time now) {
  return Append([](const RegistryState&) { return absl::OkStatus(); },
                Line(Event("secrets_ended", now)));
}

absl::Status Registry::AddCredential(const std::string& name, std::string_view sha256,
                                     CredentialScope scope, absl::Time now) {
  const IssuedCredential credential{.sha256 = std::string(sha256), .scope = scope, .made = now};
  return Append(
      [&name](const RegistryState& state) {
        if (!state.credentials.contains(name)) return absl::OkStatus();
        return absl::AlreadyExistsError(
            absl::StrCat("there is a credential '", name,
                         "' already: choose another name, or revoke that one first"));
      },
      Line(CredentialEvent(name, credential)));
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
  return Append([](const RegistryState&) { return absl::OkStatus(); },
                Line(FleetKeyEvent(key_id, now)));
}

absl::Status Registry::AddAgent(const std::string& agent, const EnrolledAgent& enrolled) {
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
      Line(AgentEvent(agent, enrolled)));
}

absl::Status Registry::ChangeAgent(const char* kind, const std::string& agent, absl::Time now) {
  return Append(
      [&agent](const RegistryState& state) {
        return state.agents.contains(agent)
                   ? absl::OkStatus()
                   : absl::NotFoundError(absl::StrCat("no agent ", agent, " has enrolled here"));
      },
      Line(NamedAgentEvent(kind, agent, now)));
}

absl::Status Registry::RevokeAgent(const std::string& agent, absl::Time now) {
  return ChangeAgent("agent_revoked", agent, now);
}

absl::Status Registry::ForgetAgent(const std::string& agent, absl::Time now) {
  return ChangeAgent("agent_forgotten", agent, now);
}

}  // namespace tokenwatch
