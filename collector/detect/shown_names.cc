#include "collector/detect/shown_names.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/detect/features.h"
#include "collector/store/workload_names.h"

namespace tokenwatch {
namespace {

std::string ProgramOf(const v1::Workload& who) {
  std::string program = who.script().empty() ? who.exe() : who.script();
  if (program.empty()) program = who.comm();
  if (absl::EndsWith(program, " (deleted)")) program.resize(program.size() - 10);
  return program;
}

}  // namespace

std::string ShownService(const v1::Workload& who) {
  if (!who.pod().empty()) {
    std::string deployment = DeploymentOf(who.pod());
    if (absl::StrContains(deployment, "#")) deployment = who.pod();
    return absl::StrCat(who.namespace_(), "/", deployment, who.container_name().empty() ? "" : "/",
                        who.container_name());
  }
  if (!who.container_id().empty()) {
    const std::string& name = who.container_name().empty() ? who.image() : who.container_name();
    return name.substr(0, name.find(':'));
  }
  if (!who.unit().empty() && !IsLoginUnit(who.unit())) return who.unit();
  const std::string program = ProgramOf(who);
  const std::string_view base = LastPartOfPath(program);
  return absl::StrCat(who.user(), who.user().empty() ? "" : ": ",
                      absl::string_view(base.data(), base.size()));
}

std::string ShownWorkload(const v1::Workload& who) {
  return absl::StrCat(ShownService(who), " ", ProgramOf(who));
}

std::string ShownProducts(std::string_view user_agent) {
  return absl::StrJoin(ProductsOf(user_agent), " ");
}

std::string ShownName(const CommittedUse& use, Dimension dimension) {
  const UseContext& context = *use.row.context;
  switch (dimension) {
    case Dimension::kWorkload:
      return ShownWorkload(context.workload);
    case Dimension::kService:
      return ShownService(context.workload);
    case Dimension::kAgent:
      return ShownProducts(context.user_agent);
    default:
      return "";
  }
}

std::string UseText(const CommittedUse& use) {
  const UseContext& context = *use.row.context;
  const v1::Workload& who = context.workload;
  std::string text = absl::StrCat(context.method, context.method.empty() ? "" : " ", context.host,
                                  context.path, " by ", ShownWorkload(who));
  if (!who.host().empty()) absl::StrAppend(&text, " on ", who.host());
  if (use.source == nullptr) return text;
  if (const std::string_view at = SourceAddress(context, *use.source); !at.empty()) {
    absl::StrAppend(&text, " (", absl::string_view(at.data(), at.size()), ")");
  }
  return text;
}

}  // namespace tokenwatch
