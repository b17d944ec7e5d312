#include "driver/storage/backend/iscsi_direct_backend.h"

#include <charconv>

#include <fmt/format.h>

#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

std::uint64_t value_after(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  if (at == std::string_view::npos) return 0;
  text.remove_prefix(at + name.size());
  const std::size_t digits = text.find_first_of("0123456789");
  std::uint64_t value = 0;
  if (digits != std::string_view::npos)
    std::from_chars(text.data() + digits, text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string IscsiDirectBackend::address() const {
  const SourceHost& host = pool_.source.hosts.at(0);
  const bool is_address6 = host.name.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_address6 ? "[" : "", host.name, is_address6 ? "]" : "",
                     host.port == 0 ? 3260 : host.port);
}

std::vector<std::string> IscsiDirectBackend::arguments(std::vector<std::string> more) const {
  std::vector<std::string> all{"-i", pool_.source.initiator};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<VolumeDefinition> IscsiDirectBackend::list() const {
  if (!pool_.source.authentication.type.empty()) {
    // The tools take a password in the address alone, which every user of the host could read.
    throw storage_error(VIR_ERR_OPERATION_UNSUPPORTED,
                        "Warren lists iscsi-direct pools without authentication; use a pool of type 'iscsi'");
  }
  const std::string& name = pool_.source.devices.at(0).path;
  const std::string output =
      require_tool({.name = "iscsi-ls", .arguments = arguments({"-s", "iscsi://" + address()})});
  std::vector<VolumeDefinition> volumes;
  bool is_ours = false;
  for (std::string_view line : split_lines(output)) {
    if (line.starts_with("Target:")) is_ours = line.substr(7, line.find(' ') - 7) == name;
    const std::size_t at = line.find("Lun:");
    if (!is_ours || at == std::string_view::npos || line.find("DIRECT_ACCESS") == std::string_view::npos)
      continue;
    const std::uint64_t unit = value_after(line, "Lun:");
    const std::string url = fmt::format("iscsi://{}/{}/{}", address(), name, unit);
    const std::string size = require_tool({.name = "iscsi-readcapacity16", .arguments = arguments({url})});
    VolumeDefinition& volume = volumes.emplace_back();
    volume.type = VIR_STORAGE_VOL_NETWORK;
    volume.name = fmt::format("unit:0:0:{}", unit);
    volume.target.path = volume.key = fmt::format("ip-{}-iscsi-{}-lun-{}", address(), name, unit);
    // READ CAPACITY(16) tells the last block's address (SBC-3 §5.16).
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(value_after(size, "RETURNED LOGICAL BLOCK ADDRESS:") + 1,
                               value_after(size, "LOGICAL BLOCK LENGTH IN BYTES:"), &bytes))
      bytes = 0;
    volume.capacity = volume.allocation = bytes;
  }
  return volumes;
}

void IscsiDirectBackend::refresh(Reporter& reporter) {
  PoolDefinition pool = pool_;
  pool.capacity = pool.allocation = pool.available = 0;
  for (const VolumeDefinition& volume : list()) {
    pool.capacity += volume.capacity;
    pool.allocation += volume.allocation;
    reporter.volume(volume);
  }
  reporter.pool(pool);
}

std::vector<PoolSource> IscsiDirectBackend::find_sources() {
  if (request_.specification.empty() || pool_.source.hosts.size() != 1 || pool_.source.initiator.empty())
    throw storage_error(VIR_ERR_INVALID_ARG,
                        "hostname and initiator must be specified for iscsi-direct sources");
  std::vector<PoolSource> sources;
  const std::string output =
      require_tool({.name = "iscsi-ls", .arguments = arguments({"iscsi://" + address()})});
  for (std::string_view line : split_lines(output)) {
    if (!line.starts_with("Target:")) continue;
    PoolSource& found = sources.emplace_back();
    found.hosts = pool_.source.hosts;
    found.devices.push_back({.path = std::string(line.substr(7, line.find(' ') - 7))});
    found.initiator = pool_.source.initiator;
  }
  return sources;
}

VolumeDefinition IscsiDirectBackend::inspect(const VolumeDefinition& volume) {
  for (VolumeDefinition& found : list())
    if (found.name == volume.name) return found;
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      fmt::format("no storage vol with matching name '{}'", volume.name));
}

}  // namespace warren::driver::storage::backend
