#include "driver/network/dnsmasq_leases.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::network {

namespace {

constexpr std::size_t kLargestFile = 32u << 20;
constexpr std::size_t kMostLeases = 200'000;
constexpr std::size_t kLongestLine = 2048;
constexpr std::size_t kLongestHostName = 255;
constexpr std::size_t kLongestIdentifier = 3 * 255;  // bytes as "xx:"

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

constexpr unsigned kMostReadings = 5;
constexpr std::chrono::milliseconds kBetweenReadings{10};

// Pairs of hexadecimal digits parted by colons.
std::optional<std::vector<std::uint8_t>> parse_bytes(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  if (text.size() % 3 != 2) return std::nullopt;
  for (std::size_t place = 0; place < text.size(); place += 3) {
    std::uint8_t byte = 0;
    const char* end = text.data() + place + 2;
    auto [last, error] = std::from_chars(text.data() + place, end, byte, 16);
    if (error != std::errc() || last != end) return std::nullopt;
    if (place + 2 < text.size() && text[place + 2] != ':') return std::nullopt;
    bytes.push_back(byte);
  }
  return bytes;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || last != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

// "06-aa:bb…" where it is not of Ethernet: the address after its type.
std::optional<std::string> hardware_address(std::string_view text) {
  if (text.size() > 3 && text[2] == '-') text.remove_prefix(3);
  if (!parse_bytes(text) || text.size() > kLongestIdentifier) return std::nullopt;
  return std::string(text);
}

// Of a DUID that is made of an Ethernet address: with a time (type 1) or without (type 3); RFC 8415 §11.
std::optional<std::string> hardware_address_of_duid(std::string_view duid) {
  const auto bytes = parse_bytes(duid);
  if (!bytes || bytes->size() < 4 || (*bytes)[0] != 0 || (*bytes)[2] != 0 || (*bytes)[3] != 1)
    return std::nullopt;
  const std::size_t before = (*bytes)[1] == 1 ? 8 : 4;
  if (((*bytes)[1] != 1 && (*bytes)[1] != 3) || bytes->size() != before + 6) return std::nullopt;
  return std::string(duid.substr(before * 3));
}

std::uint32_t prefix_of(const NetworkDefinition& definition, const IpAddress& address) {
  for (const NetworkAddress& network : definition.addresses) {
    if (!network.address || network.address->is_ipv6 != address.is_ipv6) continue;
    const unsigned prefix = network.effective_prefix();
    if (config::in_same_network(*network.address, address, prefix)) return prefix;
  }
  return address.bits();
}

// The five words of a line, and none more.
std::optional<std::array<std::string_view, 5>> words_of(std::string_view line) {
  std::array<std::string_view, 5> words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t end = line.find(' ');
    if ((end == std::string_view::npos) != (i + 1 == words.size())) return std::nullopt;
    words[i] = line.substr(0, end);
    if (words[i].empty() || !is_printable(words[i])) return std::nullopt;
    if (end != std::string_view::npos) line.remove_prefix(end + 1);
  }
  return words;
}

// "1700000000 52:54:00:00:00:01 192.168.122.10 name 01:52:54:00:00:00:01", and of IPv6
// "1700000000 12345 2001:db8::10 name 00:01:…"; "*" is what the guest did not say.
std::optional<DhcpLease> parse_lease(std::string_view line, const NetworkDefinition& definition) {
  const auto words = words_of(line);
  if (!words) return std::nullopt;
  const auto& [expiry, hardware, ip, name, identifier] = *words;
  const auto time = parse_number<std::int64_t>(expiry);
  const auto address = config::parse_ip_address(ip);
  if (!time || *time < 0 || !address || name.size() > kLongestHostName ||
      identifier.size() > kLongestIdentifier)
    return std::nullopt;
  DhcpLease lease;
  lease.interface = definition.bridge.name;
  lease.expiry_time = *time;
  lease.address = config::format_ip_address(*address);
  lease.prefix = prefix_of(definition, *address);
  if (name != "*") lease.host_name = std::string(name);
  if (identifier != "*") {
    if (!parse_bytes(identifier)) return std::nullopt;
    lease.client_id = std::string(identifier);
  }
  if (!address->is_ipv6) {
    lease.mac = hardware_address(hardware);
    return lease.mac ? std::optional(std::move(lease)) : std::nullopt;
  }
  lease.type = VIR_IP_ADDR_TYPE_IPV6;
  // A temporary address has a T before its number.
  std::string_view association = hardware;
  if (association.starts_with('T')) association.remove_prefix(1);
  if (!parse_number<std::uint32_t>(association)) return std::nullopt;
  lease.iaid = std::string(association);
  lease.mac = hardware_address_of_duid(identifier);
  return lease;
}

// Empty where there is none. Throws std::system_error.
std::string read_whole(const std::filesystem::path& path) {
  const vmm::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file && errno == ENOENT) return {};
  if (!file) throw std::system_error(errno, std::generic_category());
  std::string text;
  std::array<char, 65536> buffer;
  while (text.size() < kLargestFile) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw std::system_error(errno, std::generic_category());
    if (got == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

bool changed_lately(const std::filesystem::path& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && ::time(nullptr) - status.st_mtim.tv_sec <= 1;
}

}  // namespace

std::vector<DhcpLease> parse_leases(std::string_view text, const NetworkDefinition& definition,
                                    std::int64_t now) {
  std::vector<DhcpLease> leases;
  while (!text.empty() && leases.size() < kMostLeases) {
    const std::size_t end = text.find('\n');
    // It is being written: the last line is not there yet.
    if (end == std::string_view::npos) break;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    // Among them the line of dnsmasq's own DUID, which is two words.
    if (line.size() > kLongestLine) continue;
    std::optional<DhcpLease> lease = parse_lease(line, definition);
    if (lease && (lease->expiry_time == 0 || lease->expiry_time > now)) leases.push_back(std::move(*lease));
  }
  return leases;
}

std::vector<DhcpLease> read_leases(const std::filesystem::path& path, const NetworkDefinition& definition,
                                   std::int64_t now) {
  std::string text;
  try {
    text = read_whole(path);
    // dnsmasq empties the file and then fills it: what is read in between is a part.
    for (unsigned times = 0; times < kMostReadings && changed_lately(path); ++times) {
      std::this_thread::sleep_for(kBetweenReadings);
      const std::string before = std::exchange(text, read_whole(path));
      if (before == text) break;
    }
  } catch (const std::system_error& error) {
    throw system_error(error.code().value(),
                       fmt::format("network {}: cannot read {}", definition.name, path.native()));
  }
  return parse_leases(text, definition, now);
}

}  // namespace warren::driver::network
