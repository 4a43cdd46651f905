// The one place that pins the layout shared with bpf/.
#include <cstddef>

#include "agent/capture/segment.h"

namespace tokenwatch {

static_assert(sizeof(tw_header) == 16);
static_assert(sizeof(tw_data) == 56 && offsetof(tw_data, sequence) == 40);
static_assert(offsetof(tw_data, tag) == 52);
static_assert(sizeof(tw_peer) == 64 && offsetof(tw_peer, peer) == 32);
static_assert(sizeof(tw_close) == 32);
static_assert(sizeof(tw_gap) == 48 && offsetof(tw_gap, bytes) == 40);
static_assert(offsetof(tw_process, comm) == 72 && offsetof(tw_process, exe) == 88);
static_assert(sizeof(tw_process) == 88 + 3 * 1280 + 1024);
static_assert(sizeof(tw_exit) == 32);
static_assert(sizeof(tw_tls) == 40 && offsetof(tw_tls, event) == 36);

}  // namespace tokenwatch
