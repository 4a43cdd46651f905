#include "collector/ingest/live_agents.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace tokenwatch {

absl::Status LiveAgents::Enter(std::shared_ptr<LiveAgent> agent) {
  std::shared_ptr<LiveAgent> replaced;
  std::shared_ptr<LiveAgent> holder;
  {
    const absl::MutexLock lock(&mutex_);
    if (shut_down_) return absl::UnavailableError("the collector is stopping");
    std::shared_ptr<LiveAgent>& entry = agents_[agent->agent_id()];
    if (entry && entry->instance() != agent->instance()) {
      holder = entry;
    } else {
      replaced = std::exchange(entry, agent);
    }
  }
  if (holder) {
    return absl::AlreadyExistsError(absl::StrCat(
        "another agent with the id ", agent->agent_id(), " is connected from ", holder->Describe(),
        "; if a machine or a spool directory was copied, stop the copy and empty its spool "
        "directory, so that it gets an id of its own"));
  }
  if (replaced) replaced->OnReplaced();
  return absl::OkStatus();
}

void LiveAgents::Leave(const LiveAgent* agent) {
  std::shared_ptr<LiveAgent> gone;  // released without the lock
  const absl::MutexLock lock(&mutex_);
  const auto found = agents_.find(agent->agent_id());
  if (found == agents_.end() || found->second.get() != agent) return;
  gone = std::move(found->second);
  agents_.erase(found);
}

size_t LiveAgents::RefuseAll(const std::function<absl::Status(const AdmittedAgent& agent)>& check) {
  std::vector<std::pair<std::shared_ptr<LiveAgent>, absl::Status>> refused;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [id, agent] : agents_) {
      if (absl::Status status = check(agent->admitted()); !status.ok()) {
        refused.emplace_back(agent, status);
      }
    }
  }
  for (const auto& [agent, status] : refused) agent->OnRefused(status);
  return refused.size();
}

bool LiveAgents::Contains(const std::string& agent_id) const {
  const absl::MutexLock lock(&mutex_);
  return agents_.contains(agent_id);
}

size_t LiveAgents::size() const {
  const absl::MutexLock lock(&mutex_);
  return agents_.size();
}

void LiveAgents::Shutdown() {
  std::vector<std::shared_ptr<LiveAgent>> agents;
  {
    const absl::MutexLock lock(&mutex_);
    shut_down_ = true;
    for (const auto& [id, agent] : agents_) agents.push_back(agent);
  }
  for (const auto& agent : agents) agent->OnShutdown();
}

}  // namespace tokenwatch
