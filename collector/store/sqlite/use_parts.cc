#include "collector/store/sqlite/use_parts.h"

#include "collector/store/pod_labels.h"
#include "collector/store/proto_time.h"

namespace tokenwatch::sqlite {

v1::Workload ReadWorkload(Session* session, int64_t id) {
  v1::Workload workload;
  Statement& query = session->database->Cached(
      "SELECT program, pid, started, parent_exe, uid, login_user, cgroup, labels FROM workloads "
      "WHERE id = ?");
  query.Start(id);
  if (!query.Next()) return workload;
  Dimensions* const dimensions = session->dimensions.get();
  const auto text = [dimensions](int64_t string) { return dimensions->Text(string); };
  const ProgramRow program = dimensions->Program(query.Int(0));
  workload.set_host(text(program.machine));
  workload.set_comm(text(program.comm));
  workload.set_exe(text(program.exe));
  workload.set_script(text(program.script));
  workload.set_user(text(program.user));
  workload.set_unit(text(program.unit));
  workload.set_container_id(text(program.container));
  workload.set_pod(text(program.pod));
  workload.set_namespace_(text(program.name_space));
  workload.set_service_account(text(program.service_account));
  workload.set_container_name(text(program.container_name));
  workload.set_image(text(program.image));
  workload.set_pid(static_cast<uint32_t>(query.Int(1)));
  SetTime(query.Int(2), workload.mutable_start_time());
  workload.set_parent_exe(text(query.Int(3)));
  workload.set_uid(static_cast<uint32_t>(query.Int(4)));
  workload.set_login_user(text(query.Int(5)));
  workload.set_cgroup(text(query.Int(6)));
  SplitPodLabels(text(query.Int(7)), workload.mutable_labels());
  query.Reset();
  return workload;
}

UseContext ReadShape(Session* session, int64_t id) {
  UseContext context;
  Statement& query = session->database->Cached(
      "SELECT resource, format, carrier, token_length, scheme, query, http_version, user_agent, "
      "peer_address, peer_port, peer_certainty, local_address, probe, user_id FROM shapes WHERE "
      "id = ?");
  query.Start(id);
  if (!query.Next()) return context;
  Dimensions* const dimensions = session->dimensions.get();
  const auto text = [dimensions](int64_t string) { return dimensions->Text(string); };
  const ResourceRow resource = dimensions->Resource(query.Int(0));
  context.method = text(resource.method);
  context.host = text(resource.host);
  context.path = text(resource.path);
  context.provider = text(resource.provider);
  context.direction = resource.inbound ? "inbound" : "outbound";
  context.traits = resource.traits;
  context.format = text(query.Int(1));
  context.carrier = text(query.Int(2));
  context.token_length = static_cast<uint32_t>(query.Int(3));
  context.scheme = text(query.Int(4));
  context.query = text(query.Int(5));
  context.http_version = text(query.Int(6));
  context.user_agent = text(query.Int(7));
  context.peer_address = text(query.Int(8));
  context.peer_port = static_cast<uint32_t>(query.Int(9));
  context.peer_certainty = text(query.Int(10));
  context.local_address = text(query.Int(11));
  context.probe = text(query.Int(12));
  context.user_id = std::string(query.Bytes(13));
  query.Reset();
  return context;
}

SourceText ReadSource(Session* session, int64_t id) {
  SourceText source;
  Statement& query = session->database->Cached(
      "SELECT agents.agent, streams.stream, sources.address FROM sources JOIN streams ON "
      "streams.id = sources.stream JOIN agents ON agents.id = streams.agent WHERE sources.id = ?");
  query.Start(id);
  if (query.Next()) {
    source = {std::string(query.Bytes(0)), session->dimensions->Text(query.Int(2)),
              std::string(query.Bytes(1))};
  }
  query.Reset();
  return source;
}

std::vector<std::pair<std::string, std::string>> ReadTokenIds(Session* session, int64_t number) {
  std::vector<std::pair<std::string, std::string>> ids;
  Statement& query = session->database->Cached(
      "SELECT t.key, t.id FROM (SELECT ifnull(joined, number) AS root FROM tokens WHERE "
      "number = ?1) JOIN tokens t ON t.number = root OR t.joined = root ORDER BY t.number != ?1, "
      "t.number");
  query.Start(number);
  while (query.Next()) {
    ids.emplace_back(session->dimensions->Text(query.Int(0)), std::string(query.Bytes(1)));
  }
  return ids;
}

}  // namespace tokenwatch::sqlite
