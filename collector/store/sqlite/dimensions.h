// The reading side of the dimension tables, remembered: their rows never change, and their numbers
// are never given out again.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_DIMENSIONS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_DIMENSIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "collector/store/sqlite/database.h"

namespace tokenwatch::sqlite {

class OwnerFinder;  // owner_finder.h

// Numbers of strings, but for `inbound` and `traits`.
struct ProgramRow {
  int64_t machine = 0, comm = 0, exe = 0, script = 0, user = 0, unit = 0, container = 0, pod = 0;
  int64_t name_space = 0, service_account = 0, container_name = 0, image = 0;
};
struct ResourceRow {
  int64_t host = 0, path = 0, method = 0, provider = 0;
  bool inbound = false;
  uint32_t traits = 0;
};

// References are valid until Trim() or Forget(). Errors stick to the database; what was read after
// one is empty and has to be forgotten. Not thread safe.
class Dimensions {
 public:
  // Borrows `database`.
  explicit Dimensions(Database* database);
  ~Dimensions();

  // Who owns what rows tell of.
  OwnerFinder* owners() { return owners_.get(); }

  const std::string& Text(int64_t string);
  const ProgramRow& Program(int64_t id);
  const ResourceRow& Resource(int64_t id);
  int64_t ProgramOfWorkload(int64_t workload);
  int64_t ResourceOfShape(int64_t shape);

  void Forget();
  // Forgets where much has come together. Between queries.
  void Trim();

 private:
  int64_t Lookup(absl::flat_hash_map<int64_t, int64_t>* known, absl::string_view sql, int64_t id);

  Database* const database_;
  const std::unique_ptr<OwnerFinder> owners_;
  size_t text_bytes_ = 0;
  absl::node_hash_map<int64_t, std::string> texts_;
  absl::node_hash_map<int64_t, ProgramRow> programs_;
  absl::node_hash_map<int64_t, ResourceRow> resources_;
  absl::flat_hash_map<int64_t, int64_t> programs_of_workloads_;
  absl::flat_hash_map<int64_t, int64_t> resources_of_shapes_;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_DIMENSIONS_H_
