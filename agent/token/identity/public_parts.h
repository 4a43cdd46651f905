// What tokens of some formats say about themselves in parts that are public: key ids, accounts,
// hosts. One row a format; a test walks all rows. A part is public where the provider shows it in
// lists and logs or derives it from such a part; beginnings and ends of a secret never are.
#ifndef TOKENWATCH_AGENT_TOKEN_IDENTITY_PUBLIC_PARTS_H_
#define TOKENWATCH_AGENT_TOKEN_IDENTITY_PUBLIC_PARTS_H_

#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "agent/token/identity/fact_list.h"

namespace tokenwatch {

struct TokenText {
  std::string_view secret;  // normalised (agent/token/carriers/extract.h)
  std::string_view user;    // the other part of Basic
};

struct PublicPartRow {
  std::string_view format;  // id of a row of formats.yaml
  // Adds what there is; nothing where the token has not the shape. Linear, wipes what it decodes.
  void (*read)(const TokenText& token, FactList* facts);
};

absl::Span<const PublicPartRow> PublicPartRows();

// Null where the format has no row.
const PublicPartRow* FindPublicParts(std::string_view format);

// The account of an AWS access key id, twelve digits. Empty where `key_id` is none, or one of the
// time before ids held an account.
std::string AwsAccount(std::string_view key_id);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_IDENTITY_PUBLIC_PARTS_H_
