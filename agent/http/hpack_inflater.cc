#include "agent/http/hpack_inflater.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tokenwatch {
namespace {

// Of one inflater: a table of 64 KiB of the smallest entries takes some 700 KiB in all.
constexpr size_t kMaxHeap = 1 << 20;
constexpr size_t kPrimeStep = 64;

std::string_view View(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// RFC 7541, 5.1; `first` holds the bits before the prefix.
void AppendInteger(uint8_t first, int prefix_bits, size_t value, SecretBuffer* out) {
  const size_t mask = (size_t{1} << prefix_bits) - 1;
  if (value < mask) {
    out->Append(static_cast<char>(first | value));
    return;
  }
  out->Append(static_cast<char>(first | mask));
  for (value -= mask; value >= 0x80; value >>= 7) {
    out->Append(static_cast<char>(0x80 | (value & 0x7f)));
  }
  out->Append(static_cast<char>(value));
}

void AppendString(std::string_view text, SecretBuffer* out) {
  AppendInteger(0, 7, text.size(), out);
  out->Append(text);
}

// A literal field with incremental indexing and a new name.
void AppendEntry(std::string_view name, std::string_view value, SecretBuffer* out) {
  out->Append('\x40');
  AppendString(name, out);
  AppendString(value, out);
}

}  // namespace

void HpackMemory::SealAll() {
  auto table = std::prev(tables_.end(), static_cast<ptrdiff_t>(open_));
  for (; open_ > 0; --open_) {
    HpackInflater* const inflater = *table++;  // Seal may take it out of the list
    inflater->Seal();
  }
}

void HpackInflater::Forget() {
  unknown_ = kMaxEntries;
  Drop();
}

bool HpackInflater::Decode(std::string_view block, bool is_cut, FieldList* fields) {
  const HpackNeeds needs = FindHpackNeeds(block);
  ReaderCounters& counters = memory_->context_->counters;
  if (needs.largest_table > kMaxTable) counters.Add(ReaderCount::kHpackTablesTooLarge);
  if (!Ready(needs)) {
    counters.Add(ReaderCount::kHpackOverLimit);
    Forget();
    return false;
  }
  const bool is_whole = Inflate(block, !is_cut, fields);
  if (fields->Overflowed()) counters.Add(ReaderCount::kFieldsOverLimit);
  if (!is_whole) counters.Add(ReaderCount::kHpackErrors);
  if (!is_whole || is_cut) {
    Forget();
    return false;
  }
  unknown_ = std::min(unknown_, needs.smallest_table / kEntryOverhead);
  Book();
  while (memory_->bytes_ > memory_->context_->limits.hpack_bytes) {
    counters.Add(ReaderCount::kHpackOverLimit);
    memory_->tables_.front()->Forget();
  }
  return true;
}

bool HpackInflater::Ready(const HpackNeeds& needs) {
  if (heap_ == nullptr ? !Create() : !Open()) return false;
  if (unknown_ == 0 || needs.entries > kMaxEntries) return true;
  return needs.entries <= Entries() || Prime(needs.entries);
}

bool HpackInflater::Open() {
  if (heap_->IsSealed()) ++memory_->open_;
  memory_->tables_.splice(memory_->tables_.end(), memory_->tables_, self_);
  return heap_->Open();
}

size_t HpackInflater::Entries() const {
  return nghttp2_hd_inflate_get_num_table_entries(inflater_) - kHpackStaticEntries;
}

void HpackInflater::AppendEntries(size_t count, SecretBuffer* out) const {
  for (size_t i = count; i > 0; --i) {
    const nghttp2_nv* const entry =
        nghttp2_hd_inflate_get_table_entry(inflater_, kHpackStaticEntries + i);
    AppendEntry(View(entry->name, entry->namelen), View(entry->value, entry->valuelen), out);
  }
}

bool HpackInflater::Export(SecretBuffer* entries, uint32_t* unknown, uint32_t* max_bytes) {
  if (heap_ == nullptr) return false;
  if (!Open()) {
    Forget();
    return false;
  }
  AppendEntries(Entries(), entries);
  *unknown = unknown_;
  *max_bytes = static_cast<uint32_t>(nghttp2_hd_inflate_get_max_dynamic_table_size(inflater_));
  return true;
}

bool HpackInflater::Load(std::string_view entries, uint32_t unknown, uint32_t max_bytes) {
  Drop();
  unknown_ = std::min(unknown, kMaxEntries);
  SecretBuffer block;
  block.Reserve(16 + entries.size());
  AppendInteger(0x20, 5, std::min(max_bytes, kMaxTable), &block);
  block.Append(entries);
  if (Create() && Inflate(block.view(), true, nullptr)) {
    Book();
    return true;
  }
  Forget();
  return false;
}

bool HpackInflater::Inherit(HpackInflater* other) {
  Drop();
  unknown_ = other->unknown_;
  if (other->heap_ == nullptr) return false;
  heap_ = std::move(other->heap_);
  inflater_ = std::exchange(other->inflater_, nullptr);
  self_ = other->self_;
  *self_ = this;
  booked_ = std::exchange(other->booked_, 0);
  return true;
}

bool HpackInflater::Create() {
  heap_ = std::make_unique<SealedHeap>(&memory_->cipher_, kMaxHeap);
  self_ = memory_->tables_.insert(memory_->tables_.end(), this);
  ++memory_->open_;
  if (nghttp2_hd_inflate_new2(&inflater_, heap_->Allocator()) != 0) return false;
  // The largest size that the peer may set; it begins with 4,096 bytes (RFC 9113, 6.5.2). The other
  // side's setting is not looked at: a peer says in a block which size it uses.
  if (nghttp2_hd_inflate_change_table_size(inflater_, kMaxTable) != 0) return false;
  if (unknown_ == 0) return true;
  SecretBuffer size;
  AppendInteger(0x20, 5, kMaxTable, &size);
  return Inflate(size.view(), true, nullptr);
}

bool HpackInflater::Prime(uint32_t wanted) {
  const size_t table = nghttp2_hd_inflate_get_max_dynamic_table_size(inflater_);
  const size_t used = nghttp2_hd_inflate_get_dynamic_table_size(inflater_);
  const size_t known = Entries();
  const size_t room = table > used ? (table - used) / kEntryOverhead : 0;
  const size_t added =
      std::min({room, std::max(wanted - known, known + kPrimeStep), size_t{unknown_}});

  // Entries can be added in front only, so the table is written anew, oldest first.
  SecretBuffer entries;
  entries.Reserve(16 + added * 3 + used);
  AppendInteger(0x20, 5, table, &entries);
  for (size_t i = 0; i < added; ++i) AppendEntry("", "", &entries);
  AppendEntries(known, &entries);
  Drop();
  return Create() && Inflate(entries.view(), true, nullptr);
}

bool HpackInflater::Inflate(std::string_view block, bool is_last, FieldList* fields) {
  const auto* at = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  while (true) {
    nghttp2_nv field{};
    int flags = 0;
    const ssize_t taken =
        nghttp2_hd_inflate_hd2(inflater_, &field, &flags, at, left, is_last ? 1 : 0);
    if (taken < 0) return false;
    at += taken;
    left -= static_cast<size_t>(taken);
    // Past a limit the rest is decoded all the same: later blocks build on the table it leaves.
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && fields != nullptr) {
      fields->Add(View(field.name, field.namelen), View(field.value, field.valuelen));
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) break;
  }
  return !is_last || nghttp2_hd_inflate_end_headers(inflater_) == 0;
}

void HpackInflater::Seal() {
  if (heap_ != nullptr && !heap_->Seal()) Forget();
}

void HpackInflater::Drop() {
  if (heap_ == nullptr) return;
  if (!heap_->IsSealed()) --memory_->open_;
  memory_->tables_.erase(self_);
  memory_->bytes_ -= booked_;
  booked_ = 0;
  inflater_ = nullptr;
  heap_.reset();
}

void HpackInflater::Book() {
  memory_->bytes_ += heap_->Bytes() - booked_;
  booked_ = heap_->Bytes();
}

}  // namespace tokenwatch
