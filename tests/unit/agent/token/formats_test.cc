#include "agent/token/formats.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/token/format_file.h"
#include "agent/token/format_regex.h"
#include "agent/token/sample.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kSeeds = 5;

const std::vector<FormatRow>& Rows() {
  static const FormatFile file = ParseFormats(std::string(BuiltInFormatText()), "formats.yaml");
  return file.rows;
}

const FormatTable& Table() {
  static const std::unique_ptr<FormatTable> table = *FormatTable::Create();
  return *table;
}

std::string Make(std::string_view text, uint64_t seed = 1) {
  SampleRandom random(seed);
  const absl::StatusOr<std::string> made = MakeSample(text, &random);
  EXPECT_TRUE(made.ok()) << made.status() << " in " << text;
  return made.ok() ? *made : "";
}

std::string IdOf(const FormatMatch& match) {
  return match.format == nullptr ? "opaque" : match.format->id;
}

// A host that `pattern` fits.
std::string AHost(std::string pattern) {
  for (size_t star = 0; (star = pattern.find('*')) != std::string::npos;) {
    pattern.replace(star, 1, "eu-1");
  }
  return pattern;
}

TEST(FormatTableTest, HasNoRowThatIsRefused) {
  const FormatFile file = ParseFormats(std::string(BuiltInFormatText()), "formats.yaml");
  for (const std::string& refusal : file.refusals) ADD_FAILURE() << refusal;
  ASSERT_TRUE(FormatTable::Create().ok()) << FormatTable::Create().status();
}

TEST(FormatTableTest, CoversManyProviders) {
  std::set<std::string> ids, providers;
  for (const FormatRow& row : Rows()) {
    EXPECT_TRUE(ids.insert(row.format.id).second) << row.format.id;
    providers.insert(row.format.provider);
  }
  EXPECT_GE(ids.size(), 300);
  EXPECT_GE(providers.size(), 150);
}

// Every row: its samples are its own at its first host, its near misses are not, and nothing
// ordinary is. At a host that is nobody's, no other row is preferred to one that is not weak.
TEST(FormatTableTest, EveryRowFitsItsSamples) {
  for (const FormatRow& row : Rows()) {
    SCOPED_TRACE(row.format.id);
    const absl::Status status = CheckFormatRow(row);
    EXPECT_TRUE(status.ok()) << status;
    const std::string host = row.format.hosts.empty() ? "" : AHost(row.format.hosts.front());
    const std::string carrier = row.format.carriers.empty() ? "" : row.format.carriers.front();
    for (const std::string& text : row.samples) {
      for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const std::string secret = Make(text, seed);
        if (!host.empty() || !row.format.weak) {
          const FormatMatch match = Table().Classify(secret, host, carrier);
          EXPECT_EQ(IdOf(match), row.format.id) << text << " at " << host;
          EXPECT_EQ(match.by_context, row.format.weak);
          EXPECT_EQ(match.checksum, row.format.checksum == ChecksumKind::kNone
                                        ? ChecksumState::kNone
                                        : ChecksumState::kGood);
        }
        if (!row.format.carriers.empty()) {
          EXPECT_EQ(IdOf(Table().Classify(secret, "unrelated.example", carrier)), row.format.id)
              << text << " in " << carrier;
        }
        if (row.format.weak) continue;
        EXPECT_EQ(IdOf(Table().Classify(secret, "unrelated.example", "authorization/bearer")),
                  row.format.id)
            << text;
        EXPECT_EQ(Table().IsSelfIdentifying(secret), row.format.self_identifying) << text;
      }
    }
  }
}

}  // namespace
}  // namespace tokenwatch
