#include "collector/store/sqlite/selection.h"

#include "collector/store/sqlite/owner_finder.h"

namespace tokenwatch::sqlite {

std::vector<int64_t> TokenNumbers(Database* database, absl::string_view id) {
  Statement& query = database->Cached(
      "SELECT number FROM tokens WHERE number = (SELECT ifnull(joined, number) FROM tokens WHERE "
      "id = ?1) UNION ALL SELECT number FROM tokens WHERE joined = (SELECT ifnull(joined, number) "
      "FROM tokens WHERE id = ?1)");
  std::vector<int64_t> numbers;
  query.Start(Blob{id});
  while (query.Next()) numbers.push_back(query.Int(0));
  return numbers;
}

std::vector<int64_t> CredentialTokens(Database* database, absl::string_view id) {
  Statement& query = database->Cached(
      "SELECT token FROM token_credentials WHERE credential = "
      "(SELECT ifnull(joined, id) FROM credentials WHERE credential = ?)");
  std::vector<int64_t> numbers;
  query.Start(Blob{id});
  while (query.Next()) numbers.push_back(query.Int(0));
  return numbers;
}

Selection::Selection(const Filter& filter, Database* database, Dimensions* dimensions)
    : filter_(filter), dimensions_(dimensions) {
  if (filter.user) FindUser(database);
  if (!filter.token && !filter.credential) return;
  const auto& id = filter.token ? *filter.token : *filter.credential;
  const absl::string_view bytes(reinterpret_cast<const char*>(id.data()), id.size());
  const std::vector<int64_t> numbers =
      filter.token ? TokenNumbers(database, bytes) : CredentialTokens(database, bytes);
  tokens_.emplace(numbers.begin(), numbers.end());
}

void Selection::FindUser(Database* database) {
  Statement& query = database->Cached("SELECT id, resource FROM shapes WHERE user_id = ?");
  query.Start(Blob{{reinterpret_cast<const char*>(filter_.user->data()), filter_.user->size()}});
  while (query.Next()) {
    user_shapes_.insert(query.Int(0));
    user_resources_.insert(query.Int(1));
  }
}

bool Selection::MatchesPlace(int64_t program, int64_t resource) {
  if (filter_.user && !user_resources_.contains(resource)) return false;
  if (!filter_.HasPlace()) return true;
  const ProgramMatch& who = Program(program);
  if (!who.workload) return false;
  const ResourceMatch& what = Resource(resource);
  return what.itself && (what.host || who.machine);
}

bool Selection::MatchesOwner(int64_t token, int64_t program, int64_t resource) {
  return filter_.owner.empty() ||
         OwnerName(dimensions_->owners()->OfUsage(token, program, resource)) == filter_.owner;
}

bool Selection::MatchesUse(int64_t token, int64_t workload, int64_t shape, uint32_t status) {
  if (!MatchesToken(token) || !MatchesStatus(status)) return false;
  if (filter_.user && !user_shapes_.contains(shape)) return false;
  if (!filter_.owner.empty() &&
      OwnerName(dimensions_->owners()->OfUse(token, workload, shape)) != filter_.owner) {
    return false;
  }
  return !filter_.HasPlace() || MatchesPlace(dimensions_->ProgramOfWorkload(workload),
                                             dimensions_->ResourceOfShape(shape));
}

const Selection::ProgramMatch& Selection::Program(int64_t id) {
  const auto [found, added] = programs_.try_emplace(id);
  if (added) {
    const ProgramRow& row = dimensions_->Program(id);
    const auto text = [this](int64_t string) -> absl::string_view {
      return dimensions_->Text(string);
    };
    found->second.workload =
        MatchesWorkload(filter_, {.comm = text(row.comm),
                                  .exe = text(row.exe),
                                  .script = text(row.script),
                                  .unit = text(row.unit),
                                  .container_id = text(row.container),
                                  .user = text(row.user),
                                  .container_name = text(row.container_name),
                                  .image = text(row.image),
                                  .pod = text(row.pod),
                                  .name_space = text(row.name_space),
                                  .service_account = text(row.service_account)});
    found->second.machine = MatchesHost(filter_, {}, text(row.machine));
  }
  return found->second;
}

const Selection::ResourceMatch& Selection::Resource(int64_t id) {
  const auto [found, added] = resources_.try_emplace(id);
  if (added) {
    const ResourceRow& row = dimensions_->Resource(id);
    const std::string& host = dimensions_->Text(row.host);
    found->second.itself =
        MatchesDirection(filter_, row.inbound) && MatchesTrait(filter_, row.traits) &&
        MatchesProvider(filter_, dimensions_->Text(row.provider)) &&
        MatchesEndpoint(filter_, dimensions_->Text(row.method), host, dimensions_->Text(row.path));
    found->second.host = MatchesHost(filter_, host, {});
  }
  return found->second;
}

}  // namespace tokenwatch::sqlite
