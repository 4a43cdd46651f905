#include "collector/store/sqlite/observation.h"

#include <algorithm>
#include <utility>

#include "collector/store/sqlite/text.h"

namespace tokenwatch::sqlite {

void ObservationMaker::NoteSource(int64_t source, const IngestBatch& batch,
                                  Observation* observation) {
  std::shared_ptr<const UseSource>& noted = observation->sources[source];
  if (noted != nullptr) return;
  noted = std::make_shared<UseSource>(
      UseSource{CleanText(batch.agent), CleanText(batch.agent_address), batch.stream});
}

void ObservationMaker::Add(const Place& place, const UseRow& row, Observation* observation) {
  CommittedUse& use = observation->uses.emplace_back();
  use.number = static_cast<uint64_t>(place.number);
  use.sequence = static_cast<uint64_t>(place.sequence);
  use.source = observation->sources[place.source];
  use.row = row;
  use.row.time_us = place.time_us;
  use.row.count = std::max<uint32_t>(row.count, 1);
  // No id of it could be kept: it is one that was not resolved.
  if (place.token == 0) use.row.token = nullptr;
  observation->tokens.push_back(place.token);
}

void ObservationMaker::NoteChanges(uint64_t joins, absl::Span<const NotedCredential> noted) {
  bool others = std::exchange(joins_, joins) != joins;
  for (const NotedCredential& change : noted) {
    others = others || change.others;
    credentials_.Erase(change.token);
    texts_.Erase(change.credential);
  }
  if (!others) return;
  credentials_.Clear();
  texts_.Clear();
}

void ObservationMaker::AddCredentials(Observation* observation) {
  for (size_t i = 0; i < observation->uses.size(); ++i) {
    const int64_t token = observation->tokens[i];
    if (token != 0) observation->uses[i].credential = TextOf(token);
  }
}

const ObservationMaker::Text& ObservationMaker::TextOf(int64_t token) {
  const int64_t* credential = credentials_.Find(token);
  if (credential == nullptr) {
    credential = credentials_.Insert(token, CredentialOf(database_, token));
  }
  if (*credential == 0) return none_;
  if (const Text* text = texts_.Find(*credential)) return *text;
  return *texts_.Insert(*credential,
                        std::make_shared<std::string>(CredentialText(database_, *credential)));
}

void ObservationMaker::Forget() {
  credentials_.Clear();
  texts_.Clear();
}

}  // namespace tokenwatch::sqlite
