// Devices that come and go while the machine runs. What the guest does to a slot comes from vCPU threads and
// is passed on to the control thread, where devices are made and destroyed.
#include <algorithm>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

// The first slot that no device has.
template <typename Slots>
auto& free_slot(Slots& slots, const std::string& id, const char* what) {
  const auto found = std::ranges::find_if(slots, [](const auto& slot) { return slot.owner.load() == 0; });
  if (found == slots.end())
    throw Error(std::errc::argument_list_too_long, std::string(what) + ": more than 64");
  found->owner.store(counters_owner(id));
  return *found;
}

template <typename Slots>
void clear_slot(Slots& slots, const std::string& id) {
  for (auto& slot : slots) {
    if (slot.owner.load() != counters_owner(id)) continue;
    std::construct_at(&slot);  // zeros; what was there needs no destruction
  }
}

}  // namespace

BlockCounters& Worker::block_counters(const std::string& id) {
  return free_slot(counters_->disks, id, "disks");
}

NetCounters& Worker::net_counters(const std::string& id) {
  return free_slot(counters_->interfaces, id, "interfaces");
}

void Worker::plug_device(const control::PlugDevice& command, control::DescriptorSet descriptors) {
  require(machine_ != nullptr && state_ != control::MachineState::prepared, "plug_device");
  const std::string& id = !command.disks.empty()              ? command.disks.front().id
                          : !command.interfaces.empty()       ? command.interfaces.front().id
                          : !command.vsocks.empty()           ? command.vsocks.front().id
                          : !command.watchdogs.empty()        ? command.watchdogs.front().id
                          : !command.rngs.empty()             ? command.rngs.front().id
                          : !command.inputs.empty()           ? command.inputs.front().id
                          : !command.host_devices.empty()     ? command.host_devices.front().id
                          : !command.scsi_controllers.empty() ? command.scsi_controllers.front().id
                          : !command.vhost_user_disks.empty() ? command.vhost_user_disks.front().id
                                                              : command.virtio_memories.front().id;
  const auto present = machine_->device_names();
  if (std::ranges::find(present, id) != present.end() || scsi_units_.contains(id))
    throw Error(std::errc::file_exists, "plug_device: there is a device '" + id + "'");
  try {
    if (!command.disks.empty() && command.disks.front().scsi) {
      plug_scsi_unit(command.disks.front(), descriptors);
    } else if (!command.disks.empty()) {
      machine_->plug(disk_device(command.disks.front(), descriptors));
    } else if (!command.interfaces.empty()) {
      machine_->plug(interface_device(command.interfaces.front(), descriptors));
    } else if (!command.vsocks.empty()) {
      machine_->plug(vsock_device(command.vsocks.front(), descriptors));
    } else if (!command.watchdogs.empty()) {
      machine_->plug(watchdog_device(command.watchdogs.front()));
    } else if (!command.rngs.empty()) {
      machine_->plug(rng_device(command.rngs.front()));
    } else if (!command.inputs.empty()) {
      machine_->plug(input_device(command.inputs.front(), descriptors));
    } else if (!command.scsi_controllers.empty()) {
      machine_->plug(scsi_controller(command.scsi_controllers.front(), {}, descriptors));
    } else if (!command.vhost_user_disks.empty()) {
      machine_->plug(vhost_user_disk(command.vhost_user_disks.front(), descriptors));
    } else if (!command.host_devices.empty()) {
      machine_->plug(host_device(command.host_devices.front(), command.host_access, descriptors));
    } else {
      plug_virtio_memory(command.virtio_memories.front());
    }
  } catch (...) {
    forget_device(id);
    throw;
  }
}

void Worker::unplug_device(const control::DeviceName& command) {
  require(machine_ != nullptr && state_ != control::MachineState::prepared, "unplug_device");
  block_jobs_.require_none(command.id);
  if (scsi_units_.contains(command.id)) return unplug_scsi_unit(command.id);
  if (!scsi_units_of(command.id).empty())
    throw Error(std::errc::device_or_resource_busy, "device " + command.id + " has disks");
  require_given_back(command.id);
  if (machine_->request_removal(command.id) == pci::RemovalRequest::in_progress) {
    throw Error(std::errc::connection_already_in_progress,
                "device " + command.id + " is already in the process of unplug");
  }
}

void Worker::set_link(const control::SetLink& command) {
  const auto found = interfaces_.find(command.id);
  if (found == interfaces_.end()) throw Error(std::errc::no_such_device, "interface '" + command.id + "'");
  found->second->set_link(command.up);
}

void Worker::device_released(std::uint8_t bus) {
  const std::string id = machine_->unplug(bus);
  if (id.empty()) return;
  if (memory_devices_.erase(id) != 0) machine_->remove_memory(id);
  // What came to a controller after the guest had been asked for that went with it.
  for (const std::string& unit : scsi_units_of(id)) tell_unplugged(unit);
  tell_unplugged(id);
}

void Worker::tell_unplugged(const std::string& id) {
  forget_device(id);
  if (surroundings_.device_unplugged) surroundings_.device_unplugged({id});
}

// What the worker holds for a device that is not there any more.
void Worker::forget_device(const std::string& id) {
  interfaces_.erase(id);
  scsi_controllers_.erase(id);
  scsi_units_.erase(id);
  optical_drives_.erase(id);
  open_trays_.erase(id);
  vsocks_.erase(id);
  inputs_.erase(id);
  vhost_user_disks_.erase(id);
  vhost_user_interfaces_.erase(id);
  disks_.forget(id);
  clear_slot(counters_->disks, id);
  clear_slot(counters_->interfaces, id);
  const auto [used, end] = used_iothreads_.equal_range(id);
  for (auto each = used; each != end; ++each) --iothreads_.at(each->second).users;
  used_iothreads_.erase(used, end);
  std::erase_if(device_threads_, [&](const auto& own) {
    if (own.first != id && !own.first.starts_with(id + "/")) return false;
    std::erase_if(threads_, [thread = own.second](const auto& each) { return each.get() == thread; });
    return true;
  });
}

}  // namespace warren::vmm::worker
