#include "driver/storage/backend/rbd_backend.h"

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver/storage/backend/copying.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

namespace json = boost::json;

json::value parse(const std::string& output) {
  json::error_code failed;
  json::value document = json::parse(output, failed);
  if (failed) throw storage_error(VIR_ERR_INTERNAL_ERROR, "malformed answer of the Ceph tools");
  return document;
}

std::uint64_t number(const json::value* value) {
  json::error_code failed;
  if (value == nullptr || !(value->is_int64() || value->is_uint64())) return 0;
  const auto result = value->to_number<std::uint64_t>(failed);
  return failed ? 0 : result;
}

}  // namespace

std::string RbdBackend::run(const std::string& tool, std::vector<std::string> arguments) const {
  std::string monitors;
  for (const SourceHost& host : pool_.source.hosts) {
    if (!monitors.empty()) monitors += ',';
    const bool is_address6 = host.name.find(':') != std::string::npos;
    monitors += is_address6 ? fmt::format("[{}]", host.name) : host.name;
    if (host.port != 0) monitors += fmt::format(":{}", host.port);
  }
  arguments.insert(arguments.end(), {"-m", monitors});
  // The key goes by a file in memory that the tool inherits by name, never by its arguments.
  vmm::FileDescriptor key;
  if (pool_.source.authentication.type == "ceph") {
    key.reset(::memfd_create("key", MFD_CLOEXEC));
    if (!key) throw host_error(errno, "cannot keep the key of the pool");
    write_fully(key.get(), request_.secret.data(), request_.secret.size(), 0);
    arguments.insert(arguments.end(), {"--id", pool_.source.authentication.username, "--keyfile",
                                       fmt::format("/proc/{}/fd/{}", ::getpid(), key.get())});
  } else {
    arguments.insert(arguments.end(), {"--auth-supported", "none"});
  }
  // A cluster that does not answer is not waited for: the tools try for five minutes.
  arguments.insert(arguments.end(), {"--client-mount-timeout", "15", "--rados-mon-op-timeout", "15",
                                     "--rados-osd-op-timeout", "15"});
  for (const NamedValue& option : pool_.config_options) {
    if (option.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos)
      throw storage_error(VIR_ERR_XML_ERROR, fmt::format("'{}' is no option of Ceph", option.name));
    arguments.insert(arguments.end(), {"--" + option.name, option.value});
  }
  return require_tool(
      {.name = tool, .arguments = std::move(arguments), .deadline = std::chrono::seconds(120)});
}

std::string RbdBackend::image(const std::string& name) const {
  if (name.empty() || name.front() == '-' || name.find_first_of("@/") != std::string::npos)
    throw storage_error(VIR_ERR_OPERATION_INVALID, fmt::format("'{}' cannot be the name of an image", name));
  return pool_.source.name + "/" + name;
}

void RbdBackend::start() {
  if (pool_.source.authentication.type == "chap")
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED,
                        "an RBD pool is authenticated with 'ceph', not with 'chap'");
  run("rbd", {"ls", "--format", "json", pool_.source.name});
}

std::vector<VolumeDefinition> RbdBackend::list() const {
  std::vector<VolumeDefinition> volumes;
  const json::value document = parse(run("rbd", {"ls", "-l", "--format", "json", pool_.source.name}));
  if (!document.is_array()) return volumes;
  for (const json::value& row : document.get_array()) {
    const auto* object = row.if_object();
    if (object == nullptr || object->if_contains("snapshot") != nullptr) continue;
    const auto* name = object->if_contains("image");
    if (name == nullptr || !name->is_string()) continue;
    VolumeDefinition& volume = volumes.emplace_back();
    volume.type = VIR_STORAGE_VOL_NETWORK;
    volume.name = name->get_string();
    volume.target.format = "raw";
    volume.target.path = volume.key = pool_.source.name + "/" + volume.name;
    volume.capacity = volume.allocation = number(object->if_contains("size"));
  }
  return volumes;
}

void RbdBackend::refresh(Reporter& reporter) {
  PoolDefinition pool = pool_;
  pool.allocation = 0;
  for (const VolumeDefinition& volume : list()) {
    pool.allocation += volume.allocation;
    reporter.volume(volume);
  }
  json::error_code none;
  const json::value space = parse(run("ceph", {"df", "--format", "json"}));
  pool.capacity = number(space.find_pointer("/stats/total_bytes", none));
  pool.available = number(space.find_pointer("/stats/total_avail_bytes", none));
  reporter.pool(pool);
}

void RbdBackend::create(const VolumeDefinition& wanted, Reporter&) {
  if (wanted.target.format != "raw")
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED, "only RAW volumes are supported by this storage pool");
  if (wanted.capacity == 0)
    throw storage_error(VIR_ERR_NO_SUPPORT, "volume capacity required for this storage pool");
  run("rbd", {"create", "--size", fmt::format("{}B", wanted.capacity), image(wanted.name)});
}

void RbdBackend::remove_volume(const VolumeDefinition& volume) {
  if ((request_.flags & VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS) != 0)
    run("rbd", {"snap", "purge", image(volume.name)});
  run("rbd", {"rm", "--no-progress", image(volume.name)});
}

void RbdBackend::resize(const VolumeDefinition& volume, std::uint64_t capacity) {
  std::vector<std::string> arguments{"resize", "--no-progress", "--size", fmt::format("{}B", capacity),
                                     image(volume.name)};
  if (capacity < volume.capacity) arguments.emplace_back("--allow-shrink");
  run("rbd", std::move(arguments));
}

VolumeDefinition RbdBackend::inspect(const VolumeDefinition& volume) {
  for (VolumeDefinition& found : list())
    if (found.name == volume.name) return found;
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      fmt::format("no storage vol with matching name '{}'", volume.name));
}

}  // namespace warren::driver::storage::backend
