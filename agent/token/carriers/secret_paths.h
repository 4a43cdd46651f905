// Paths with a credential in them: webhooks and bots.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_SECRET_PATHS_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_SECRET_PATHS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "agent/token/carriers/carriers.h"

namespace tokenwatch {

// Of a row's segments "*" stands for any, "#" for digits, "##" for 17 or more digits, "T*" for what
// begins with T, "$" for the secret, "bot$" for "bot", digits, a colon (as it is or as %3A) and
// more. A row may begin at any segment of a path.
//
// The secret of the credential is what stands in the path from segment `from` on to the end of the
// last "$", with its slashes, percent-decoded: of Slack's "/services/T0/B0/x" "T0/B0/x". Of "bot$"
// it is what follows "bot".
struct SecretPathRow {
  std::array<std::string_view, 6> segments;  // unused ones are empty
  size_t from;
  // The hosts of the vendor; "*.x" stands for all below x. At these the row is a credential.
  std::array<std::string_view, 2> hosts;
  // At other hosts (proxies, self-hosted ones) it is one where the segment "$" has at least so many
  // bytes; 0: never.
  size_t elsewhere_from;
  // Hidden in templates at any host, however short; else only at `hosts`.
  bool hidden_anywhere;
  Samples samples;      // targets with <S> for a made-up secret
  Samples near_misses;  // targets that hold no credential
};

absl::Span<const SecretPathRow> SecretPaths();

// Where a row matches.
struct SecretPath {
  const SecretPathRow* row;
  size_t segment;      // of the path: the one with the secret
  size_t begin, end;   // of the path's bytes: the credential's secret, still encoded
  bool is_credential;  // by its host or its length
};

using SecretPathList = absl::InlinedVector<SecretPath, 4>;

// Appends the matches in `path`, which has no query. `host` may have a port, in any case. Linear.
void FindSecretPaths(std::string_view path, std::string_view host, SecretPathList* found);

// Whether `host`, in any case and maybe with a port, is `pattern` or, of "*.x", below x.
bool HostIs(std::string_view host, std::string_view pattern);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_SECRET_PATHS_H_
