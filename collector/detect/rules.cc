#include "collector/detect/rules.h"

#include <algorithm>
#include <iterator>

#include "collector/store/detection_rules.h"

namespace tokenwatch {
namespace {

using S = Severity;

constexpr char kRotate[] =
    "Ask its owner whether this was meant. If nobody knows of it, rotate the token and look at "
    "what it reached: tokenwatch uses --token {token}.";
constexpr char kConfirm[] =
    "Ask its owner whether a change explains it; it becomes normal by itself within days, or a "
    "suppression with an end says why it is.";
constexpr char kRepair[] =
    "Have its owner repair how the token is sent, then rotate it: whoever was on the way may have "
    "it.";
constexpr char kPolicy[] =
    "Have its owner bring the use into line with the policy, or change the policy's rule.";

// In the order in which a use meets them, and in which the API lists them.
constexpr Rule kRules[] = {
    {"policy_violation", S::kHigh, true, "A use that a rule of the policy does not allow.", kPolicy,
     rules::PolicyViolation, nullptr, nullptr},
    {"revoked_used", S::kHigh, false, "A use after the token was revoked, or is taken no more.",
     "Find the workload that still has it and give it the new token.", rules::RevokedUsed, nullptr,
     nullptr},
    {"expired_used", S::kMedium, true, "A use after the token's own end.",
     "Have its owner renew the token before it ends; where it was accepted, the server does not "
     "check.",
     rules::ExpiredUsed, nullptr, nullptr},
    {"foreign_host", S::kHigh, false, "A token sent to a host that is not its provider's.",
     "Take the token as leaked unless the host is your own proxy: rotate it. A proxy of your own "
     "is "
     "named in the agent's configuration: provider-hosts, or --provider-hosts, on its machine.",
     rules::ForeignHost, nullptr, nullptr},
    {"cleartext", S::kHigh, true, "A token sent over plain HTTP to another machine.", kRepair,
     rules::Cleartext, nullptr, nullptr},
    {"in_query", S::kMedium, true, "A token sent within a URL.", kRepair, rules::InQuery, nullptr,
     nullptr},
    {"new_source_country", S::kHigh, false, "Use from a country that is new for the token.",
     kRotate, rules::NewSourceCountry, nullptr, nullptr},
    {"new_source", S::kHigh, false, "Use from a network that is new for the token.", kRotate,
     rules::NewSource, nullptr, nullptr},
    {"new_machine", S::kMedium, false, "Use on a machine that is new for the token.", kConfirm,
     rules::NewMachine, nullptr, nullptr},
    {"new_workload", S::kHigh, false, "Use by a workload that is new for the token.", kRotate,
     rules::NewWorkload, nullptr, nullptr},
    {"shared_token", S::kMedium, false, "One token in several services.",
     "Give each service a token of its own, so that one can be rotated without the others.",
     rules::SharedToken, nullptr, nullptr},
    {"new_user_agent", S::kMedium, false, "A client that is new for the token.", kRotate,
     rules::NewUserAgent, nullptr, nullptr},
    {"new_host", S::kMedium, false, "A host that the token was never sent to.", kRotate,
     rules::NewHost, nullptr, nullptr},
    {"new_destination_country", S::kMedium, false,
     "A host's name that leads to a country where it never led.",
     "Compare what the name resolves to on the machine with what it should.",
     rules::NewDestinationCountry, nullptr, nullptr},
    {"new_destination", S::kMedium, false,
     "A host's name that leads to a network where it never led.",
     "Compare what the name resolves to on the machine with what it should.", rules::NewDestination,
     nullptr, nullptr},
    {"new_resource", S::kLow, false, "A resource that is new for the token.", kConfirm,
     rules::NewResource, nullptr, nullptr},
    {"first_write", S::kMedium, false, "A change made with a token that only read.", kRotate,
     rules::FirstWrite, nullptr, nullptr},
    {"resource_burst", S::kHigh, false, "Many resources in a short time, most of them new.",
     kRotate, rules::ResourceBurst, nullptr, nullptr},
    {"denial_burst", S::kHigh, false, "Many refusals in a short time.", kRotate, rules::DenialBurst,
     nullptr, nullptr},
    {"volume_spike", S::kMedium, false, "Far more uses than at such a time.", kRotate,
     rules::VolumeSpike, nullptr, nullptr},
    {"off_hours", S::kMedium, false, "Use at a time far from all of the token's usual ones.",
     kRotate, rules::OffHours, nullptr, nullptr},
    {"dormant_revived", S::kMedium, false, "Use of a token that had been silent for long.", kRotate,
     rules::DormantRevived, nullptr, nullptr},
    {"slow_probing", S::kMedium, false, "A few odd uses a day, over days.", kRotate,
     rules::SlowProbing, nullptr, nullptr},
    {"first_of_format", S::kLow, false, "The fleet's first token of its kind.",
     "Ask its owner whether the provider is one that you use.", rules::FirstOfFormat, nullptr,
     nullptr},
    {"token_invention", S::kHigh, false, "A workload that comes with ever new tokens.",
     "Look at the workload: it tries tokens, or puts into a credential's place what is none.",
     rules::TokenInvention, nullptr, nullptr},
    {"over_age", S::kMedium, true, "A token older than the policy allows, or not rotated in time.",
     "Rotate it; the policy's rule says how often.", rules::OverAge, nullptr, nullptr},
    {"unmapped", S::kInfo, true, "A token that nobody owns.",
     "Add a row to the policy's owners that takes its workload.", rules::Unmapped, nullptr,
     nullptr},
    {"volume_drop", S::kMedium, false, "Far fewer uses than were to be expected.",
     "Ask its owner whether the integration still works.", nullptr, rules::VolumeDrop, nullptr},
    {"dormant", S::kLow, true, "A token unused for longer than the policy allows.",
     "Revoke it if nobody needs it.", nullptr, rules::Dormant, nullptr},
    {"scope_change", S::kHigh, false, "A token that may do more than before.",
     "Ask who granted the scope and whether the token needs it.", nullptr, nullptr,
     rules::ScopeChange},
};

static_assert(std::size(kRules) == std::size(kDetectionRules) &&
                  std::all_of(std::begin(kRules), std::end(kRules),
                              [](const Rule& rule) { return IsDetectionRule(rule.id); }),
              "name every rule in collector/store/detection_rules.h too");

}  // namespace

absl::Span<const Rule> Rules() { return kRules; }

std::string_view SeverityName(Severity severity) {
  static constexpr std::string_view kNames[] = {"info", "low", "medium", "high", "critical"};
  return kNames[static_cast<size_t>(severity)];
}

}  // namespace tokenwatch
