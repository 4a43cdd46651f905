// YAML to Policy. Every problem is told, so that a file is put right in one go.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/common/yaml_reader.h"
#include "agent/common/yaml_tree.h"
#include "collector/policy/policy.h"

namespace tokenwatch {
namespace {

constexpr size_t kNameMax = 64;
constexpr size_t kTextMax = 512;

bool IsId(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '_';
         });
}

}  // namespace

class PolicyReader final : public YamlReader {
 public:
  using YamlReader::YamlReader;

  std::shared_ptr<const Policy> Read(const YamlNode& root);

 private:
  // `owners`: where the row may ask for the owner; else null.
  void ReadMatch(const YamlNode& node, Match* match, std::vector<std::string>* owners);
  void ReadOwner(const YamlNode& node);
  void ReadRule(const YamlNode& node);
  void ReadAllowed(const YamlNode& node, PolicyRule* rule);
  void ReadHours(const YamlNode& node, PolicyRule* rule);
  void ReadNetworks(const YamlNode& node, std::string_view key, std::vector<Network>* networks);
  void ReadSuppression(const YamlNode& node);
  void CheckOwners(const std::vector<int>& lines);

  Policy policy_;
  std::set<std::string> rule_ids_;
  std::vector<int> owner_lines_;
};

void PolicyReader::ReadMatch(const YamlNode& node, Match* match, std::vector<std::string>* owners) {
  std::vector<std::string> known(MatchFieldNames().begin(), MatchFieldNames().end());
  if (owners != nullptr) known.emplace_back("owner");
  for (const auto& [key, value] : Take(node, "match", known)) {
    std::vector<std::string> patterns = Texts(*value, key);
    if (key == "owner") {
      *owners = std::move(patterns);
      continue;
    }
    if (key == "host" || key == "method") {
      const bool upper = key == "method";
      for (std::string& pattern : patterns) {
        if (upper) {
          absl::AsciiStrToUpper(&pattern);
        } else {
          absl::AsciiStrToLower(&pattern);
        }
      }
    }
    match->Add({*MatchFieldByName(key), std::move(patterns)});
  }
}

void PolicyReader::ReadOwner(const YamlNode& node) {
  const Entries row = Take(node, "owners", {"owner", "contact", "match"});
  if (node.kind != YamlNode::Kind::kMap) return;
  OwnerRow owner;
  owner.where = Where(node);
  if (row.contains("owner")) {
    owner.owner = Text(*row.at("owner"), "owner", kNameMax);
    if (owner.owner == "none") {
      Refuse(node.line, "'none' stands for what nobody owns: give another name, or no row at all");
    }
  } else {
    Refuse(node.line, "'owner' is needed: the name of a team or person");
  }
  if (row.contains("contact")) owner.contact = Text(*row.at("contact"), "contact", kTextMax);
  // Whatever no other row takes, the last row may.
  if (row.contains("match")) ReadMatch(*row.at("match"), &owner.match, nullptr);
  owner_lines_.push_back(node.line);
  policy_.owners_.push_back(std::move(owner));
}

// The first row that fits wins, so one that can never be the first is a mistake.
void PolicyReader::CheckOwners(const std::vector<int>& lines) {
  const std::vector<OwnerRow>& owners = policy_.owners_;
  for (size_t later = 1; later < owners.size(); ++later) {
    for (size_t earlier = 0; earlier < later; ++earlier) {
      if (!owners[earlier].match.Covers(owners[later].match)) continue;
      Refuse(lines[later], absl::StrCat("this row never counts: the one of '",
                                        owners[earlier].owner, "' in line ", lines[earlier],
                                        " takes all that it matches; put this one before it"));
      break;
    }
  }
}

void PolicyReader::ReadHours(const YamlNode& node, PolicyRule* rule) {
  const Entries row = Take(node, "hours", {"days", "from", "to", "time-zone"});
  if (node.kind != YamlNode::Kind::kMap) return;
  const auto text = [&](const char* key) {
    const auto found = row.find(key);
    return found == row.end() ? std::string() : Text(*found->second, key, kNameMax);
  };
  if (!row.contains("time-zone")) {
    return Refuse(node.line, "'time-zone' is needed: a name such as Europe/Berlin or UTC");
  }
  absl::StatusOr<Hours> hours =
      Hours::Create(text("days"), text("from"), text("to"), text("time-zone"));
  if (!hours.ok()) return Refuse(node.line, std::string(hours.status().message()));
  rule->hours = *std::move(hours);
}

void PolicyReader::ReadNetworks(const YamlNode& node, std::string_view key,
                                std::vector<Network>* networks) {
  for (const std::string& text : Texts(node, key)) {
    absl::StatusOr<Network> network = Network::Create(text);
    if (network.ok()) {
      networks->push_back(*std::move(network));
    } else {
      Refuse(node.line, std::string(network.status().message()));
    }
  }
}

void PolicyReader::ReadAllowed(const YamlNode& node, PolicyRule* rule) {
  for (const auto& [key, value] :
       Take(node, "allow",
            {"hosts", "resources", "methods", "workloads", "hours", "networks", "sources"})) {
    if (key == "hosts") rule->hosts = Texts(*value, key);
    if (key == "resources") {
      rule->resources = Texts(*value, key);
      for (const std::string& resource : rule->resources) {
        const size_t blank = resource.find(' ');
        if (blank == std::string::npos || resource.find('/', blank) == std::string::npos) {
          Refuse(value->line, absl::StrCat("'", ShownYaml(resource),
                                           "' is no resource: write 'GET api.github.com/repos/*', "
                                           "with '*' for any method"));
        }
      }
    }
    if (key == "methods") {
      rule->methods = Texts(*value, key);
      for (std::string& method : rule->methods) absl::AsciiStrToUpper(&method);
    }
    if (key == "workloads") rule->workloads = Texts(*value, key);
    if (key == "hours") ReadHours(*value, rule);
    if (key == "networks") ReadNetworks(*value, key, &rule->networks);
    if (key == "sources") ReadNetworks(*value, key, &rule->sources);
  }
}

void PolicyReader::ReadRule(const YamlNode& node) {
  const Entries row =
      Take(node, "rules", {"id", "match", "max-age", "rotate-within", "dormant-after", "allow"});
  if (node.kind != YamlNode::Kind::kMap) return;
  PolicyRule rule;
  rule.where = Where(node);
  if (row.contains("id")) rule.id = Text(*row.at("id"), "id", kNameMax);
  if (!IsId(rule.id)) {
    Refuse(node.line, "'id' is needed: a name of a-z, 0-9, '-' and '_', of at most 64 bytes");
  } else if (!rule_ids_.insert(rule.id).second) {
    Refuse(node.line, absl::StrCat("the id '", rule.id, "' is taken already"));
  }
  if (row.contains("match")) ReadMatch(*row.at("match"), &rule.match, &rule.owners);
  rule.max_age = Period(row, "max-age");
  rule.rotate_within = Period(row, "rotate-within");
  rule.dormant_after = Period(row, "dormant-after");
  if (row.contains("allow")) ReadAllowed(*row.at("allow"), &rule);
  const bool asks = row.contains("max-age") || row.contains("rotate-within") ||
                    row.contains("dormant-after") || row.contains("allow");
  if (!asks) {
    Refuse(node.line,
           "the rule asks for nothing: give it max-age, rotate-within, dormant-after or allow");
  }
  policy_.rules_.push_back(std::move(rule));
}

void PolicyReader::ReadSuppression(const YamlNode& node) {
  const Entries row = Take(node, "suppressions", {"rule", "match", "until", "reason"});
  if (node.kind != YamlNode::Kind::kMap) return;
  Suppression suppression;
  suppression.where = Where(node);
  for (const char* key : {"rule", "until", "reason"}) {
    if (!row.contains(key)) {
      return Refuse(node.line, absl::StrCat("'", key,
                                            "' is needed: a suppression names its rule, "
                                            "ends, and has a reason"));
    }
  }
  suppression.rule = Text(*row.at("rule"), "rule", kNameMax);
  suppression.reason = Text(*row.at("reason"), "reason", kTextMax);
  const YamlNode& until = *row.at("until");
  absl::CivilDay day;
  std::string error;
  if (until.kind == YamlNode::Kind::kScalar && absl::ParseCivilTime(until.text, &day)) {
    // The whole of that day, everywhere on Earth.
    suppression.until = absl::FromCivil(day + 1, absl::FixedTimeZone(-12 * 3600));
  } else if (until.kind != YamlNode::Kind::kScalar ||
             !absl::ParseTime(absl::RFC3339_full, until.text, &suppression.until, &error)) {
    Refuse(until.line, "'until' takes a day, 2027-01-31, or a time, 2027-01-31T12:00:00Z");
  }
  if (row.contains("match")) ReadMatch(*row.at("match"), &suppression.match, nullptr);
  policy_.suppressions_.push_back(std::move(suppression));
}

std::shared_ptr<const Policy> PolicyReader::Read(const YamlNode& root) {
  if (!RefuseEmpty(root, "rules: []")) {
    const Entries parts = Take(root, "the file", {"owners", "rules", "suppressions"});
    if (const auto found = parts.find("owners"); found != parts.end()) {
      for (const YamlNode& node : Rows(*found->second, "owners")) ReadOwner(node);
      if (owner_lines_.size() == policy_.owners_.size()) CheckOwners(owner_lines_);
    }
    if (const auto found = parts.find("rules"); found != parts.end()) {
      for (const YamlNode& node : Rows(*found->second, "rules")) ReadRule(node);
    }
    if (const auto found = parts.find("suppressions"); found != parts.end()) {
      for (const YamlNode& node : Rows(*found->second, "suppressions")) ReadSuppression(node);
    }
  }
  if (has_problems()) return nullptr;
  return std::make_shared<const Policy>(std::move(policy_));
}

std::shared_ptr<const Policy> Policy::Parse(const std::string& text, const std::string& name,
                                            std::vector<std::string>* problems) {
  const absl::StatusOr<YamlNode> root = ParseYaml(text, name);
  if (!root.ok()) {
    problems->emplace_back(root.status().message());
    return nullptr;
  }
  PolicyReader reader(name);
  std::shared_ptr<const Policy> policy = reader.Read(*root);
  *problems = reader.Problems();
  return policy;
}

}  // namespace tokenwatch
