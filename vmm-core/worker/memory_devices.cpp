// Memory devices: virtio memory, whose size changes while the machine runs, and modules that ACPI tells of.
// What the guest does comes from its threads and is passed on to the control thread.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/memory_device.h"
#include "vmm-core/worker/on_pci.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

using machine::DeviceMemoryConfiguration;

static_assert(control::kMaximumMemorySlots == MemoryHotPlug::kMaximumSlots);

DeviceMemoryConfiguration memory_of(const std::string& id, const control::DeviceMemorySpecification& memory) {
  return {.id = id,
          .options = {.size = memory.bytes,
                      .address = {},
                      .block_bytes = 0,
                      .allocation = {.huge_page_bytes = memory.huge_page_bytes, .populate = memory.populate},
                      .host_nodes = memory.host_nodes},
          .changed = {}};
}

machine::DimmConfiguration dimm_of(const control::DimmSpecification& dimm) {
  machine::DimmConfiguration made{
      .memory = memory_of(dimm.id, dimm.memory), .slot = dimm.slot, .node = dimm.node};
  if (dimm.address != 0) made.memory.options.address = GuestAddress{dimm.address};
  return made;
}

}  // namespace

DeviceMemoryConfiguration Worker::virtio_memory(const control::VirtioMemorySpecification& device) {
  DeviceMemoryConfiguration memory = memory_of(device.id, device.memory);
  memory.options.block_bytes = device.block_bytes;
  auto news = RareNews::make(loop_, [this, id = device.id] {
    const auto found = memory_devices_.find(id);
    if (found != memory_devices_.end() && surroundings_.memory_resized)
      surroundings_.memory_resized({id, found->second->plugged_bytes()});
  });
  memory.changed = [news = std::move(news)] { news->note(); };
  return memory;
}

machine::PciDeviceConfiguration Worker::virtio_memory_device(
    const control::VirtioMemorySpecification& device) {
  // Blocks of gigabytes take their time: its requests keep no other device waiting.
  EventThread& thread = own_thread(device.id);
  return on_pci(device.id, device.address, [this, device, &thread](const machine::DeviceMemories& memories) {
    virtio::MemoryDeviceOptions options{.requested_bytes = device.requested_bytes, .node = {}};
    if (device.node) options.node = static_cast<std::uint16_t>(*device.node);
    auto made = std::make_unique<virtio::MemoryDevice>(device.id, *memories.at(device.id), options,
                                                       std::vector<EventThread*>{&thread});
    memory_devices_[device.id] = made.get();
    return made;
  });
}

void Worker::add_memory_devices(machine::MachineConfiguration& configuration,
                                const control::MachineSpecification& specification) {
  configuration.hot_plug_bytes = specification.hot_plug_bytes;
  configuration.memory_slots = specification.memory_slots;
  for (const auto& device : specification.virtio_memories) {
    configuration.device_memories.push_back(virtio_memory(device));
    configuration.devices.push_back(virtio_memory_device(device));
  }
  for (const auto& dimm : specification.dimms) configuration.dimms.push_back(dimm_of(dimm));
  configuration.dimm_released = [this](std::uint32_t slot) {
    boost::asio::post(loop_, [this, slot] { dimm_released(slot); });
  };
  configuration.dimm_kept = [this](std::uint32_t slot) {
    boost::asio::post(loop_, [this, slot] {
      if (!machine_) return;
      const std::string id = machine_->dimm_in(slot);
      if (!id.empty() && surroundings_.device_kept) surroundings_.device_kept({id});
    });
  };
}

// The memory comes before its device.
void Worker::plug_virtio_memory(const control::VirtioMemorySpecification& device) {
  require_memory_for_back_ends(device.id);
  machine_->add_memory(virtio_memory(device));
  try {
    machine_->plug(virtio_memory_device(device));
  } catch (...) {
    memory_devices_.erase(device.id);
    machine_->remove_memory(device.id);
    throw;
  }
}

void Worker::require_given_back(const std::string& id) const {
  const auto found = memory_devices_.find(id);
  if (found == memory_devices_.end()) return;
  if (found->second->requested_bytes() != 0) {
    throw Error(std::errc::device_or_resource_busy,
                "virtio-mem device " + id + " cannot get unplugged while its requested size is not 0");
  }
  if (found->second->plugged_bytes() != 0) {
    throw Error(
        std::errc::device_or_resource_busy,
        "virtio-mem device " + id + " cannot get unplugged while some of its memory is still plugged");
  }
}

void Worker::request_memory(const control::RequestMemory& command) {
  require(machine_ != nullptr, "request_memory");
  const auto found = memory_devices_.find(command.id);
  if (found == memory_devices_.end())
    throw Error(std::errc::no_such_device, "virtio memory device '" + command.id + "'");
  const DeviceMemory& memory = *machine_->device_memories().at(command.id);
  if (command.bytes > memory.size() || command.bytes % memory.block_bytes() != 0) {
    throw Error(std::errc::invalid_argument,
                "request_memory: more than the device has, or not a whole number of its blocks");
  }
  found->second->request(command.bytes);
}

void Worker::plug_dimm(const control::PlugDimm& command) {
  require(machine_ != nullptr && state_ != control::MachineState::prepared, "plug_dimm");
  require_memory_for_back_ends(command.dimm.id);
  machine_->plug_dimm(dimm_of(command.dimm));
  if (balloon_ != nullptr) balloon_->memory_changed();
}

void Worker::unplug_dimm(const control::UnplugDimm& command) {
  require(machine_ != nullptr && state_ != control::MachineState::prepared, "unplug_dimm");
  machine_->request_dimm_removal(command.id);
}

void Worker::dimm_released(std::uint32_t slot) {
  const std::string id = machine_ ? machine_->remove_dimm(slot) : std::string();
  if (id.empty()) return;
  if (balloon_ != nullptr) balloon_->memory_changed();
  if (surroundings_.device_unplugged) surroundings_.device_unplugged({id});
}

std::vector<control::MemoryDeviceStatus> Worker::memory_device_status() const {
  std::vector<control::MemoryDeviceStatus> all;
  for (const auto& [id, memory] : machine_->device_memories()) {
    const auto device = memory_devices_.find(id);
    all.push_back({.id = id,
                   .address = memory->address().value,
                   .bytes = memory->plugged_bytes(),
                   .requested_bytes =
                       device == memory_devices_.end() ? memory->size() : device->second->requested_bytes()});
  }
  return all;
}

}  // namespace warren::vmm::worker
