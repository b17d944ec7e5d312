// Devices of a running machine.
//
// The live definition, on disk too, names every device that the worker may have: one that is plugged in is
// written down before the worker gets it, one that is removed is struck out after the worker has lost it. So
// a daemon that finds a device in the definition that the worker does not have knows that it is gone (failure
// class T14).
#include "driver/domain/hot_plug.h"

#include <algorithm>
#include <span>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml.h"
#include "driver/domain/agent_socket.h"
#include "driver/domain/character_file.h"
#include "driver/domain/disk_volume.h"
#include "driver/domain/domain.h"
#include "driver/domain/machine_translation.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

// What is a port of a virtio-serial controller comes and goes with no slot of its own.
bool is_port(const config::Device& device) {
  const auto* console = std::get_if<config::Console>(&device);
  return std::holds_alternative<config::Channel>(device) ||
         (console != nullptr && console->target == config::ConsoleTarget::virtio);
}

// What is on a SCSI controller, likewise.
bool is_scsi_unit(const config::Device& device) {
  const auto* disk = std::get_if<config::Disk>(&device);
  return disk != nullptr && disk->bus == config::DiskBus::scsi;
}

// The socket that was made for it, if one was.
std::string socket_of(const config::Device& device) {
  if (const auto* channel = std::get_if<config::Channel>(&device)) return own_socket(channel->backend);
  if (const auto* console = std::get_if<config::Console>(&device)) return own_socket(console->backend);
  return {};
}

// In the words and codes of libvirt's qemu driver, for what no machine of this kind takes or gives at run
// time.
void require_scsi(const config::Controller& controller, std::string_view doing) {
  if (controller.type == config::ControllerType::scsi) return;
  throw operation_unsupported(fmt::format("'{}' controller cannot be hot {}.",
                                          config::names::kController.name(controller.type),
                                          doing == "attach" ? "plugged" : "unplugged"));
}

void require_virtio(const config::Input& input, std::string_view doing) {
  if (input.bus == config::InputBus::virtio) return;
  throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
              fmt::format("input device on bus '{}' cannot be {}", config::names::kInputBus.name(input.bus),
                          doing == "attach" ? "hot plugged." : "detached"));
}

void require_hot_plug(const config::Device& device, std::string_view doing) {
  if (is_port(device) || is_scsi_unit(device)) return;
  if (const auto* controller = std::get_if<config::Controller>(&device)) {
    require_scsi(*controller, doing);
    return;
  }
  if (const auto* input = std::get_if<config::Input>(&device)) require_virtio(*input, doing);
  if (const auto* disk = std::get_if<config::Disk>(&device);
      disk != nullptr && disk->bus != config::DiskBus::virtio) {
    throw operation_unsupported(disk->device == config::DiskDevice::cdrom
                                    ? fmt::format("live {} of a CD/DVD drive is not supported", doing)
                                    : std::string("disk bus 'sata' cannot be hotplugged."));
  }
  if (const auto* watchdog = std::get_if<config::Watchdog>(&device);
      watchdog != nullptr && watchdog->model == config::WatchdogModel::itco)
    throw operation_unsupported("hotplug of watchdog of model itco is not supported");
  if (std::holds_alternative<config::Disk>(device) || std::holds_alternative<config::Interface>(device) ||
      std::holds_alternative<config::Rng>(device) || std::holds_alternative<config::Vsock>(device) ||
      std::holds_alternative<config::Watchdog>(device) || std::holds_alternative<config::Input>(device) ||
      std::holds_alternative<config::HostDevice>(device) ||
      std::holds_alternative<config::MemoryDevice>(device))
    return;
  throw operation_unsupported(
      fmt::format("live {} of device '{}' is not supported", doing, config::device_kind(device)));
}

// Those have slots of their own.
bool is_dimm(const config::Device& device) {
  const auto* memory = std::get_if<config::MemoryDevice>(&device);
  return memory != nullptr && memory->model == config::MemoryModel::dimm;
}

bool has_bandwidth(const config::Device& device) {
  const auto* interface = std::get_if<config::Interface>(&device);
  return interface != nullptr && interface->bandwidth.has_value();
}

// With what it adds to the domain's memory. How many there were.
template <typename Predicate>
std::size_t drop_memory(config::DomainDefinition& live, Predicate is_it) {
  const auto memories = live.devices.memories;
  for (const config::MemoryDevice& memory : memories)
    if (is_it(memory)) config::remove_device(live, memory);
  return memories.size() - live.devices.memories.size();
}

}  // namespace

// A device with what it is plugged in with.
struct Domain::Opened {
  config::Device device;
  Resources resources;
  HostAccess host;
};

Task<std::shared_ptr<Domain::Opened>> Domain::open_device(config::Device device) {
  auto made = std::make_shared<Opened>(Opened{std::move(device), {}, {}});
  if (auto* interface = std::get_if<config::Interface>(&made->device)) {
    co_await take_port(*interface);
    // It may be a device of the host now.
    if (interface->port) config::assign_hot_plugged(*live_, made->device);
  }
  if (const auto host = config::assigned_device(made->device)) {
    std::exception_ptr failed;
    try {
      auto opened = co_await take_host_device(*host);
      made->host = std::move(opened->access);
      made->resources.names = std::move(opened->names);
      made->resources.descriptors = std::move(opened->descriptors);
    } catch (...) {
      failed = std::current_exception();
    }
    if (!failed) co_return made;
    co_await give_back_to_host();
    co_await write_status();
    std::rethrow_exception(failed);
  }
  ResourceAccess access = resource_access({});
  if (auto* disk = std::get_if<config::Disk>(&made->device)) {
    find_volume(environment_->settings.volumes, *disk);
    access = resource_access(std::span(disk, 1));
  }
  std::move_only_function<std::shared_ptr<Opened>()> work =
      [made, access = std::move(access), environment = environment_, uuid = uuid_]() mutable {
        made->resources = open_resources(made->device, access);
        if (auto* vsock = std::get_if<config::Vsock>(&made->device))
          open_vsock(*environment, uuid, *vsock, made->resources);
        return made;
      };
  // A number for a socket is the domain's until it is given back, whoever waits.
  Abandonment* wait = std::holds_alternative<config::Disk>(made->device) ? &image_wait_ : nullptr;
  auto opened =
      co_await run_blocking<std::shared_ptr<Opened>>(environment_->io_threads, std::move(work), wait);
  declare_formats(opened->resources.unmarked);
  if (const auto* interface = std::get_if<config::Interface>(&opened->device)) {
    own_links(std::span(interface, 1), opened->resources.half_made_links);
    co_await plug_into_switch(*interface);
    co_await filter_interface(*interface);
  }
  if (auto* disk = std::get_if<config::Disk>(&opened->device))
    config::number_images(*disk, config::next_image_number(live_->devices));
  co_return opened;
}

// The SCSI controllers that a running domain lacks for that disk, as libvirt plugs them in; they stay.
Task<> Domain::plug_controllers_for(config::Device device) {
  const std::vector<std::uint32_t> missing = config::missing_scsi_controllers(live_->devices, device);
  if (missing.empty()) co_return;
  require_worker();
  // What cannot be plugged in needs no controller.
  config::require_new(live_->devices, device);
  std::vector<config::Device> controllers;
  config::DomainDefinition trial = *live_;
  for (const std::uint32_t index : missing) {
    config::Device& controller =
        controllers.emplace_back(config::Controller{.type = config::ControllerType::scsi, .index = index});
    config::complete_device(controller);
    // Places are given out again when they come, one by one; here, that there are enough for all.
    config::Device placed = controller;
    config::assign_hot_plugged(trial, placed);
    config::add_device(trial, placed);
  }
  for (config::Device& controller : controllers) co_await plug(std::move(controller), nullptr);
}

// Everything or nothing: what cannot be is undone in the order in which it came to be.
Task<> Domain::plug(std::optional<config::Device> device, DefinitionPointer persistent) {
  std::shared_ptr<config::DomainDefinition> live;
  std::shared_ptr<Opened> opened;
  if (device) {
    require_hot_plug(*device, "attach");
    require_worker();
    // Before it is looked for a place that it would not need.
    config::require_new(live_->devices, *device);
    config::assign_hot_plugged(*live_, *device);
    config::DomainDefinition trial = *live_;
    config::add_device(trial, *device);
    config::check_readable(trial);
    std::exception_ptr refused;
    try {
      opened = co_await open_device(*std::move(device));
    } catch (...) {
      refused = std::current_exception();
    }
    if (refused) {
      co_await give_back_networks();
      std::rethrow_exception(refused);
    }
    live = std::make_shared<config::DomainDefinition>(*live_);
    config::add_device(*live, opened->device);
  }
  const DefinitionPointer before = live_;
  Act act;
  if (live) act = [this, live, opened] { return hand_over(live, opened); };
  std::exception_ptr failed;
  try {
    co_await commit(std::move(persistent), std::move(act));
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    live_ = before;
    if (live && live_->devices.vsocks.empty() && !live->devices.vsocks.empty()) release_cid();
    if (opened) {
      opened->resources.descriptors.clear();
      co_await give_back_to_host();
    }
    if (live) co_await write_status();
    if (opened && !socket_of(opened->device).empty()) remove_character_socket(socket_of(opened->device));
    std::rethrow_exception(failed);
  }
  if (!live) co_return;
  const std::string alias = config::info_of(opened->device).alias;
  emit(DeviceAddedEvent{alias});
  if (is_agent_channel(alias)) open_agent(VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL);
}

// Written down before the machine has it: a daemon that comes back believes the worker (failure class T14).
Task<> Domain::hand_over(DefinitionPointer live, std::shared_ptr<Opened> opened) {
  const config::Device& device = opened->device;
  Resources& resources = opened->resources;
  live_ = std::move(live);
  co_await write_status();
  Worker& worker = require_worker();
  const std::string alias = config::info_of(device).alias;
  if (is_port(device)) {
    co_await worker.plug_port(port_of(live_->devices, device), std::move(resources.names),
                              std::move(resources.descriptors),
                              fmt::format("plug port {} into domain '{}'", alias, name_));
    co_return;
  }
  if (const auto* memory = std::get_if<config::MemoryDevice>(&device)) {
    co_await plug_memory(*memory);
    co_return;
  }
  const std::optional<config::HostDevice> host = config::assigned_device(device);
  if (host) allow_locking(worker, *live_);
  control::PlugDevice command = host ? plug_of(*host, opened->host) : plug_of(device, resources, *live_);
  std::string doing = fmt::format("plug device {} into domain '{}'", alias, name_);
  co_await worker.plug_device(std::move(command), std::move(resources.names),
                              std::move(resources.descriptors), std::move(doing));
  if (!has_bandwidth(device)) co_return;
  try {
    // All but this one's limits are there already.
    auto before = std::make_shared<config::DomainDefinition>(*live_);
    for (config::Interface& interface : before->devices.interfaces)
      if (interface.info.alias == alias) interface.bandwidth.reset();
    co_await apply_tuning(*live_, std::move(before));
  } catch (const std::exception& error) {
    // The guest may use it already: to take it away again would be worse.
    log(LogPriority::error, fmt::format("device {} has no limits: {}", alias, error.what()));
  }
}

Task<> Domain::remove_device(Caller caller, Choice choice, unsigned int flags, bool waits) {
  auto hold = co_await slot_.acquire(job_of("detach device", caller));
  if (!persistent_ && !live_) throw no_domain(uuid_, name_);
  const Affected affected = affected_by(*snapshot_, flags);
  std::string alias;
  bool port = false, dimm = false;
  if (affected.live) {
    const config::Device device = choice(*live_, true);
    require_hot_plug(device, "detach");
    require_worker();
    if (const auto* disk = std::get_if<config::Disk>(&device)) require_no_block_job(*disk);
    const config::DeviceInfo& info = config::info_of(device);
    port = is_port(device);
    dimm = is_dimm(device);
    // A controller goes when nothing is on it any more.
    if (std::holds_alternative<config::Controller>(device)) {
      config::DomainDefinition trial = *live_;
      config::remove_device(trial, device);
    }
    if (!port && !dimm && !is_scsi_unit(device) &&
        (!info.pci || !config::takes_hot_plug(live_->devices, *info.pci))) {
      throw operation_unsupported(fmt::format(
          "device {} cannot be detached while the domain runs: the bus it sits on does not support hot plug",
          info.alias));
    }
    alias = info.alias;
  }
  std::shared_ptr<config::DomainDefinition> persistent;
  if (affected.persistent) {
    persistent = std::make_shared<config::DomainDefinition>(*persistent_);
    config::remove_device(*persistent, choice(*persistent, false));
    complete_changed(*persistent, environment_->facts);
  }
  Act act;
  if (affected.live)
    act = [this, port, dimm, &alias] { return port ? remove_port(alias) : ask_to_let_go(alias, dimm); };
  co_await commit(std::move(persistent), std::move(act));
  // The guest takes its time; other changes do not wait for it.
  hold.release();
  if (affected.live && waits && !port) co_await wait_for_removal(alias);
}

bool Domain::is_agent_channel(const std::string& alias) const {
  const config::Channel* agent = agent_channel_of(*live_);
  return agent != nullptr && agent->info.alias == alias;
}

// The guest is told, and not asked: the port is gone when the worker has answered.
Task<> Domain::remove_port(std::string alias) {
  Worker& worker = require_worker();
  Request<void> request = [&worker, alias](auto reply) {
    worker.client().unplug_port({alias}, std::move(reply));
  };
  co_await worker.ask<void>(std::move(request), fmt::format("detach port {} of domain '{}'", alias, name_));
  const std::string socket = socket_of(config::device_with_alias(*live_, alias));
  if (is_agent_channel(alias) && agent_) {
    if (agent_->is_open()) {
      agent_->set_open(false);
      tell_agent_state(VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL);
    }
    close_agent();
  }
  drop_device(alias);
  if (!socket.empty()) remove_character_socket(socket);
  co_await write_status();
  publish();
  emit(DeviceRemovedEvent{alias});
}

Task<> Domain::ask_to_let_go(std::string alias, bool dimm) {
  Worker& worker = require_worker();
  auto& timer = removals_[alias];
  if (!timer) timer = std::make_shared<asio::steady_timer>(environment_->loop);
  timer->expires_after(kRemovalPatience);
  refused_removals_.erase(alias);
  Request<void> request = [&worker, alias, dimm](auto reply) {
    if (dimm) {
      worker.client().unplug_dimm({alias}, std::move(reply));
    } else {
      worker.client().unplug_device({alias}, std::move(reply));
    }
  };
  co_await worker.ask<void>(std::move(request), fmt::format("detach device {} of domain '{}'", alias, name_));
}

// Ends when the device is gone, or nobody waits any longer.
Task<> Domain::wait_for_removal(std::string alias) {
  const auto found = removals_.find(alias);
  if (found == removals_.end()) co_return;
  const std::shared_ptr<asio::steady_timer> timer = found->second;
  boost::system::error_code ended;
  co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ended));
  if (refused_removals_.erase(alias) != 0)
    throw operation_failed(fmt::format("unplug of device {} was rejected by the guest", alias));
}

Task<> Domain::device_unplugged(std::weak_ptr<Worker> from, std::string alias) {
  auto hold = co_await slot_.acquire(job_of("removal of a device", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  const bool was_held = is_guest_held();
  if (!worker || worker != worker_ || !is_active() || !drop_device(alias)) co_return;
  co_await let_guest_go(was_held);
  co_await give_back_to_host();
  co_await write_status();
  publish();
  emit(DeviceRemovedEvent{alias});
  if (auto waiting = removals_.extract(alias)) waiting.mapped()->cancel();
}

// Strikes a device out of the live definition, which is to be published; false when it is not there.
bool Domain::drop_device(const std::string& alias) {
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  const auto is_it = [&](const auto& device) { return device.info.alias == alias; };
  config::Devices& devices = live->devices;
  for (const config::Disk& disk : devices.disks) {
    if (!is_it(disk)) continue;
    disk_messages_.erase(disk.target);
    if (auto job = block_jobs_.extract(disk.target)) {
      job.mapped()->has_ended = true;
      job.mapped()->failure = "the disk is gone";
      job.mapped()->over.cancel();
    }
    std::erase_if(disk_errors_, [&](const DiskError& each) { return each.disk == disk.target; });
  }
  if (std::erase_if(devices.disks, is_it) + std::erase_if(devices.interfaces, is_it) +
          std::erase_if(devices.rngs, is_it) + std::erase_if(devices.vsocks, is_it) +
          std::erase_if(devices.watchdogs, is_it) + std::erase_if(devices.inputs, is_it) +
          std::erase_if(devices.host_devices, is_it) + drop_memory(*live, is_it) +
          std::erase_if(devices.channels, is_it) + std::erase_if(devices.consoles, is_it) +
          std::erase_if(devices.controllers, is_it) ==
      0)
    return false;
  if (devices.vsocks.empty() && !live_->devices.vsocks.empty()) release_cid();
  passt_deaths_.erase(alias);
  live_ = std::move(live);
  return true;
}

// What the worker does not have any more, or never got, when a daemon comes back to it.
void Domain::forget_devices_but(const control::Status& found) {
  std::vector<std::string> gone;
  // A worker of an earlier revision does not say.
  const auto is_there = [](const std::optional<std::vector<std::string>>& present, const std::string& alias) {
    return !present || std::find(present->begin(), present->end(), alias) != present->end();
  };
  const auto look = [&](const auto& list) {
    for (const auto& each : list)
      if (!is_there(found.devices, each.info.alias)) gone.push_back(each.info.alias);
  };
  for (const config::Disk& disk : live_->devices.disks) {
    // Others are no devices of their own to the machine, and stay.
    if (disk.bus == config::DiskBus::sata) continue;
    look(std::span(&disk, 1));
  }
  look(live_->devices.interfaces);
  look(live_->devices.rngs);
  look(live_->devices.vsocks);
  look(live_->devices.host_devices);
  for (const config::Controller& controller : live_->devices.controllers)
    if (controller.type == config::ControllerType::scsi) look(std::span(&controller, 1));
  for (const config::Input& input : live_->devices.inputs)
    if (input.bus == config::InputBus::virtio) look(std::span(&input, 1));
  for (const config::Watchdog& watchdog : live_->devices.watchdogs)
    if (watchdog.model != config::WatchdogModel::itco) look(std::span(&watchdog, 1));
  for (const config::MemoryDevice& memory : live_->devices.memories) {
    const auto is_it = [&](const control::MemoryDeviceStatus& each) { return each.id == memory.info.alias; };
    if (found.memory_devices && std::ranges::none_of(*found.memory_devices, is_it))
      gone.push_back(memory.info.alias);
  }
  for (const config::Channel& channel : live_->devices.channels)
    if (!is_there(found.ports, channel.info.alias)) gone.push_back(channel.info.alias);
  for (const config::Console& console : live_->devices.consoles)
    if (is_port(console) && !is_there(found.ports, console.info.alias)) gone.push_back(console.info.alias);
  for (const std::string& alias : gone) {
    drop_device(alias);
    publish();
    emit(DeviceRemovedEvent{alias});
  }
}

// The guest does not let go of it, and has said so.
void Domain::device_kept(const std::string& alias) {
  if (!is_active() || !config::has_device(*live_, alias)) return;
  emit(DeviceRemovalFailedEvent{alias});
  if (auto waiting = removals_.extract(alias)) {
    refused_removals_.insert(alias);
    waiting.mapped()->cancel();
  }
}

void Domain::end_removals() {
  for (auto& [alias, timer] : std::exchange(removals_, {})) timer->cancel();
  end_vcpu_removals();
}

// Makes the running device what `live` says of it, where `before` said something else.
Task<> Domain::apply_update(config::Device device, config::DomainDefinition live, DefinitionPointer before,
                            std::shared_ptr<MediumChange> medium) {
  const auto* wanted = std::get_if<config::MemoryDevice>(&device);
  const config::Device changed = wanted != nullptr
                                     ? config::Device(config::find_memory_to_update(live, *wanted))
                                     : config::find_device(live, device);
  if (const auto* disk = std::get_if<config::Disk>(&changed)) {
    co_await apply_disk_update(*disk, std::move(live), std::move(medium));
    co_return;
  }
  if (const auto* memory = std::get_if<config::MemoryDevice>(&changed)) {
    co_await request_memory(memory->info.alias, memory->requested_kib);
    co_return;
  }
  const auto* interface = std::get_if<config::Interface>(&changed);
  if (interface == nullptr) co_return;
  Worker& worker = require_worker();
  const control::SetLink link{interface->info.alias, interface->link_up.value_or(true)};
  Request<void> request = [&worker, link](auto reply) { worker.client().set_link(link, std::move(reply)); };
  co_await worker.ask<void>(std::move(request),
                            fmt::format("set the link of {} of domain '{}'", link.id, name_));
  co_await apply_tuning(std::move(live), std::move(before));
}

// The medium last: what failed before it has not touched it.
Task<> Domain::apply_disk_update(config::Disk disk, config::DomainDefinition live,
                                 std::shared_ptr<MediumChange> medium) {
  co_await apply_io_tune(disk.target, std::move(live));
  if (disk.device != config::DiskDevice::cdrom) co_return;
  const config::Disk inside =
      medium->inside ? *medium->inside : std::get<config::Disk>(config::find_device(*live_, disk));
  if (is_same_medium(disk, inside)) co_return;
  co_await change_medium(disk, medium->by_force);
  medium->inside = disk;
}

}  // namespace warren::driver::domain
