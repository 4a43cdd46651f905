#include "collector/store/sqlite/owner_finder.h"

#include <algorithm>
#include <utility>

#include "agent/common/token_id.h"
#include "collector/store/pod_labels.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/dimensions.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch::sqlite {
namespace {

constexpr size_t kMaxRemembered = 200'000;
constexpr int64_t kNone[] = {0};

std::string_view View(const std::string& text) { return text; }

}  // namespace

void OwnerFinder::SetPolicy(std::shared_ptr<const Policy> policy) {
  if (policy == policy_) {
    if (of_uses_.size() + of_usage_.size() > kMaxRemembered) Forget();
    // What may be another since the last query: a token's ids, credential and format, and what a
    // program's processes and a resource's tokens had.
    formats_.clear();
    if (asked_.token) of_uses_.clear();
    if (asked_.token || asked_.labels || asked_.carrier) of_usage_.clear();
    return;
  }
  Forget();
  policy_ = std::move(policy);
  asked_ = {};
  for (const OwnerRow& row : policy_->owners()) {
    for (const Match::Condition& condition : row.match.conditions()) {
      switch (condition.field) {
        case MatchField::kLabel:
          asked_.labels = true;
          break;
        case MatchField::kToken:
          asked_.token = true;
          break;
        case MatchField::kFormat:
          asked_.format = true;
          break;
        case MatchField::kCarrier:
          asked_.carrier = true;
          break;
        case MatchField::kProvider:
        case MatchField::kMethod:
        case MatchField::kHost:
        case MatchField::kPath:
          asked_.resource = true;
          break;
        default:
          asked_.program = true;
      }
    }
  }
}

void OwnerFinder::Forget() {
  of_uses_.clear();
  of_usage_.clear();
  formats_.clear();
  labels_.clear();
  last_workload_ = 0;
}

const OwnerRow* OwnerFinder::OfUse(int64_t token, int64_t workload, int64_t shape) {
  if (!HasOwners()) return nullptr;
  const Key key = {asked_.program || asked_.labels ? workload : 0, shape, asked_.token ? token : 0};
  const auto [found, added] = of_uses_.try_emplace(key, nullptr);
  if (!added) return found->second;
  int64_t labels = 0, carrier = 0;
  if (asked_.labels) {
    Statement& query = database_->Cached("SELECT labels FROM workloads WHERE id = ?");
    query.Start(workload);
    if (query.Next()) labels = query.Int(0);
    query.Reset();
  }
  if (asked_.carrier) {
    Statement& query = database_->Cached("SELECT carrier FROM shapes WHERE id = ?");
    query.Start(shape);
    if (query.Next()) carrier = query.Int(0);
    query.Reset();
  }
  const OwnerRow* const row = Find(token, dimensions_->ProgramOfWorkload(workload), {&labels, 1},
                                   dimensions_->ResourceOfShape(shape), {&carrier, 1});
  of_uses_[key] = row;
  return row;
}

const OwnerRow* OwnerFinder::OfUsage(int64_t token, int64_t program, int64_t resource) {
  if (!HasOwners()) return nullptr;
  const int64_t format = asked_.format || asked_.carrier ? FormatOf(token) : 0;
  const Key key = {asked_.program || asked_.labels ? program : 0,
                   asked_.resource || asked_.carrier ? resource : 0,
                   asked_.token ? token : -format};
  const auto [found, added] = of_usage_.try_emplace(key, nullptr);
  if (!added) return found->second;
  const std::vector<int64_t> carriers =
      asked_.carrier ? CarriersOf(resource, format) : std::vector<int64_t>();
  const OwnerRow* const row =
      Find(token, program, asked_.labels ? LabelsOf(program) : kNone, resource,
           carriers.empty() ? absl::Span<const int64_t>(kNone) : absl::MakeConstSpan(carriers));
  of_usage_[key] = row;
  return row;
}

const OwnerRow* OwnerFinder::OfUnused(std::string_view token_id) const {
  return HasOwners() ? policy_->OwnerOf({.token_id = token_id}) : nullptr;
}

// The first row that fits one of what it may be.
const OwnerRow* OwnerFinder::Find(int64_t token, int64_t program, absl::Span<const int64_t> labels,
                                  int64_t resource, absl::Span<const int64_t> carriers) {
  const auto text = [this](int64_t string) -> const std::string& {
    return dimensions_->Text(string);
  };
  v1::Workload workload;
  const ProgramRow& who = dimensions_->Program(program);
  workload.set_host(text(who.machine));
  workload.set_comm(text(who.comm));
  workload.set_exe(text(who.exe));
  workload.set_script(text(who.script));
  workload.set_user(text(who.user));
  workload.set_unit(text(who.unit));
  workload.set_container_id(text(who.container));
  workload.set_pod(text(who.pod));
  workload.set_namespace_(text(who.name_space));
  workload.set_service_account(text(who.service_account));
  workload.set_container_name(text(who.container_name));
  workload.set_image(text(who.image));
  const ResourceRow& what = dimensions_->Resource(resource);
  PolicySubject subject;
  subject.workload = &workload;
  subject.provider = View(text(what.provider));
  subject.method = View(text(what.method));
  subject.host = View(text(what.host));
  subject.path = View(text(what.path));
  if (asked_.format) subject.format = View(text(FormatOf(token)));
  const std::vector<std::string> ids =
      asked_.token && token != 0 ? IdsOf(token) : std::vector<std::string>{"", ""};
  subject.credential_id = ids.back();

  const OwnerRow* first = nullptr;
  for (const int64_t label : labels) {
    workload.clear_labels();
    if (label != 0) SplitPodLabels(text(label), workload.mutable_labels());
    for (const int64_t carrier : carriers) {
      subject.carrier = View(text(carrier));
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        subject.token_id = ids[i];
        const OwnerRow* const row = policy_->OwnerOf(subject);
        // Rows lie in the policy's order.
        if (row != nullptr && (first == nullptr || row < first)) first = row;
      }
    }
  }
  return first;
}

int64_t OwnerFinder::FormatOf(int64_t token) {
  const auto [found, added] = formats_.try_emplace(token, 0);
  if (added && token != 0) {
    Statement& query = database_->Cached("SELECT format FROM tokens WHERE number = ?");
    query.Start(token);
    if (query.Next()) found->second = query.Int(0);
    query.Reset();
  }
  return found->second;
}

std::vector<std::string> OwnerFinder::IdsOf(int64_t token) {
  std::vector<std::string> ids;
  Statement& query = database_->Cached(
      "SELECT id FROM tokens WHERE number = (SELECT ifnull(joined, number) FROM tokens WHERE "
      "number = ?1) UNION ALL SELECT id FROM tokens WHERE joined = (SELECT ifnull(joined, number) "
      "FROM tokens WHERE number = ?1)");
  query.Start(token);
  while (query.Next()) {
    const absl::string_view id = query.Bytes(0);
    if (id.size() == 16) {
      ids.push_back(TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()}));
    }
  }
  if (ids.empty()) ids.emplace_back();
  ids.push_back(CredentialText(database_, CredentialOf(database_, token)));
  return ids;
}

absl::Span<const int64_t> OwnerFinder::LabelsOf(int64_t program) {
  // Numbers of workloads rise and are never given out again.
  Statement& query = database_->Cached(
      "SELECT id, program, labels FROM workloads WHERE id > ? AND labels != 0 ORDER BY id");
  query.Start(last_workload_);
  while (query.Next()) {
    last_workload_ = query.Int(0);
    std::vector<int64_t>& known = labels_[query.Int(1)];
    if (std::find(known.begin(), known.end(), query.Int(2)) == known.end()) {
      known.push_back(query.Int(2));
    }
  }
  const auto found = labels_.find(program);
  return found == labels_.end() ? absl::Span<const int64_t>(kNone)
                                : absl::MakeConstSpan(found->second);
}

std::vector<int64_t> OwnerFinder::CarriersOf(int64_t resource, int64_t format) {
  std::vector<int64_t> carriers;
  Statement& query =
      database_->Cached("SELECT DISTINCT carrier FROM shapes WHERE resource = ? AND format = ?");
  query.Start(resource, format);
  while (query.Next()) carriers.push_back(query.Int(0));
  return carriers;
}

}  // namespace tokenwatch::sqlite
