// Findings for people in a channel.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_SLACK_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_SLACK_H_

#include <string>

#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// The body for an incoming webhook of Slack, or of what speaks the same (Mattermost, Rocket.Chat).
// What was captured makes no link, no mention and no message beyond Slack's bounds.
std::string SlackBody(const v1::Finding& finding);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_SLACK_H_
