// Where credentials travel: one row a carrier, one row an authorization scheme. To add one, add a
// row with its samples; a test walks all rows.
//
// Samples are what a request holds, with <S> for a made-up secret, <U> for a made-up user,
// <64:...> for the base64 of what is inside and <64u:...> for that in the URL's alphabet without
// padding.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_CARRIERS_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_CARRIERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

// Unused ones are empty.
using Samples = std::array<std::string_view, 4>;

enum class CarrierKind : uint8_t {
  // Header fields. A name that ends in "-bin" is gRPC's for base64 of the value (its PROTOCOL-HTTP2
  // document); it is the row's without that end, unless it has an own row.
  kCredentials,   // a scheme and its credentials, or a value without scheme
  kValue,         // the value is the secret
  kSubprotocols,  // of a WebSocket; a row of Subprotocols() says which holds a secret
  kRegistryAuth,  // base64 of JSON with a password or an identity token
  kCookie,        // a cookie that the settings name
  kOtherField,    // any other name, where the value identifies itself as a token
  kNeverField,    // looks like a credential and is none; never searched
  // The target.
  kUserinfo,     // user:password@ before the host, with Basic's meaning
  kQuery,        // a query parameter: the percent-decoded value is the secret
  kQueryId,      // the value up to its first '/' is a public id where another parameter signs, else
                 // all of it a secret
  kQueryPublic,  // the value is a public id whatever else is there
  kFunctionKey,  // where the request is one of Azure Functions, whose keys have a common name
  kSharedSignature,  // Azure's: where the other parameters are those of a shared access signature
                     // that no key's id tells apart, the value is the secret of whoever has the URL
  kOtherQuery,       // any other name, where the value identifies itself as a token
  kNeverQuery,
  kPath,  // a row of SecretPaths()
};

struct CarrierRow {
  CarrierKind kind;
  std::string_view name;  // lower case; names compare without case; empty: any, or none
  // What a use's `carrier` shows; a kCredentials row adds '/' and its scheme, kCookie, kOtherField
  // and kOtherQuery '/' and the name.
  std::string_view shown;
  Samples carries;      // header lines or targets from which <S> is taken by this row
  Samples near_misses;  // from which this row takes nothing
  // Of a name that is often something else: the bytes of a value that counts. Names and numbers do
  // not there (IsPlain), however long they are.
  size_t shortest = 1;
};

// In the order of preference: a token that a request carries twice is reported once, with the
// carrier that is first here.
absl::Span<const CarrierRow> Carriers();

// Places in Carriers().
struct CarrierRanks {
  size_t userinfo, cookie, other_field, other_query, path;
};
const CarrierRanks& RanksOfRowsWithoutName();

enum class NameIs : uint8_t {
  kCarrier,
  kOrdinary,  // of a field or parameter that is no credential, whatever its value looks like
  kUnknown,
};

struct FoundName {
  NameIs is = NameIs::kUnknown;
  size_t rank = 0;      // in Carriers(), of kCarrier
  bool base64 = false;  // gRPC's "-bin"; also of kUnknown
};

FoundName FindFieldName(std::string_view name);
FoundName FindQueryName(std::string_view name);

// Names of fields without a row that are never searched.
absl::Span<const std::string_view> OrdinaryFields();

enum class SchemeForm : uint8_t {
  kWhole,             // everything after the scheme
  kBasic,             // RFC 7617
  kList,              // several, separated by commas
  kParameter,         // the value of `parameter`, else of `public_parameter`
  kParameterOrWhole,  // that, or everything where the credentials do not begin with a parameter
  kKeyId,             // `public_parameter` up to its first '/'; the rest signs this request
  kBeforeColon,       // up to the first ':': a public id; the rest signs this request. Without a
                      // ':' all of it is a secret
  kBeforeSlash,       // up to the first '/': likewise
  kSharedAccess,      // Azure: key name and resource, which are public; the rest signs for a while
  kCosmos,            // Azure: a resource's token, an identity's token, or a signature
  kPerRequest,        // nothing in it serves a second request; counted, never a use
};

struct SchemeRow {
  std::string_view name;  // lower case; schemes compare without case
  SchemeForm form;
  std::string_view parameter;         // lower case, as is the next
  std::string_view public_parameter;  // tells the key apart and is no secret
  Samples carries;                    // values of Authorization from which <S> is taken
  Samples near_misses;                // from which nothing is taken
  // The parameter that signs the request: without it `public_parameter` is not taken for public.
  // Empty: it is public by itself.
  std::string_view signed_by = "signature";
};

absl::Span<const SchemeRow> Schemes();

// Null where the scheme has no row.
const SchemeRow* FindScheme(std::string_view name);

// Values of Authorization without a scheme that are more than a secret: rows whose name, which ends
// in no blank, begins the value. For kBeforeSlash and kBeforeColon the rest counts, for other forms
// all of it.
absl::Span<const SchemeRow> RawForms();

// Elements of Sec-WebSocket-Protocol. A row's secret follows its prefix; a row that ends in ','
// stands for the element in front of the secret's.
struct SubprotocolRow {
  std::string_view prefix;
  bool base64;
};

absl::Span<const SubprotocolRow> Subprotocols();

// Passwords of Basic that say that the secret is in the user part, where that may be one; lower
// case. So do a stand-in, and none at all.
absl::Span<const std::string_view> PasswordsThatAreNone();

// Users of Basic that are a vendor's fixed word, and no person; lower case. Never a secret.
absl::Span<const std::string_view> FixedUsers();

// Users of Basic that are public ids of accounts or keys.
struct PublicUserRow {
  std::string_view prefix;
  std::string_view alphabet;
  size_t shortest, longest;  // behind the prefix
  std::string_view sample;   // made up
};

absl::Span<const PublicUserRow> PublicUsers();

// Whether a user of Basic may be shown: a fixed word, or the public id of a known kind.
bool IsPublicUser(std::string_view user);

// Whether a pair of Basic is the public id of a key and what it signed the request with.
bool IsSignedPair(std::string_view user, std::string_view password);

// What the word "session" of the cookie settings stands for.
struct SessionCookieRow {
  std::string_view name;          // '*' stands for any text; compares with case
  std::string_view value_prefix;  // where the name alone is too common
};

absl::Span<const SessionCookieRow> SessionCookies();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_CARRIERS_H_
