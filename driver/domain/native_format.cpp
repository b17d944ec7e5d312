#include "driver/domain/native_format.h"

#include <algorithm>
#include <ctime>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>

#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"
#include "driver/domain/machine_translation.h"
#include "driver/domain/resources.h"
#include "vmm-core/control/standalone_machine.h"
#include "vmm-core/os/error.h"

namespace warren::driver::domain {

namespace {

namespace asio = boost::asio;
namespace control = vmm::control;

Error unknown_format(const std::string& format) {
  const bool of_qemu = format == "qemu-argv";
  return {
      VIR_ERR_INVALID_ARG,
      fmt::format("unsupported config type {}: {}; the native format is '{}'", format.substr(0, 64),
                  of_qemu ? "Warren runs no QEMU, so that there is no command line of it" : "there is none",
                  kNativeFormat)};
}

void add_character(const config::CharacterBackend& backend, const std::string& name,
                   std::vector<control::Resource>& resources) {
  if (backend.type == config::CharacterBackendType::unix_socket) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("{}: a worker that runs stand-alone makes no sockets", name));
  }
  if (backend.type == config::CharacterBackendType::pty)
    resources.push_back({.name = name, .kind = control::ResourceKind::pty});
  if (backend.type == config::CharacterBackendType::file)
    resources.push_back({.name = name, .kind = control::ResourceKind::output, .path = backend.path});
  if (!backend.log_file.empty()) {
    resources.push_back(
        {.name = log_descriptor(name), .kind = control::ResourceKind::output, .path = backend.log_file});
  }
}

// What open_resources() would open. `live` has what is there only once a domain runs.
std::vector<control::Resource> resources_of(const config::DomainDefinition& definition,
                                            config::LiveResources& live) {
  std::vector<control::Resource> resources;
  resources.push_back({.name = kKernelDescriptor, .path = definition.os.kernel});
  if (!definition.os.initrd.empty())
    resources.push_back({.name = kInitrdDescriptor, .path = definition.os.initrd});
  const config::Devices& devices = definition.devices;
  if (!devices.vsocks.empty()) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                "a worker that runs by itself has no socket device: its connections to the host are the "
                "daemon's to make");
  }
  for (const config::Input& input : devices.inputs) {
    if (!input.source.empty())
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                  fmt::format("a worker that runs by itself has no input device of the host: '{}' is the "
                              "daemon's to open",
                              input.source));
  }
  if (!config::assigned_devices(devices).empty()) {
    throw Error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        "a worker that runs by itself has no host devices: to take them from the host's drivers is the "
        "daemon's business");
  }
  for (std::size_t i = 0; i < devices.disks.size(); ++i) {
    const config::Disk& disk = devices.disks[i];
    if (disk.volume) {
      throw Error(
          VIR_ERR_CONFIG_UNSUPPORTED,
          fmt::format("disk {}: a worker that runs by itself has no pools: give the disk the volume's "
                      "path",
                      disk.target));
    }
    if (disk.server) {
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                  fmt::format("disk {}: a worker that runs by itself reaches no NBD server: to connect to it "
                              "is the daemon's business",
                              disk.target));
    }
    if (!disk.vhost_user.empty()) {
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                  fmt::format("disk {}: a worker that runs by itself opens files, and connects to no socket "
                              "of another program (vhostuser)",
                              disk.target));
    }
    if (disk.caged) {
      throw Error(
          VIR_ERR_CONFIG_UNSUPPORTED,
          fmt::format("disk {}: a worker that runs by itself has no storage daemon: to start one is the "
                      "daemon's business",
                      disk.target));
    }
    if (disk.source.empty()) continue;
    resources.push_back({.name = disk_descriptor(i), .path = disk.source, .write = !disk.read_only});
    if (disk.driver.format == config::DiskFormat::qcow2 && !disk.backing_store_end) {
      throw Error(
          VIR_ERR_CONFIG_UNSUPPORTED,
          fmt::format("disk {}: a worker that runs by itself is told every image of a chain: end it with "
                      "<backingStore/>",
                      disk.target));
    }
    for (std::size_t depth = 1; depth <= disk.backing.size(); ++depth)
      resources.push_back({.name = backing_descriptor(i, depth), .path = disk.backing[depth - 1].source});
  }
  for (std::size_t i = 0; i < devices.interfaces.size(); ++i) {
    const config::Interface& interface = devices.interfaces[i];
    if (!config::has_link(interface) || interface.driver.name == config::PacketMover::vhost) {
      throw Error(
          VIR_ERR_CONFIG_UNSUPPORTED,
          fmt::format("interface {}: a worker that runs by itself opens taps alone: passt, vhost-net and "
                      "sockets of other programs are the daemon's business",
                      config::format_mac_address(interface.mac.value())));
    }
    // The name the first free tap would get.
    const std::string tap = interface.target.empty() ? fmt::format("vnet{}", i) : interface.target;
    for (std::uint32_t queue = 0; queue < interface.driver.queues.value_or(1); ++queue)
      resources.push_back(
          {.name = tap_descriptor(i, queue), .kind = control::ResourceKind::tap, .path = tap});
    live.interface_targets.push_back(tap);
  }
  for (std::size_t i = 0; i < devices.serials.size(); ++i) {
    add_character(devices.serials[i].backend, serial_descriptor(i), resources);
    live.serial_ptys.emplace_back();
  }
  for (std::size_t i = 0; i < devices.consoles.size(); ++i) {
    if (devices.consoles[i].target == config::ConsoleTarget::virtio)
      add_character(devices.consoles[i].backend, console_descriptor(i), resources);
    live.console_ptys.emplace_back();
  }
  for (std::size_t i = 0; i < devices.channels.size(); ++i) {
    add_character(devices.channels[i].backend, channel_descriptor(i), resources);
    live.channel_paths.emplace_back();
  }
  return resources;
}

class LocalNativeFormats final : public NativeFormats {
 public:
  LocalNativeFormats(asio::io_context& loop, config::HostFacts facts)
      : loop_(loop), facts_(std::move(facts)) {}
  ~LocalNativeFormats() override { thread_.join(); }

  void to_native(const Caller&, const std::string& format, std::string xml, unsigned int flags,
                 Completion<std::string> completion) override {
    asio::post(thread_, [this, guard = asio::make_work_guard(loop_), format, xml = std::move(xml), flags,
                         completion = std::move(completion)]() mutable {
      std::expected<std::string, Error> outcome;
      try {
        check_flags(flags, 0, "virConnectDomainXMLToNative");
        if (format != kNativeFormat) throw unknown_format(format);
        config::DomainDefinition definition = config::parse_domain(xml, {.inactive = true});
        config::fill_defaults(definition, facts_);
        outcome = format_native(std::move(definition), facts_);
      } catch (const Error& error) {
        outcome = std::unexpected(error);
      } catch (const std::exception& error) {
        outcome = std::unexpected(internal_error(error.what()));
      }
      asio::post(loop_, [outcome = std::move(outcome), completion = std::move(completion)]() mutable {
        completion(std::move(outcome));
      });
    });
  }

  std::string from_native(const Caller&, const std::string& format, const std::string&,
                          unsigned int flags) const override {
    check_flags(flags, 0, "virConnectDomainXMLFromNative");
    if (format != kNativeFormat) throw unknown_format(format);
    throw operation_unsupported(
        "a machine specification does not tell the domain's name, or what its files are for: its XML would "
        "be "
        "guessed");
  }

 private:
  asio::io_context& loop_;
  const config::HostFacts facts_;
  asio::thread_pool thread_{1};  // a document may be large; last: it ends first
};

}  // namespace

std::unique_ptr<NativeFormats> make_native_formats(asio::io_context& loop, config::HostFacts facts) {
  return std::make_unique<LocalNativeFormats>(loop, std::move(facts));
}

std::string format_native(config::DomainDefinition definition, const config::HostFacts& facts) {
  control::StandaloneMachine native;
  config::LiveResources live{.id = 1};
  native.descriptors = resources_of(definition, live);
  config::assign_live(definition, live);
  Resources resources;
  resources.disks.resize(definition.devices.disks.size());
  for (std::size_t i = 0; i < resources.disks.size(); ++i)
    resources.disks[i].below.resize(definition.devices.disks[i].backing.size());
  resources.inputs.resize(definition.devices.inputs.size());
  native.machine = machine_of(definition, facts, resources, std::time(nullptr));
  try {
    control::validate(native.machine);
  } catch (const vmm::Error& error) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED, error.what(), VIR_FROM_DOMAIN);
  }
  return control::format_standalone_machine(native);
}

}  // namespace warren::driver::domain
