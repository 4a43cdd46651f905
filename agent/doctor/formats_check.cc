// The user's token formats: whether the agent takes each row, file and provider's host.
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/doctor/check.h"
#include "agent/token/formats/formats.h"

namespace tokenwatch {

std::vector<Finding> CheckTokenFormats(const DoctorContext& context) {
  FormatOptions options = context.options.formats;
  std::vector<Finding> findings;
  if (options.files.empty() && options.provider_hosts.empty()) {
    return {Ok("token formats", "those that are built in")};
  }
  std::erase_if(options.files, [&findings](const std::string& file) {
    const bool is_hidden =
        geteuid() != 0 && access(file.c_str(), F_OK) == 0 && access(file.c_str(), R_OK) != 0;
    if (is_hidden) {
      findings.push_back(Unknown(file, "may not be read by this user", "run as root"));
    }
    return is_hidden;
  });
  std::vector<std::string> refusals;
  if (const absl::Status status = FormatTable::Create(options, &refusals).status(); !status.ok()) {
    findings.push_back(FromStatus("token formats", status));
  }
  for (std::string& refusal : refusals) {
    findings.push_back(
        Fails("token formats", std::move(refusal), "correct it, as the agent goes on without it"));
  }
  if (findings.empty()) {
    const auto number = [](size_t count, const char* word) {
      return absl::StrCat(count, " ", word, count == 1 ? "" : "s");
    };
    findings.push_back(
        Ok("token formats", absl::StrCat(number(options.files.size(), "file"), " and ",
                                         number(options.provider_hosts.size(), "host"),
                                         " beside those that are built in")));
  }
  return findings;
}

}  // namespace tokenwatch
