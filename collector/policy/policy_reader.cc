// YAML to Policy. Every problem is told, so that a file is put right in one go.
#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/common/config.h"
#include "agent/common/yaml_reader.h"
#include "agent/common/yaml_tree.h"
#include "collector/policy/policy.h"
#include "collector/store/detection_rules.h"

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
  void CheckOwner(const YamlNode& node, const std::vector<std::string>& patterns);
  void ReadOwner(const YamlNode& node);
  void ReadRule(const YamlNode& node);
  void ReadAllowed(const YamlNode& node, PolicyRule* rule);
  void ReadHours(const YamlNode& node, PolicyRule* rule);
  void ReadNetworks(const YamlNode& node, std::string_view key, std::vector<Network>* networks);
  void ReadSuppression(const YamlNode& node);
  void CheckSuppressed(const YamlNode& node, const std::string& pattern);
  void CheckOwners(const std::vector<int>& lines);
  void CheckRules(const std::vector<int>& lines);

  Policy policy_;
  std::set<std::string> rule_ids_;
  std::vector<int> owner_lines_, rule_lines_;
};

// A pattern that takes no owner would make a rule that is about nothing.
void PolicyReader::CheckOwner(const YamlNode& node, const std::vector<std::string>& patterns) {
  std::vector<std::string> owners = {"none"};
  for (const OwnerRow& row : policy_.owners_) {
    if (row.owner.empty()) return;  // told already, and perhaps the one that is meant
    owners.push_back(row.owner);
  }
  for (const std::string& pattern : patterns) {
    if (pattern.empty() || std::any_of(owners.begin(), owners.end(), [&](const std::string& owner) {
          return GlobMatches(pattern, owner);
        })) {
      continue;
    }
    const std::string nearest = NearestWord(pattern, owners);
    Refuse(node.line,
           absl::StrCat("no row of 'owners' names '", ShownYaml(pattern), "'; ",
                        nearest.empty() ? "'none' is what nobody owns"
                                        : absl::StrCat("did you mean '", nearest, "'?")));
  }
}

void PolicyReader::ReadMatch(const YamlNode& node, Match* match, std::vector<std::string>* owners) {
  std::vector<std::string> known(MatchFieldNames().begin(), MatchFieldNames().end());
  if (owners != nullptr) known.emplace_back("owner");
  for (const auto& [key, value] : Take(node, "match", known)) {
    std::vector<std::string> patterns = Texts(*value, key);
    if (key == "owner") {
      CheckOwner(*value, patterns);
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
      const std::string whose =
          owners[earlier].owner.empty() ? "" : absl::StrCat(" of '", owners[earlier].owner, "'");
      Refuse(lines[later],
             absl::StrCat("this row never counts: the one", whose, " in line ", lines[earlier],
                          " takes all that it matches; put this one before it"));
      break;
    }
  }
}

// All rules count, so one that allows no less than another for a part of its uses never says
// anything: most likely it was meant as an exception.
void PolicyReader::CheckRules(const std::vector<int>& lines) {
  const std::vector<PolicyRule>& rules = policy_.rules_;
  for (size_t one = 0; one < rules.size(); ++one) {
    for (size_t other = 0; other < rules.size(); ++other) {
      if (one == other || !rules[other].Implies(rules[one])) continue;
      // Of two that say the same, the later one is the mistake.
      if (one < other && rules[one].Implies(rules[other])) continue;
      Refuse(lines[one],
             absl::StrCat("the rule '", rules[one].id, "' never counts: '", rules[other].id,
                          "' in line ", lines[other],
                          " is about all of its uses and allows no more. Every rule counts, so an "
                          "exception is made in the 'match' of the other one"));
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
  std::vector<Hours::Problem> problems;
  rule->hours = Hours::Create(text("days"), text("from"), text("to"), text("time-zone"), &problems);
  for (Hours::Problem& problem : problems) {
    const auto found = row.find(problem.key);
    Refuse(found == row.end() ? node.line : found->second->line, std::move(problem.what));
  }
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
  const Entries allowed =
      Take(node, "allow",
           {"hosts", "resources", "methods", "workloads", "hours", "networks", "sources"});
  if (node.kind == YamlNode::Kind::kMap && node.children.empty()) {
    Refuse(node.line,
           "'allow' says nothing, which allows everything: give it hosts, methods, hours or the "
           "like, or remove the line");
  }
  for (const auto& [key, value] : allowed) {
    if (key == "hosts") {
      rule->hosts = Texts(*value, key);
      for (std::string& host : rule->hosts) absl::AsciiStrToLower(&host);
    }
    if (key == "resources") {
      rule->resources = Texts(*value, key);
      for (std::string& resource : rule->resources) {
        const size_t blank = resource.find(' ');
        if (blank == std::string::npos || resource.find('/', blank) == std::string::npos) {
          Refuse(value->line, absl::StrCat("'", ShownYaml(resource),
                                           "' is no resource: write 'GET api.github.com/repos/*', "
                                           "with '*' for any method"));
          continue;
        }
        const size_t path = resource.find('/', blank);
        resource = absl::StrCat(absl::AsciiStrToUpper(resource.substr(0, blank)),
                                absl::AsciiStrToLower(resource.substr(blank, path - blank)),
                                resource.substr(path));
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
  rule_lines_.push_back(node.line);
  policy_.rules_.push_back(std::move(rule));
}

// Patterns of detection's rules and of this file's; one that takes neither silences nothing.
void PolicyReader::CheckSuppressed(const YamlNode& node, const std::string& pattern) {
  std::vector<std::string> known(std::begin(kDetectionRules), std::end(kDetectionRules));
  known.insert(known.end(), rule_ids_.begin(), rule_ids_.end());
  if (pattern.empty() || std::any_of(known.begin(), known.end(), [&](const std::string& rule) {
        return GlobMatches(pattern, rule);
      })) {
    return;
  }
  const std::string nearest = NearestWord(pattern, known);
  Refuse(node.line,
         absl::StrCat("there is no rule '", ShownYaml(pattern), "'; ",
                      nearest.empty() ? "rules of detection are such as new_host and volume_spike"
                                      : absl::StrCat("did you mean '", nearest, "'?")));
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
  CheckSuppressed(*row.at("rule"), suppression.rule);
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
      // A rule that is not whole would seem to ask for less than it does.
      if (!has_problems()) CheckRules(rule_lines_);
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
