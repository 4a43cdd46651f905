#include "collector/notify/syslog.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "collector/notify/finding_words.h"
#include "collector/notify/shown_text.h"
#include "collector/store/finding_words.h"

namespace tokenwatch {
namespace {

// RFC 5424 section 6.2.1, by number.
constexpr std::array<std::string_view, 24> kFacilities = {
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",  "alert",  "clock",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};
// Of kSeverities: critical is 2, high an error, then warning, notice and informational.
constexpr std::array<int, 5> kNumbers = {6, 5, 4, 3, 2};
constexpr int kNotice = 5;

constexpr size_t kHostMost = 255;
constexpr size_t kMessageIdMost = 32;
constexpr size_t kValueMost = 64;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// A field of the header: printable ASCII without blanks, "-" where it is empty.
std::string HeaderField(std::string_view text, size_t most) {
  std::string field;
  for (const char c : text.substr(0, most)) field += c > ' ' && c < 0x7f ? c : '?';
  return field.empty() ? "-" : field;
}

// Section 6.3.3: '"', '\' and ']' are escaped, and nothing else is.
void AddParameter(const char* name, const std::string& value, std::string* data) {
  if (value.empty()) return;
  absl::StrAppend(data, " ", name, "=\"",
                  absl::StrReplaceAll(ShownText(value, kValueMost),
                                      {{"\\", "\\\\"}, {"\"", "\\\""}, {"]", "\\]"}}),
                  "\"");
}

absl::Time TimeOf(const v1::Finding& finding) {
  const auto& time = finding.has_raised() ? finding.raised() : finding.last_seen();
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace

std::optional<int> SyslogFacility(std::string_view name) {
  const auto* const found = std::find(kFacilities.begin(), kFacilities.end(), name);
  if (found == kFacilities.end()) return std::nullopt;
  return static_cast<int>(found - kFacilities.begin());
}

std::string SyslogMessage(const v1::Finding& finding, std::string_view key, int facility,
                          std::string_view hostname) {
  const std::optional<uint32_t> rank = SeverityRank(finding.severity());
  const int severity = rank.has_value() ? kNumbers[*rank] : kNotice;
  std::string message =
      absl::StrCat("<", facility * 8 + severity, ">1 ",
                   absl::FormatTime("%E4Y-%m-%dT%H:%M:%E6SZ", TimeOf(finding), absl::UTCTimeZone()),
                   " ", HeaderField(hostname, kHostMost), " tokenwatch-collector - ",
                   HeaderField(finding.rule(), kMessageIdMost), " [tokenwatch@32473");
  AddParameter("key", std::string(key), &message);
  AddParameter("finding", finding.finding_id(), &message);
  AddParameter("severity", finding.severity(), &message);
  AddParameter("owner", finding.owner(), &message);
  AddParameter("token", finding.token_id(), &message);
  AddParameter("credential", finding.credential_id(), &message);
  AddParameter("format", finding.format(), &message);
  AddParameter("provider", finding.provider(), &message);
  AddParameter("workload", finding.workload(), &message);
  AddParameter("machine", MachineOf(finding), &message);
  AddParameter("policy_rule", finding.policy_rule(), &message);
  AddParameter("kind", finding.kind(), &message);
  AddParameter("uses", absl::StrCat(finding.uses()), &message);
  absl::StrAppend(&message, "] ", absl::string_view(kByteOrderMark.data(), kByteOrderMark.size()));
  const std::string newest = NewestUseText(finding);
  const size_t left = kSyslogMost - std::min(kSyslogMost, message.size());
  absl::StrAppend(
      &message,
      ShownText(absl::StrCat(finding.title(), ": ", finding.observed(),
                             finding.normal().empty() ? "" : "; normal: ", finding.normal(),
                             newest.empty() ? "" : "; newest use: ", newest),
                left));
  return message;
}

std::string OctetCounted(std::string_view message) {
  return absl::StrCat(message.size(), " ", absl::string_view(message.data(), message.size()));
}

}  // namespace tokenwatch
