// Over-privilege: what a token may do beyond what its calls needed.
#ifndef TOKENWATCH_COLLECTOR_STORE_SCOPES_H_
#define TOKENWATCH_COLLECTOR_STORE_SCOPES_H_

#include <string>
#include <string_view>
#include <vector>

namespace tokenwatch {

// Whether a scope of `provider`'s that was granted does what `other` does: they are the same, or
// the provider's documents say that it includes the other.
bool ScopeCovers(std::string_view provider, std::string_view granted, std::string_view other);

// Of `granted` those, in their order, that cover none of `accepted`: the scopes that answers said
// would have done. None where no answer said so, because then nothing is known of what is needed.
std::vector<std::string> UnneededScopes(std::string_view provider,
                                        const std::vector<std::string>& granted,
                                        const std::vector<std::string>& accepted);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_SCOPES_H_
