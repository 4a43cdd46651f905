// Where credentials travel: one row a carrier, one row an authorization scheme. To add one, add a
// row with its samples; a test walks all rows.
//
// Samples are what a request holds, with <S> for a made-up secret, <U> for a made-up user, and
// <64:...> for the base64 of what is inside.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

// Unused ones are empty.
using Samples = std::array<std::string_view, 4>;

enum class CarrierKind : uint8_t {
  kCredentials,  // a header field: a scheme and its credentials, or a value without scheme
  kValue,        // a header field: the value is the secret
  kQuery,        // a query parameter: the percent-decoded value is the secret
};

struct CarrierRow {
  CarrierKind kind;
  std::string_view name;  // lower case; names compare without case
  // What a use's `carrier` shows; a kCredentials row adds '/' and its scheme.
  std::string_view shown;
  Samples carries;      // header lines or targets from which <S> is taken by this row
  Samples near_misses;  // from which this row takes nothing
};

// In the order of preference: a token that a request carries twice is reported once, with the
// carrier that is first here.
absl::Span<const CarrierRow> Carriers();

enum class SchemeForm : uint8_t {
  kWhole,             // everything after the scheme
  kBasic,             // RFC 7617
  kList,              // several, separated by commas
  kParameter,         // the value of `parameter`
  kParameterOrWhole,  // that, or everything where the credentials do not begin with a parameter
  kKeyId,             // `parameter` up to its first '/': a public id; the rest signs this request
  kBeforeColon,       // up to the first ':': a public id; the rest signs this request
  kPerRequest,        // nothing in it serves a second request; counted, never a use
};

struct SchemeRow {
  std::string_view name;  // lower case; schemes compare without case
  SchemeForm form;
  std::string_view parameter;  // lower case
  Samples carries;             // values of Authorization from which <S> is taken
  Samples near_misses;         // from which nothing is taken
};

absl::Span<const SchemeRow> Schemes();

// Null where the scheme has no row.
const SchemeRow* FindScheme(std::string_view name);

// Passwords of Basic that say that the secret is in the user part; lower case. So does none at all.
absl::Span<const std::string_view> PasswordsThatAreNone();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_H_
