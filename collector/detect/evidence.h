// Uses as findings keep them.
#ifndef TOKENWATCH_COLLECTOR_DETECT_EVIDENCE_H_
#define TOKENWATCH_COLLECTOR_DETECT_EVIDENCE_H_

#include <cstdint>

#include "collector/store/committed_use.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// As the API shows it, texts cut at 1 KiB. A token under several fleet keys is shown under the
// first.
v1::Use ShownUse(const CommittedUse& use);

// The other way; `id` is the context's and the token's, unique in this process's run. What cannot
// be read (a time, an id) is left out; sequences and numbers are none of it.
CommittedUse UseFromShown(const v1::Use& shown, uint64_t id);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_EVIDENCE_H_
