// What `systemctl status tokenwatch-agent` shows beside "Status:".
#ifndef TOKENWATCH_AGENT_STATUS_SERVICE_SENTENCE_H_
#define TOKENWATCH_AGENT_STATUS_SERVICE_SENTENCE_H_

#include <string>

#include "agent/status/agent_status.h"

namespace tokenwatch {

// One line: what is watched and how, whether the collector takes it, and what is wrong first.
std::string ServiceSentence(const AgentStatus& status);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_STATUS_SERVICE_SENTENCE_H_
