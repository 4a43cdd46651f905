#include "agent/token/answers/host_text.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"
#include "agent/common/utf8.h"

namespace tokenwatch {
namespace {

// RFC 3492 section 5.
constexpr uint32_t kBase = 36, kLeast = 1, kMost = 26, kSkew = 38, kDamp = 700, kFirstBias = 72,
                   kFirstCode = 128;
constexpr size_t kLabelMax = 63;

uint32_t Adapt(uint32_t delta, uint32_t points, bool first) {
  delta = first ? delta / kDamp : delta / 2;
  delta += delta / points;
  uint32_t k = 0;
  for (; delta > (kBase - kLeast) * kMost / 2; k += kBase) delta /= kBase - kLeast;
  return k + (kBase - kLeast + 1) * delta / (delta + kSkew);
}

char Digit(uint32_t value) {
  return static_cast<char>(value < 26 ? 'a' + value : '0' + (value - 26));
}

// Section 6.3. `points` are at most kLabelMax, so that nothing overflows.
std::string Punycode(const std::vector<char32_t>& points) {
  std::string out;
  for (const char32_t point : points) {
    if (point < kFirstCode) out += static_cast<char>(point);
  }
  const auto basic = static_cast<uint32_t>(out.size());
  uint32_t done = basic, code = kFirstCode, bias = kFirstBias;
  uint64_t delta = 0;
  if (basic != 0) out += '-';
  while (done < points.size()) {
    char32_t next = std::numeric_limits<char32_t>::max();
    for (const char32_t point : points) {
      if (point >= code) next = std::min(next, point);
    }
    delta += uint64_t{next - code} * (done + 1);
    code = next;
    for (const char32_t point : points) {
      if (point < code) ++delta;
      if (point != code) continue;
      auto left = static_cast<uint32_t>(delta);
      for (uint32_t k = kBase;; k += kBase) {
        const uint32_t threshold = k <= bias ? kLeast : std::min(k - bias, kMost);
        if (left < threshold) break;
        out += Digit(threshold + (left - threshold) % (kBase - threshold));
        left = (left - threshold) / (kBase - threshold);
      }
      out += Digit(left);
      bias = Adapt(static_cast<uint32_t>(delta), done + 1, done == basic);
      delta = 0;
      ++done;
    }
    ++delta;
    ++code;
  }
  return out;
}

void AppendLabel(std::string_view label, std::string* out) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < kFirstCode; };
  if (std::all_of(label.begin(), label.end(), is_ascii)) {
    out->append(label);
    return;
  }
  std::vector<char32_t> points;
  while (!label.empty() && points.size() < kLabelMax) points.push_back(TakeCodePoint(&label));
  out->append("xn--").append(Punycode(points));
}

}  // namespace

std::string AsciiHost(std::string_view host) {
  std::string lower(host);
  absl::AsciiStrToLower(&lower);
  if (lower.ends_with('.')) lower.pop_back();
  if (std::all_of(lower.begin(), lower.end(),
                  [](char c) { return static_cast<unsigned char>(c) < kFirstCode; })) {
    return lower;
  }
  std::string out;
  for (std::string_view rest = lower; !rest.empty();) {
    const std::string_view label = rest.substr(0, rest.find('.'));
    AppendLabel(label, &out);
    if (label.size() < rest.size()) out += '.';
    rest.remove_prefix(std::min(label.size() + 1, rest.size()));
  }
  return out;
}

std::string_view WithoutMapping(std::string_view address) {
  constexpr std::string_view kMapped = "::ffff:";
  if (address.size() > kMapped.size() && address.find('.') != std::string_view::npos &&
      EqualsIgnoreCase(address.substr(0, kMapped.size()), kMapped)) {
    address.remove_prefix(kMapped.size());
  }
  return address;
}

bool IsOfThisMachine(std::string_view address) {
  address = WithoutMapping(address);
  if (address.starts_with("127.") || address == "::1") return true;
  // RFC 3927; RFC 4291 section 2.5.6; and what AWS uses over IPv6.
  if (address.starts_with("169.254.") || address == "fd00:ec2::254" || address == "fd00:ec2::23") {
    return true;
  }
  return address.size() > 4 && EqualsIgnoreCase(address.substr(0, 2), "fe") && address[3] != ':' &&
         address[4] == ':' && std::string_view("89abAB").find(address[2]) != std::string_view::npos;
}

}  // namespace tokenwatch
