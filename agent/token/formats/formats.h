// What kind of token a secret is: the table of agent/token/formats/formats.yaml, and the rows of
// the user.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_FORMATS_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_FORMATS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/formats/checksums.h"

namespace tokenwatch {

// A row of the table; immutable. formats.yaml says what each key means.
struct Format {
  std::string id;         // e.g. "github_pat_classic"
  std::string provider;   // e.g. "GitHub"
  std::string kind;       // e.g. "personal access token (classic)"
  std::string pattern;    // RE2 (format_pattern.h), matched against the whole secret
  size_t min_length = 0;  // bytes of the secret
  size_t max_length = 0;
  std::vector<std::string> hosts;     // patterns (host_pattern.h); of whom it may be shown to
  std::vector<std::string> carriers;  // by which alone a weak shape is recognised
  // Words, between dots and hyphens, of hosts that people name after what runs there.
  std::vector<std::string> named;
  // What the decoded first and second part of a JWT must hold, byte by byte.
  std::vector<std::string> header_has, claims_have;
  ChecksumKind checksum = ChecksumKind::kNone;
  bool weak = false;         // recognised only together with its host or carrier
  bool self_hosted = false;  // may be at home on any host
  // Its shape alone is proof enough in a field that need not carry a credential.
  bool self_identifying = false;
  bool of_user = false;
};

struct FormatMatch {
  const Format* format = nullptr;  // null: opaque
  ChecksumState checksum = ChecksumState::kNone;
  bool by_context = false;  // decided by host or carrier; the shape, or what a JWT claims, is weak
  // Of the secret, what the pattern's group "public" matched: an id that the provider shows in
  // lists and logs. Safe to show; may be empty.
  std::string_view public_part;
};

struct FormatOptions {
  std::vector<std::string> files;  // of the user, rows as formats.yaml has them
  // "PROVIDER=HOST-PATTERN", for instances of one's own: with the built-in ones all there are.
  std::vector<std::string> provider_hosts;
};

// Immutable and thread safe. Holds no secret.
class FormatTable : public SecretShapes {
 public:
  enum class HostFit : uint8_t { kUnknown, kOwn, kForeign };

  // The built-in rows and those of `options`. A row, file or host pattern that is wrong is left out
  // and adds a sentence to `refusals` (may be null) with file, line and reason; all else works.
  // Internal where the built-in table itself is wrong, which a test excludes.
  static absl::StatusOr<std::unique_ptr<FormatTable>> Create(
      const FormatOptions& options = {}, std::vector<std::string>* refusals = nullptr);
  ~FormatTable() override;

  // `host` in lower case without port, with or without the dot that may end a name, `carrier` as
  // Credential::carrier; both may be empty. Linear
  // in the secret; allocates only where it is a JWT. Of several rows that match, a weak one yields
  // to a self-identifying one with a longer literal; else decide, in this order, the host, the
  // carrier, what the shape has in literals, and whether the row is the user's. A JWT whose claims
  // fit no row is what is sent to its host.
  FormatMatch Classify(std::string_view secret, std::string_view host,
                       std::string_view carrier) const;

  // Null where no row has that id.
  const Format* Find(std::string_view id) const;

  // Whether all of `value`, of a field that no carrier row names, is a token: by formats whose
  // shape alone proves it.
  bool IsSelfIdentifying(std::string_view value) const override;

  // The fields and parameters that the user's rows name as carriers.
  std::string_view OwnField(std::string_view name) const override;
  std::string_view OwnParameter(std::string_view name) const override;

  // Whether `host` (as above) is one of those of the format's provider. Unknown where the format
  // names none or may be at home anywhere, unless the user lists the provider's hosts (but for
  // JWTs), and of loopback, private addresses and names without a dot or of a private zone: these
  // may stand for anything. `format` is of this table. HomeHosts learns what is unknown here.
  HostFit FitOf(const Format& format, std::string_view host) const;

  // All rows, the built-in ones first.
  const std::vector<Format>& formats() const;

 private:
  struct Parts;
  explicit FormatTable(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_FORMATS_H_
