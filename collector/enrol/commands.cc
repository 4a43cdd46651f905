#include "collector/enrol/commands.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/common/certificate.h"
#include "agent/common/duration_text.h"
#include "agent/common/enrol_secret.h"
#include "agent/common/secret_file.h"
#include "agent/common/token_id.h"
#include "agent/token/secret/fingerprint.h"
#include "agent/token/secret/fleet_key.h"
#include "collector/enrol/enrol_directory.h"
#include "collector/enrol/owner_rights.h"
#include "collector/enrol/registry.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCredentialBytes = 32;
constexpr char kFirstCredential[] = "operator";
constexpr size_t kNameMax = 64;

std::string Sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

// What a command works on: the directory that `init` made, and its list.
struct Rooms {
  EnrolDirectory directory;
  std::unique_ptr<Registry> registry;
};

absl::StatusOr<Rooms> OpenRooms(const EnrolCommandOptions& options) {
  Rooms rooms{.directory = EnrolDirectory(options.data_dir)};
  if (!rooms.directory.IsMade()) {
    return absl::FailedPreconditionError(
        absl::StrCat("there are no certificates in ", rooms.directory.path(),
                     ": run "
                     "\"tokenwatch-collector init\" first, or name another --data-dir, as its "
                     "owner or as root"));
  }
  auto registry = Registry::Open(rooms.directory.path());
  if (!registry.ok()) return registry.status();
  rooms.registry = *std::move(registry);
  return rooms;
}

SecretBuffer Line(std::string_view secret) {
  SecretBuffer line;
  line.Reserve(secret.size() + 1);
  line.Append(secret);
  line.Append('\n');
  return line;
}

// To a file that must not exist, or to a person. What is handed out is written with the caller's
// rights, as are all functions' files that are not in the data directory.
absl::Status HandOut(std::string_view secret, const std::string& file, OwnerRights* rights,
                     std::ostream* out) {
  const SecretBuffer line = Line(secret);
  if (file.empty()) {
    // Flushed, as a full disk shows only then.
    out->write(line.view().data(), static_cast<std::streamsize>(line.size())).flush();
    return *out ? absl::OkStatus() : absl::InternalError("standard output cannot be written");
  }
  const absl::Status status = rights->AsCaller([&] { return WriteNewFile(file, line.view()); });
  if (absl::IsAlreadyExists(status)) {
    return absl::AlreadyExistsError(
        absl::StrCat(file, " exists and is not overwritten: name another file"));
  }
  return status;
}

// Written to `keep` before it is known, so that no secret counts that nobody has.
absl::StatusOr<absl::Time> MakeSecret(const Rooms& rooms, const std::string& lifetime,
                                      absl::Time now,
                                      const std::function<absl::Status(std::string_view)>& keep) {
  const absl::StatusOr<absl::Duration> lasts = ParseLifetime(lifetime);
  if (!lasts.ok()) return lasts.status();
  const auto authority = rooms.directory.LoadAuthority();
  if (!authority.ok()) return authority.status();
  EnrolSecret secret{.ca_sha256 = authority->certificate().Sha256()};
  char random[16];
  arc4random_buf(random, sizeof random);
  secret.secret.Append({random, sizeof random});
  OPENSSL_cleanse(random, sizeof random);
  if (absl::Status status = keep(secret.Text().view()); !status.ok()) return status;
  const absl::Time expires = now + *lasts;
  if (absl::Status status = rooms.registry->AddSecret(Sha256(secret.secret.view()), expires, now);
      !status.ok()) {
    return status;
  }
  return expires;
}

absl::Status MakeCredential(Registry* registry, const std::string& name, CredentialScope scope,
                            absl::Time now,
                            const std::function<absl::Status(std::string_view)>& keep) {
  std::array<uint8_t, kCredentialBytes> random{};
  arc4random_buf(random.data(), random.size());
  std::string text = CrockfordText("twq_", random);
  const absl::Cleanup wipe = [&] {
    OPENSSL_cleanse(random.data(), random.size());
    OPENSSL_cleanse(text.data(), text.size());
  };
  if (absl::Status status = keep(text); !status.ok()) return status;
  return registry->AddCredential(name, Sha256(text), scope, now);
}

absl::StatusOr<std::string> KeyIdOf(const std::string& file) {
  const absl::StatusOr<FleetKey> key = FleetKey::Load(file);
  if (!key.ok()) return key.status();
  const auto fingerprinter = Fingerprinter::Create(absl::MakeConstSpan(&*key, 1));
  if (!fingerprinter.ok()) return fingerprinter.status();
  return (*fingerprinter)->KeyIds().front();
}

// A new fleet key in `file`, which is left alone where it exists.
absl::Status MakeFleetKey(const std::string& file) {
  std::array<uint8_t, FleetKey::kBytes> random{};
  arc4random_buf(random.data(), random.size());
  SecretBuffer digits;
  digits.Reserve(2 * random.size() + 1);
  for (const uint8_t byte : random) {
    digits.Append("0123456789abcdef"[byte >> 4]);
    digits.Append("0123456789abcdef"[byte & 15]);
  }
  digits.Append('\n');
  OPENSSL_cleanse(random.data(), random.size());
  return WriteNewFile(file, digits.view());
}

std::string HostName() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

bool IsInside(const fs::path& inner, const fs::path& outer) {
  // Where one leads nowhere, as /dev/stdout to a pipe does, its name has to do.
  std::error_code error;
  fs::path in = fs::weakly_canonical(inner, error);
  if (error) in = fs::absolute(inner).lexically_normal();
  fs::path out = fs::weakly_canonical(outer, error);
  if (error) out = fs::absolute(outer).lexically_normal();
  return std::mismatch(out.begin(), out.end(), in.begin(), in.end()).first == out.end();
}

absl::Status MakeOutDirectory(const EnrolCommandOptions& options) {
  std::error_code error;
  if (IsInside(options.out_dir, options.data_dir)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out-dir ", options.out_dir, " is inside the data directory ",
                     options.data_dir, ", where the fleet key must not be: name another"));
  }
  fs::create_directories(fs::absolute(options.out_dir).parent_path(), error);
  if (mkdir(options.out_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make --out-dir ", options.out_dir));
  }
  return absl::OkStatus();
}

// The CA's certificate for people and for the command line.
absl::Status HandOutCa(const std::string& file, const std::string& pem) {
  const absl::Status status = WriteNewFile(file, pem, 0644);
  if (!absl::IsAlreadyExists(status)) return status;
  const auto kept = ReadSecretFile(file, "the certificate authority");
  if (kept.ok() && kept->view() == pem) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(
      file, " is of another collector and is not overwritten: name another --out-dir"));
}

absl::Status ShowCa(const EnrolCommandOptions& options, std::ostream* out) {
  const auto authority = EnrolDirectory(options.data_dir).LoadAuthority();
  if (!authority.ok()) return authority.status();
  *out << authority->certificate().ToPem();
  return absl::OkStatus();
}

absl::Status Init(const EnrolCommandOptions& options, absl::Time now, OwnerRights* rights,
                  std::ostream* out) {
  if (const auto lifetime = ParseLifetime(options.lifetime); !lifetime.ok()) {
    return lifetime.status();
  }
  if (absl::Status status = rights->AsCaller([&] { return MakeOutDirectory(options); });
      !status.ok()) {
    return status;
  }
  const std::string handout = options.out_dir + "/";
  Rooms rooms{.directory = EnrolDirectory(options.data_dir)};
  const bool had_server = rooms.directory.LoadServer().ok();
  const absl::StatusOr<bool> new_ca = rooms.directory.Make(now);
  if (!new_ca.ok()) return new_ca.status();
  const auto authority = rooms.directory.LoadAuthority();
  if (!authority.ok()) return authority.status();
  std::vector<std::string> names = options.server_names;
  if (names.empty() && !had_server) names.push_back(HostName());
  // The certificate comes last: with it the directory counts as made.
  auto registry = Registry::Make(rooms.directory.path());
  if (!registry.ok()) return registry.status();
  rooms.registry = *std::move(registry);
  const absl::StatusOr<bool> new_server = rooms.directory.KeepServer(*authority, names, now);
  if (!new_server.ok()) return new_server.status();
  const std::string ca_file = handout + "ca.pem";
  if (absl::Status status =
          rights->AsCaller([&] { return HandOutCa(ca_file, authority->certificate().ToPem()); });
      !status.ok()) {
    return status;
  }
  const auto server = rooms.directory.LoadServer();
  if (!server.ok()) return server.status();
  *out << "certificate authority  " << (*new_ca ? "made" : "exists") << ", in "
       << rooms.directory.path() << ", until " << ShownTime(authority->certificate().NotAfter())
       << "\n"
       << "server certificate     " << (*new_server ? "made" : "exists") << ", for "
       << absl::StrJoin(server->Names(), ", ") << "\n";

  RegistryState state = rooms.registry->State();
  const std::string key_file = handout + "fleet.key";
  if (state.first_key_id.empty()) {
    absl::Status status = rights->AsCaller([&] { return MakeFleetKey(key_file); });
    if (!status.ok() && !absl::IsAlreadyExists(status)) return status;
    const bool made = status.ok();
    const absl::StatusOr<std::string> id = rights->AsCaller([&] { return KeyIdOf(key_file); });
    if (!id.ok()) return id.status();
    status = rooms.registry->NoteFleetKey(*id, now);
    if (!status.ok()) return status;
    *out << "fleet key              " << (made ? "made" : "taken as it is") << ", " << *id << ", "
         << key_file
         << "\n  ▶ to every host with an agent, mode 0600, for --key-file; keep a copy in a safe "
            "place: nobody else has it\n";
  } else {
    *out << "fleet key              " << state.first_key_id
         << " was made before and handed out; the collector does not keep it\n";
  }

  const auto valid = std::find_if(state.secrets.begin(), state.secrets.end(),
                                  [now](const IssuedSecret& one) { return now < one.expires; });
  if (valid == state.secrets.end()) {
    const std::string file = handout + "enrol.secret";
    const auto expires = MakeSecret(rooms, options.lifetime, now, [&](std::string_view text) {
      return rights->AsCaller([&] { return ReplaceFile(file, Line(text).view()); });
    });
    if (!expires.ok()) return expires.status();
    *out << "enrolment secret       made, " << file << ", until " << ShownTime(*expires)
         << "\n  ▶ to every host with an agent, for --enrol-secret-file; later agents need a new "
            "one: "
            "tokenwatch-collector enrol-secret\n";
  } else {
    *out << "enrolment secret       exists, until " << ShownTime(valid->expires)
         << "; only its hash is kept, another one: tokenwatch-collector enrol-secret\n";
  }

  if (state.credentials.empty()) {
    const std::string file = handout + "query.credential";
    if (absl::Status status = MakeCredential(
            rooms.registry.get(), kFirstCredential, CredentialScope::kQuery, now,
            [&](std::string_view text) {
              return rights->AsCaller([&] { return ReplaceFile(file, Line(text).view()); });
            });
        !status.ok()) {
      return status;
    }
    *out << "query credential       made, " << file
         << "\n  ▶ to who may ask: tokenwatch --server https://HOST:7480 --ca-file ca.pem "
            "--credential-file query.credential tokens\n";
  } else {
    *out
        << "query credentials      " << state.credentials.size()
        << " exist; only hashes are kept, another one: tokenwatch-collector credentials add NAME\n";
  }
  *out << "CA certificate         " << ca_file
       << "\n  ▶ to who may ask; agents learn it by the enrolment secret\n";
  return absl::OkStatus();
}

absl::Status NewEnrolSecret(const EnrolCommandOptions& options, absl::Time now, OwnerRights* rights,
                            std::ostream* out) {
  absl::StatusOr<Rooms> rooms = OpenRooms(options);
  if (!rooms.ok()) return rooms.status();
  if (options.revoke_all) {
    if (absl::Status status = rooms->registry->EndSecrets(now); !status.ok()) return status;
    *out << "no enrolment secret made so far is valid any more\n";
    return absl::OkStatus();
  }
  const auto expires = MakeSecret(*rooms, options.lifetime, now, [&](std::string_view text) {
    return HandOut(text, options.out_file, rights, out);
  });
  if (!expires.ok()) return expires.status();
  if (!options.out_file.empty()) {
    *out << options.out_file << ": an enrolment secret until " << ShownTime(*expires) << "\n";
  }
  return absl::OkStatus();
}

// A column a width.
void PrintRow(const std::vector<std::string>& cells, std::ostream* out) {
  constexpr size_t kWidths[] = {31, 24, 18, 24, 24};
  for (size_t i = 0; i < cells.size(); ++i) {
    *out << cells[i];
    if (i + 1 == cells.size()) break;
    *out << std::string(cells[i].size() < kWidths[i] ? kWidths[i] - cells[i].size() : 2, ' ');
  }
  *out << "\n";
}

absl::Status ListAgents(const EnrolCommandOptions& options, absl::Time now, std::ostream* out) {
  absl::StatusOr<Rooms> rooms = OpenRooms(options);
  if (!rooms.ok()) return rooms.status();
  const RegistryState state = rooms->registry->State();
  if (state.agents.empty()) return absl::NotFoundError("no agent has enrolled yet");
  PrintRow({"AGENT", "HOST", "ADDRESS", "ENROLLED", "UNTIL", "STATE"}, out);
  for (const auto& [id, agent] : state.agents) {
    PrintRow({id, absl::CHexEscape(agent.host), agent.address, ShownTime(agent.enrolled),
              ShownTime(agent.until),
              agent.revoked ? "revoked" : (agent.until < now ? "ended" : "enrolled")},
             out);
  }
  return absl::OkStatus();
}

absl::Status ChangeAgent(const EnrolCommandOptions& options, bool revoke, absl::Time now,
                         std::ostream* out) {
  absl::StatusOr<Rooms> rooms = OpenRooms(options);
  if (!rooms.ok()) return rooms.status();
  const absl::Status status = revoke ? rooms->registry->RevokeAgent(options.agent, now)
                                     : rooms->registry->ForgetAgent(options.agent, now);
  if (!status.ok()) return status;
  *out << options.agent
       << (revoke ? " is revoked: a running collector ends its connection within a second\n"
                  : " is forgotten: it may enrol anew\n");
  return absl::OkStatus();
}

absl::Status AddCredential(const EnrolCommandOptions& options, absl::Time now, OwnerRights* rights,
                           std::ostream* out) {
  if (options.name.empty() || options.name.size() > kNameMax ||
      !std::all_of(options.name.begin(), options.name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.' || c == '@';
      })) {
    return absl::InvalidArgumentError(
        "a credential's name is 1 to 64 letters, digits, '.', '-', '_' or '@'");
  }
  absl::StatusOr<Rooms> rooms = OpenRooms(options);
  if (!rooms.ok()) return rooms.status();
  if (rooms->registry->State().credentials.contains(options.name)) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a credential '", options.name,
                     "' already: choose another name, or revoke that one first"));
  }
  absl::Status status = MakeCredential(
      rooms->registry.get(), options.name,
      options.metrics_only ? CredentialScope::kMetrics : CredentialScope::kQuery, now,
      [&](std::string_view text) { return HandOut(text, options.out_file, rights, out); });
  if (status.ok() && !options.out_file.empty()) {
    *out << options.out_file << ": the credential '" << options.name << "'"
         << (options.metrics_only ? " for /metrics" : "") << "\n";
  }
  return status;
}

absl::Status ListCredentials(const EnrolCommandOptions& options, std::ostream* out) {
  absl::StatusOr<Rooms> rooms = OpenRooms(options);
  if (!rooms.ok()) return rooms.status();
  const RegistryState state = rooms->registry->State();
  if (state.credentials.empty()) return absl::NotFoundError("there is no credential");
  PrintRow({"NAME", "MADE", "FOR"}, out);
  for (const auto& [name, credential] : state.credentials) {
    PrintRow({name, ShownTime(credential.made),
              credential.scope == CredentialScope::kMetrics ? "metrics" : "queries, metrics"},
             out);
  }
  return absl::OkStatus();
}

absl::Status RevokeCredential(const EnrolCommandOptions& options, absl::Time now,
                              std::ostream* out) {
  absl::StatusOr<Rooms> rooms = OpenRooms(options);
  if (!rooms.ok()) return rooms.status();
  absl::Status status = rooms->registry->RevokeCredential(options.name, now);
  if (status.ok()) {
    *out << options.name << " is revoked: a running collector refuses it within a second\n";
  }
  return status;
}

absl::Status NewFleetKey(const EnrolCommandOptions& options, std::ostream* out) {
  if (options.out_file.empty()) {
    return absl::InvalidArgumentError("fleet-key needs --out-file FILE, where the key is to be");
  }
  if (IsInside(options.out_file, options.data_dir)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out-file ", options.out_file, " is inside the data directory ",
                     options.data_dir, ", where the fleet key must not be: name another"));
  }
  const absl::Status status = MakeFleetKey(options.out_file);
  if (absl::IsAlreadyExists(status)) {
    return absl::AlreadyExistsError(
        absl::StrCat(options.out_file, " exists and is not overwritten: name another file"));
  }
  if (!status.ok()) return status;
  const absl::StatusOr<std::string> id = KeyIdOf(options.out_file);
  if (!id.ok()) return id.status();
  *out << options.out_file << ": the fleet key " << *id
       << "\nTo rotate, in this order: copy it to every host; restart every agent with two "
          "--key-file, this one first; wait until every token that matters has been used once "
          "(a token unseen meanwhile cannot be joined); restart every agent with this one alone; "
          "destroy the old one.\n";
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::Duration> ParseLifetime(const std::string& text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("'", absl::CHexEscape(text.substr(0, 60)),
                   "' is no lifetime: write 90s, 15m, 24h or 7d, at most 3650d"));
  const std::optional<absl::Duration> lifetime = ParseDurationText(text);
  if (!lifetime.has_value() || *lifetime == absl::ZeroDuration() ||
      *lifetime > absl::Hours(24 * 3650)) {
    return wrong;
  }
  return *lifetime;
}

absl::Status RunEnrolCommand(const std::string& command, const EnrolCommandOptions& options,
                             const Clock& clock, std::ostream* out) {
  const absl::Time now = clock.Now();
  if (command == "fleet-key") return NewFleetKey(options, out);
  const auto taken = OwnerRights::TakeOn(options.data_dir);
  if (!taken.ok()) return taken.status();
  OwnerRights* const rights = taken->get();
  if (command == "init") return Init(options, now, rights, out);
  if (command == "enrol-secret") return NewEnrolSecret(options, now, rights, out);
  if (command == "agents list") return ListAgents(options, now, out);
  if (command == "agents revoke") return ChangeAgent(options, /*revoke=*/true, now, out);
  if (command == "agents forget") return ChangeAgent(options, /*revoke=*/false, now, out);
  if (command == "credentials add") return AddCredential(options, now, rights, out);
  if (command == "credentials list") return ListCredentials(options, out);
  if (command == "credentials revoke") return RevokeCredential(options, now, out);
  if (command == "ca") return ShowCa(options, out);
  return absl::InvalidArgumentError(absl::StrCat("unknown command ", command));
}

}  // namespace tokenwatch
