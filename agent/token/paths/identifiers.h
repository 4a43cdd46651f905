// Segments of paths that name a person, a machine, a day or one of many things by their form.
#ifndef TOKENWATCH_AGENT_TOKEN_PATHS_IDENTIFIERS_H_
#define TOKENWATCH_AGENT_TOKEN_PATHS_IDENTIFIERS_H_

#include <optional>
#include <string>
#include <string_view>

namespace tokenwatch {

// What is shown for a segment, or nothing where it is none of these:
//
//   {email}   for a mail address, also with %40, and in "Users('a@b.example')" for that alone
//   {phone}   for '+' or %2B and 7 to 15 digits
//   {ip}      for an IPv4 or IPv6 address
//   {date}    for 2026-01-31, also with a time behind it; not in the `first` segment, where it is
//             the version of an API
//   cus_{id}  for a short prefix and an id of letters and digits, u-{id} for one of four digits on
//
// Linear. `segment` is as it is sent; what is shown of it is printable.
std::optional<std::string> ShownIdentifier(std::string_view segment, bool first);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_PATHS_IDENTIFIERS_H_
