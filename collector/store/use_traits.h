// What is notable about a use, by its words in the API.
#ifndef TOKENWATCH_COLLECTOR_STORE_USE_TRAITS_H_
#define TOKENWATCH_COLLECTOR_STORE_USE_TRAITS_H_

#include <cstdint>

#include "tokenwatch/v1/event.pb.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// `word` is what the filter `trait` is called with, and the JSON name of the field of a use.
struct UseTraitRow {
  uint32_t bit;
  const char* word;
  void (v1::Use::*set)(bool);
};

inline constexpr UseTraitRow kUseTraits[] = {
    {v1::USE_TRAIT_FOREIGN_HOST, "foreignHost", &v1::Use::set_foreign_host},
    {v1::USE_TRAIT_IN_QUERY, "inQuery", &v1::Use::set_in_query},
    {v1::USE_TRAIT_CLEARTEXT, "cleartext", &v1::Use::set_cleartext},
    {v1::USE_TRAIT_EXPIRED, "expired", &v1::Use::set_expired},
    {v1::USE_TRAIT_ALG_NONE, "algNone", &v1::Use::set_alg_none},
    {v1::USE_TRAIT_REDIRECTED, "redirected", &v1::Use::set_redirected},
    {v1::USE_TRAIT_BAD_CHECKSUM, "badChecksum", &v1::Use::set_bad_checksum},
    {v1::USE_TRAIT_BY_CONTEXT, "byContext", &v1::Use::set_by_context},
};

// A newer agent's other bits mean nothing here.
inline constexpr uint32_t kKnownTraits = [] {
  uint32_t bits = 0;
  for (const UseTraitRow& row : kUseTraits) bits |= row.bit;
  return bits;
}();

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_USE_TRAITS_H_
