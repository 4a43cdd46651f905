#include "collector/store/sqlite/interner.h"

#include <algorithm>

#include "collector/store/pod_labels.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/text.h"

namespace tokenwatch::sqlite {
namespace {

constexpr size_t kIdBytes = 16;

constexpr char kNoteWorkloadDay[] =
    "UPDATE workloads SET last_day = ?2 WHERE id = ?1 AND last_day < ?2";
constexpr char kNoteShapeDay[] = "UPDATE shapes SET last_day = ?2 WHERE id = ?1 AND last_day < ?2";

// The years 0001 to 9999, which a Timestamp can hold.
constexpr int64_t kMinSeconds = -62135596800;
constexpr int64_t kMaxSeconds = 253402300799;

int64_t StartMicros(const v1::Workload& workload) {
  const int64_t seconds =
      std::clamp<int64_t>(workload.start_time().seconds(), kMinSeconds, kMaxSeconds);
  return seconds * 1000000 + workload.start_time().nanos() / 1000;
}

}  // namespace

template <typename... Values>
int64_t Interner::FindOrAdd(absl::string_view find, absl::string_view add,
                            const Values&... values) {
  Statement& found = database_->Cached(find);
  found.Start(values...);
  if (found.Next()) {
    const int64_t id = found.Int(0);
    found.Reset();
    return id;
  }
  database_->Cached(add).Run(values...);
  return database_->LastInsertedRow();
}

template <typename... Values>
int64_t Interner::FindOrAddOnDay(absl::string_view find, absl::string_view add,
                                 absl::string_view note, int64_t day, const Values&... values) {
  Statement& found = database_->Cached(find);
  found.Start(values...);
  if (found.Next()) {
    const int64_t id = found.Int(0);
    const bool older = found.Int(1) < day;
    found.Reset();
    if (older) database_->Cached(note).Run(id, day);
    return id;
  }
  database_->Cached(add).Run(values..., day);
  return database_->LastInsertedRow();
}

int64_t Interner::String(absl::string_view text) {
  if (text.empty()) return 0;
  std::string clean;
  if (!IsCleanText(text)) {
    clean = CleanText(text);
    text = clean;
  }
  if (const int64_t* known = strings_.Find(text)) return *known;
  const int64_t id = FindOrAdd("SELECT id FROM strings WHERE text = ?",
                               "INSERT INTO strings(text) VALUES(?)", text);
  strings_.Insert(std::string(text), id);
  return id;
}

std::optional<int64_t> Interner::FindString(absl::string_view text) {
  if (text.empty()) return 0;
  std::string clean;
  if (!IsCleanText(text)) {
    clean = CleanText(text);
    text = clean;
  }
  if (const int64_t* known = strings_.Find(text)) return *known;
  Statement& find = database_->Cached("SELECT id FROM strings WHERE text = ?");
  find.Start(text);
  std::optional<int64_t> id;
  if (find.Next()) id = find.Int(0);
  find.Reset();
  if (id.has_value()) strings_.Insert(std::string(text), *id);
  return id;
}

ContextRef Interner::Context(const UseContext& context, int64_t day) {
  ContextRef* ref = contexts_.Find(context.id);
  if (ref == nullptr) {
    ContextRef made;
    made.inbound = context.direction == "inbound";
    made.format = String(context.format);
    made.provider = String(context.provider);
    made.user_agent = String(context.user_agent);
    made.peer_address = String(context.peer_address);
    made.local_address = String(context.local_address);
    made.token_length = context.token_length;
    made.program = Program(context.workload);
    made.workload = Workload(context.workload, made.program, day);
    made.resource = Resource(context, made.provider, made.inbound);
    made.shape = Shape(context, made, day);
    made.last_day = day;
    ref = contexts_.Insert(context.id, made);
  }
  if (ref->last_day < day) {
    ref->last_day = day;
    database_->Cached(kNoteWorkloadDay).Run(ref->workload, day);
    database_->Cached(kNoteShapeDay).Run(ref->shape, day);
  }
  return *ref;
}

int64_t Interner::Program(const v1::Workload& workload) {
  return FindOrAdd(
      "SELECT id FROM programs WHERE machine = ? AND comm = ? AND exe = ? AND script = ? AND "
      "user = ? AND unit = ? AND container = ? AND pod = ? AND namespace = ? AND "
      "service_account = ? AND container_name = ? AND image = ?",
      "INSERT INTO programs(machine, comm, exe, script, user, unit, container, pod, namespace, "
      "service_account, container_name, image) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      String(workload.host()), String(workload.comm()), String(workload.exe()),
      String(workload.script()), String(workload.user()), String(workload.unit()),
      String(workload.container_id()), String(workload.pod()), String(workload.namespace_()),
      String(workload.service_account()), String(workload.container_name()),
      String(workload.image()));
}

int64_t Interner::Workload(const v1::Workload& workload, int64_t program, int64_t day) {
  return FindOrAddOnDay(
      "SELECT id, last_day FROM workloads WHERE program = ? AND pid = ? AND started = ? AND "
      "parent_exe = ? "
      "AND uid = ? AND login_user = ? AND cgroup = ? AND labels = ?",
      "INSERT INTO workloads(program, pid, started, parent_exe, uid, login_user, cgroup, labels, "
      "last_day) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
      kNoteWorkloadDay, day, program, workload.pid(), StartMicros(workload),
      String(workload.parent_exe()), workload.uid(), String(workload.login_user()),
      String(workload.cgroup()), String(JoinPodLabels(workload.labels())));
}

int64_t Interner::Resource(const UseContext& context, int64_t provider, bool inbound) {
  return FindOrAdd(
      "SELECT id FROM resources WHERE host = ? AND path = ? AND method = ? AND provider = ? AND "
      "inbound = ? AND traits = ?",
      "INSERT INTO resources(host, path, method, provider, inbound, traits) "
      "VALUES(?, ?, ?, ?, ?, ?)",
      String(context.host), String(context.path), String(context.method), provider, inbound,
      context.traits);
}

int64_t Interner::Shape(const UseContext& context, const ContextRef& ref, int64_t day) {
  return FindOrAddOnDay(
      "SELECT id, last_day FROM shapes WHERE resource = ? AND format = ? AND carrier = ? AND "
      "token_length = ? AND user_id = ? AND scheme = ? AND query = ? AND http_version = ? AND "
      "user_agent = ? AND peer_address = ? AND peer_port = ? AND peer_certainty = ? AND "
      "local_address = ? AND probe = ?",
      "INSERT INTO shapes(resource, format, carrier, token_length, user_id, scheme, query, "
      "http_version, user_agent, peer_address, peer_port, peer_certainty, local_address, probe, "
      "last_day) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      kNoteShapeDay, day, ref.resource, ref.format, String(context.carrier), ref.token_length,
      Blob{absl::string_view(context.user_id).substr(0, kIdBytes)}, String(context.scheme),
      String(context.query), String(context.http_version), ref.user_agent, ref.peer_address,
      context.peer_port, String(context.peer_certainty), ref.local_address, String(context.probe));
}

int64_t Interner::Source(int64_t stream, absl::string_view address) {
  return FindOrAdd("SELECT id FROM sources WHERE stream = ? AND address = ?",
                   "INSERT INTO sources(stream, address) VALUES(?, ?)", stream, String(address));
}

int64_t Interner::Token(const UseToken& token) {
  if (const int64_t* known = use_tokens_.Find(token.id)) return *known;
  int64_t first = 0;
  size_t usable = 0;
  for (const auto& [key, id] : token.ids) {
    if (id.size() != kIdBytes) continue;
    const int64_t number = TokenNumber(key, id);
    if (usable++ == 0) first = number;
  }
  if (usable > 1) Join(token);
  use_tokens_.Insert(token.id, first);
  return first;
}

int64_t Interner::TokenNumber(const std::string& key, const std::string& id) {
  if (const int64_t* known = token_numbers_.Find(id)) return *known;
  Statement& found = database_->Cached("SELECT number FROM tokens WHERE id = ?");
  found.Start(Blob{id});
  int64_t number = found.Next() ? found.Int(0) : 0;
  found.Reset();
  if (number == 0) {
    number = NextToken();
    ++next_token_;
    new_tokens_.try_emplace(number, NewToken{id, String(key)});
  }
  token_numbers_.Insert(id, number);
  return number;
}

int64_t Interner::NextToken() {
  if (next_token_ == 0) {
    Statement& last = database_->Cached("SELECT max(number) FROM tokens");
    last.Start();
    next_token_ = (last.Next() ? last.Int(0) : 0) + 1;
    last.Reset();
  }
  return next_token_;
}

void Interner::WriteNewTokens() {
  Statement& insert =
      database_->Cached("INSERT INTO tokens VALUES(?, ?, ?, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0)");
  for (const auto& [number, token] : TakeNewTokens()) {
    insert.Run(number, Blob{token.id}, token.key);
  }
}

void Interner::Join(const UseToken& token) {
  WriteNewTokens();
  const auto root_of = [this](const std::string& id) {
    Statement& query = database_->Cached("SELECT ifnull(joined, number) FROM tokens WHERE id = ?");
    query.Start(Blob{id});
    const int64_t root = query.Next() ? query.Int(0) : 0;
    query.Reset();
    return root;
  };
  int64_t root = 0;
  bool joined = false;
  for (const auto& [key, id] : token.ids) {
    if (id.size() != kIdBytes) continue;
    const int64_t other = root_of(id);
    if (root == 0 || other == root) {
      root = other;
      continue;
    }
    Statement& clash = database_->Cached(
        "SELECT 1 FROM tokens a JOIN tokens b ON a.key = b.key WHERE (a.number = ?1 OR "
        "a.joined = ?1) AND (b.number = ?2 OR b.joined = ?2) LIMIT 1");
    clash.Start(root, other);
    const bool clashes = clash.Next();
    clash.Reset();
    if (clashes) continue;
    const int64_t kept = std::min(root, other);
    database_->Cached("UPDATE tokens SET joined = ?1 WHERE number = ?2 OR joined = ?2")
        .Run(kept, std::max(root, other));
    root = kept;
    joined = true;
  }
  if (!joined) return;
  ++joins_;
  UniteCredentials(database_, root);
}

void Interner::Forget() {
  contexts_.Clear();
  use_tokens_.Clear();
  token_numbers_.Clear();
  strings_.Clear();
  new_tokens_.clear();
  next_token_ = 0;
}

}  // namespace tokenwatch::sqlite
