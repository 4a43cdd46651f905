// Findings as lines of RFC 5424.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_SYSLOG_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_SYSLOG_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// What every receiver should take (RFC 5424 section 6.1); what is longer may be cut anywhere.
inline constexpr size_t kSyslogMost = 2048;

// Of its usual names, "local0", "authpriv" and so on; none where the name is unknown.
std::optional<int> SyslogFacility(std::string_view name);

// One message of at most kSyslogMost bytes, without framing. MSGID is the rule, the structured data
// is of "tokenwatch@32473" (the number that RFC 5612 keeps for examples), its `key` the delivery's,
// by which one that was sent twice is known. The text is on one line. `hostname` is this machine's.
std::string SyslogMessage(const v1::Finding& finding, std::string_view key, int facility,
                          std::string_view hostname);

// Framed by its length, for streams (RFC 6587 section 3.4.1).
std::string OctetCounted(std::string_view message);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_SYSLOG_H_
