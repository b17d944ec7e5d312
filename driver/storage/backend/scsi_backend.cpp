#include "driver/storage/backend/scsi_backend.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "driver/storage/backend/block_device.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

const std::filesystem::path kDevices = "/sys/bus/scsi/devices";
const std::filesystem::path kHosts = "/sys/class/scsi_host";

std::string read_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text.starts_with("0x") ? text.substr(2) : text;
}

unsigned number_of(std::string_view name) {
  // "host5", or "scsi_host5" of old documents.
  const std::size_t digits = name.find_first_of("0123456789");
  unsigned number = 0;
  if (digits == std::string_view::npos ||
      std::from_chars(name.data() + digits, name.data() + name.size(), number).ec != std::errc())
    throw storage_error(VIR_ERR_XML_ERROR, fmt::format("Invalid adapter name '{}' for SCSI pool", name));
  return number;
}

unsigned find_host(const SourceAdapter& adapter) {
  if (adapter.type != "fc_host") return number_of(adapter.name);
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/fc_host", failed)) {
    if (lower(read_line(entry.path() / "port_name")) == lower(adapter.wwpn) &&
        lower(read_line(entry.path() / "node_name")) == lower(adapter.wwnn))
      return number_of(entry.path().filename().native());
  }
  throw storage_error(VIR_ERR_XML_ERROR,
                      fmt::format("Failed to find SCSI host with wwnn='{}', wwpn='{}'; virtual ports are not "
                                  "made by Warren",
                                  adapter.wwnn, adapter.wwpn));
}

}  // namespace

std::vector<VolumeDefinition> units_of_host(unsigned host, const std::string& target) {
  constexpr std::string_view kDisk = "0", kOptical = "5";  // SPC-4, peripheral device types
  std::vector<VolumeDefinition> units;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(kDevices, failed)) {
    const std::string name = entry.path().filename().native();
    // host:bus:target:unit
    const auto parts = split_fields(name, ':');
    if (parts.size() != 4 || parts[0] != std::to_string(host)) continue;
    const std::string type = read_line(entry.path() / "type");
    if (type != kDisk && type != kOptical) continue;
    std::error_code none;
    for (const auto& block : std::filesystem::directory_iterator(entry.path() / "block", none)) {
      const std::string node = "/dev/" + block.path().filename().native();
      VolumeDefinition volume;
      volume.name = fmt::format("unit:{}:{}:{}", parts[1], parts[2], parts[3]);
      volume.target.path = stable_path(target, node);
      if (volume.target.path.empty()) continue;
      if (::access(volume.target.path.c_str(), R_OK) != 0) continue;
      fill_from_device(volume);
      if (volume.capacity == 0) continue;  // a drive without a medium
      const std::string serial = serial_of(node);
      volume.key = serial.empty() ? volume.target.path : serial;
      units.push_back(std::move(volume));
    }
  }
  return units;
}

void scan_host(unsigned host) {
  const auto file = kHosts / fmt::format("host{}", host) / "scan";
  const vmm::FileDescriptor scan(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!scan) throw host_error(errno, fmt::format("Could not open '{}' to trigger host scan", file.native()));
  if (::write(scan.get(), "- - -", 5) < 0)
    throw host_error(errno, fmt::format("Write to '{}' to trigger host scan failed", file.native()));
  settle_devices();
}

void report_units(const std::vector<VolumeDefinition>& units, PoolDefinition pool, Reporter& reporter) {
  pool.capacity = pool.allocation = pool.available = 0;
  for (const VolumeDefinition& volume : units) {
    pool.capacity += volume.capacity;
    pool.allocation += volume.allocation;
    reporter.volume(volume);
  }
  reporter.pool(pool);
}

bool ScsiBackend::is_there() {
  std::error_code failed;
  return std::filesystem::exists(kHosts / fmt::format("host{}", find_host(pool_.source.adapter)), failed);
}

void ScsiBackend::start() {
  if (!is_there())
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("there is no SCSI host '{}'", pool_.source.adapter.name));
}

void ScsiBackend::refresh(Reporter& reporter) {
  const unsigned host = find_host(pool_.source.adapter);
  scan_host(host);
  report_units(units_of_host(host, pool_.target_path), pool_, reporter);
}

VolumeDefinition ScsiBackend::inspect(const VolumeDefinition& volume) {
  for (VolumeDefinition& found : units_of_host(find_host(pool_.source.adapter), pool_.target_path))
    if (found.name == volume.name) return found;
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      fmt::format("no storage vol with matching name '{}'", volume.name));
}

vmm::FileDescriptor ScsiBackend::open_data(const VolumeDefinition& volume, int access) {
  return open_device(inspect(volume).target.path, access);
}

}  // namespace warren::driver::storage::backend
