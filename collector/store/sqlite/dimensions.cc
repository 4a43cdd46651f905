#include "collector/store/sqlite/dimensions.h"

#include "collector/store/sqlite/owner_finder.h"

namespace tokenwatch::sqlite {
namespace {

// What one connection may remember between queries.
constexpr size_t kMaxTextBytes = 16 << 20;
constexpr size_t kMaxRows = 200000;

}  // namespace

Dimensions::Dimensions(Database* database)
    : database_(database), owners_(std::make_unique<OwnerFinder>(database, this)) {}

Dimensions::~Dimensions() = default;

const std::string& Dimensions::Text(int64_t string) {
  const auto [found, added] = texts_.try_emplace(string);
  if (added && string != 0) {
    Statement& query = database_->Cached("SELECT text FROM strings WHERE id = ?");
    query.Start(string);
    if (query.Next()) found->second = std::string(query.Bytes(0));
    query.Reset();
    text_bytes_ += found->second.size();
  }
  return found->second;
}

const ProgramRow& Dimensions::Program(int64_t id) {
  const auto [found, added] = programs_.try_emplace(id);
  if (added) {
    Statement& query = database_->Cached(
        "SELECT machine, comm, exe, script, user, unit, container, pod, namespace, "
        "service_account, container_name, image FROM programs WHERE id = ?");
    query.Start(id);
    if (query.Next()) {
      found->second = {query.Int(0), query.Int(1), query.Int(2),  query.Int(3),
                       query.Int(4), query.Int(5), query.Int(6),  query.Int(7),
                       query.Int(8), query.Int(9), query.Int(10), query.Int(11)};
    }
    query.Reset();
  }
  return found->second;
}

const ResourceRow& Dimensions::Resource(int64_t id) {
  const auto [found, added] = resources_.try_emplace(id);
  if (added) {
    Statement& query = database_->Cached(
        "SELECT host, path, method, provider, inbound, traits FROM resources WHERE id = ?");
    query.Start(id);
    if (query.Next()) {
      found->second = {query.Int(0), query.Int(1),      query.Int(2),
                       query.Int(3), query.Int(4) != 0, static_cast<uint32_t>(query.Int(5))};
    }
    query.Reset();
  }
  return found->second;
}

int64_t Dimensions::ProgramOfWorkload(int64_t workload) {
  return Lookup(&programs_of_workloads_, "SELECT program FROM workloads WHERE id = ?", workload);
}

int64_t Dimensions::ResourceOfShape(int64_t shape) {
  return Lookup(&resources_of_shapes_, "SELECT resource FROM shapes WHERE id = ?", shape);
}

int64_t Dimensions::Lookup(absl::flat_hash_map<int64_t, int64_t>* known, absl::string_view sql,
                           int64_t id) {
  const auto [found, added] = known->try_emplace(id, 0);
  if (added) {
    Statement& query = database_->Cached(sql);
    query.Start(id);
    if (query.Next()) found->second = query.Int(0);
    query.Reset();
  }
  return found->second;
}

void Dimensions::Trim() {
  const size_t rows = texts_.size() + programs_.size() + resources_.size() +
                      programs_of_workloads_.size() + resources_of_shapes_.size();
  if (rows > kMaxRows || text_bytes_ > kMaxTextBytes) Forget();
}

void Dimensions::Forget() {
  texts_.clear();
  programs_.clear();
  resources_.clear();
  programs_of_workloads_.clear();
  resources_of_shapes_.clear();
  text_bytes_ = 0;
  owners_->Forget();
}

}  // namespace tokenwatch::sqlite
