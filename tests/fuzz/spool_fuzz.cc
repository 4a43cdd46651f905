// What a damaged disk may give back: any bytes as a spool file, read to the end and encoded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/report/fake_file_system.h"
#include "agent/report/spool.h"
#include "agent/report/stream_encoder.h"

namespace tokenwatch {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void ReadSpool(const std::string& bytes) {
  FakeFileSystem files;
  Require(files.MakePrivateDirectory("/spool", "").ok());
  const auto file = files.Open("/spool/spool-0000000000000001.seg", OpenMode::kCreate);
  Require(file.ok() && (*file)->WriteAt(0, bytes).ok());
  const auto spool =
      Spool::Open({.directory = "/spool", .stream_id = std::string(16, 's')}, &files);
  if (!spool.ok()) return;
  StreamEncoder encoder(DictionaryLimits{.strings = 20});
  for (SpoolPosition position;;) {
    const auto entry = (*spool)->Next(position);
    Require(entry.ok());
    if (!entry->has_value()) break;
    Require((*entry)->end > position);
    position = (*entry)->end;
    v1::Batch record;
    if (!(*entry)->damaged && record.ParseFromString((*entry)->payload)) {
      static_cast<void>(encoder.Encode(record, (*entry)->stream_id, (*entry)->info.first_sequence));
    }
    (*spool)->Acknowledge(position, (*entry)->info.counted);
  }
  (*spool)->Finish();
  Require((*spool)->State().files == 0);
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tokenwatch::ReadSpool(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
