// What a guest's RTC shows at its start: offsets of time zones, read from the tz database.
#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/domain/machine_translation.h"

namespace warren::driver::domain {

namespace {

// Big-endian integers of a TZif file (RFC 8536 §3).
std::int64_t big_endian(const std::string& data, std::size_t place, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<std::uint8_t>(data[place + i]);
  return size == 4 ? static_cast<std::int32_t>(value) : static_cast<std::int64_t>(value);
}

struct TzifHeader {
  std::size_t begin = 0;  // of the data after the header
  std::size_t isut = 0, isstd = 0, leaps = 0, transitions = 0, types = 0, characters = 0;
  std::size_t size(std::size_t time_size) const {
    return transitions * time_size + transitions + types * 6 + characters + leaps * (time_size + 4) + isstd +
           isut;
  }
};

TzifHeader read_header(const std::string& data, std::size_t place, const std::string& zone) {
  constexpr std::size_t kHeaderSize = 44;
  if (data.size() < place + kHeaderSize || data.compare(place, 4, "TZif") != 0) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("/domain/clock: the host's data of time zone '{}' is broken", zone));
  }
  std::array<std::size_t, 6> counts{};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    counts[i] = static_cast<std::size_t>(big_endian(data, place + 20 + 4 * i, 4)) & 0xffff;
  }
  return {place + kHeaderSize, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]};
}

std::int64_t zone_offset(const std::string& zone, std::int64_t now) {
  if (zone.empty() || zone.front() == '/' || zone.find("..") != std::string::npos) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("/domain/clock: '{}' is no time zone", zone));
  }
  std::ifstream file("/usr/share/zoneinfo/" + zone, std::ios::binary);
  std::string data((std::istreambuf_iterator<char>(file)), {});
  if (data.empty()) {
    throw Error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("/domain/clock: the host does not know time zone '{}' (see /usr/share/zoneinfo)", zone));
  }
  // The first block has 32-bit times; the second, after it, 64-bit ones (RFC 8536 §3.1).
  TzifHeader old_block = read_header(data, 0, zone);
  TzifHeader header = read_header(data, old_block.begin + old_block.size(4), zone);
  if (data.size() < header.begin + header.size(8) || header.types == 0) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("/domain/clock: the host's data of '{}' is cut short", zone));
  }
  std::size_t current = 0;
  while (current < header.transitions && big_endian(data, header.begin + current * 8, 8) <= now) ++current;
  std::size_t type = 0;
  if (current > 0) {
    type = static_cast<std::uint8_t>(data[header.begin + header.transitions * 8 + current - 1]);
    type = std::min(type, header.types - 1);
  }
  return big_endian(data, header.begin + header.transitions * 9 + type * 6, 4);
}

std::int64_t local_offset(std::int64_t now) {
  std::time_t seconds = now;
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  return parts.tm_gmtoff;
}

}  // namespace

std::int64_t clock_offset_seconds(const config::Clock& clock, std::int64_t now) {
  switch (clock.offset) {
    case config::ClockOffset::utc:
      return 0;
    case config::ClockOffset::localtime:
      return local_offset(now);
    case config::ClockOffset::timezone:
      return zone_offset(clock.timezone, now);
    case config::ClockOffset::variable:
      return clock.adjustment_seconds +
             (clock.basis == config::ClockBasis::localtime ? local_offset(now) : std::int64_t{0});
    case config::ClockOffset::absolute:
      return static_cast<std::int64_t>(clock.start_seconds) - now;
  }
  return 0;
}

}  // namespace warren::driver::domain
