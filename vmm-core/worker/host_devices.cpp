// Devices of the host that the guest has. What the host's kernel tells of them comes from an I/O thread and
// is passed on to the control thread.
#include <algorithm>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/os/error.h"
#include "vmm-core/vfio/assigned_device.h"
#include "vmm-core/worker/on_pci.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

// What the devices are opened from; each of it is used once, by the first of them that needs it.
struct Access {
  FileDescriptor container;
  std::map<std::uint32_t, FileDescriptor> groups;
};

std::shared_ptr<Access> take_access(const control::HostAccessSpecification& access,
                                    control::DescriptorSet& descriptors) {
  auto taken = std::make_shared<Access>();
  if (!access.container.empty()) taken->container = take(descriptors, access.container);
  for (const auto& group : access.groups) taken->groups[group.number] = take(descriptors, group.descriptor);
  return taken;
}

machine::PciDeviceConfiguration configuration_of(const control::HostDeviceSpecification& device,
                                                 vfio::GroupTable& table, std::shared_ptr<Access> access,
                                                 vfio::Notices notices) {
  auto build = [device, &table, access = std::move(access), notices = std::move(notices)](
                   const machine::DeviceEnvironment& environment, pci::Place place) {
    auto group = table.take(device.group, std::exchange(access->groups[device.group], FileDescriptor()),
                            std::exchange(access->container, FileDescriptor()), environment.dma,
                            environment.group_changed);
    auto file = group->open(device.host_address);
    auto opened = vfio::open_device(device.host_address, std::move(file), place.express, std::move(group));
    auto made = std::make_unique<vfio::AssignedDevice>(
        device.id, std::move(opened), std::move(place),
        vfio::AssignedDevice::Surroundings{environment.slots, environment.messages}, notices);
    return machine::BuiltDevice{std::move(made), nullptr};
  };
  return {.id = device.id,
          .address = address_of(device.address),
          .build = std::move(build),
          .reaches_memory = true};
}

}  // namespace

machine::PciDeviceConfiguration Worker::host_device(const control::HostDeviceSpecification& device,
                                                    const control::HostAccessSpecification& access,
                                                    control::DescriptorSet& descriptors) {
  vfio::Notices notices{
      .thread = &shared_thread(),
      .wanted_back = [this,
                      id = device.id] { boost::asio::post(loop_, [this, id] { host_wants_back(id); }); },
      .failed =
          [this, device] {
            boost::asio::post(loop_, [this, device] { host_device_failed(device.id, device.host_address); });
          }};
  return configuration_of(device, host_groups_, take_access(access, descriptors), std::move(notices));
}

void Worker::add_host_devices(machine::MachineConfiguration& configuration,
                              const control::MachineSpecification& specification,
                              control::DescriptorSet& descriptors) {
  control::HostAccessSpecification rest = specification.host_access;
  for (const auto& device : specification.host_devices) {
    // The first device of all brings the container, the first of each group its group.
    control::HostAccessSpecification own;
    own.container = std::exchange(rest.container, {});
    const auto group = std::ranges::find(rest.groups, device.group, &control::HostGroupSpecification::number);
    if (group != rest.groups.end()) {
      own.groups.push_back(*group);
      rest.groups.erase(group);
    }
    configuration.devices.push_back(host_device(device, own, descriptors));
  }
}

// The host's driver waits for as long as it takes, and the kernel says so again every few seconds.
void Worker::host_wants_back(const std::string& id) {
  const auto present = machine_ ? machine_->device_names() : std::vector<std::string>();
  if (std::ranges::find(present, id) == present.end()) return;
  try {
    (void)machine_->request_removal(id);
  } catch (const Error&) {
    // It sits where nothing goes at run time: the host has to wait for the end of the machine.
  }
}

// Nothing that it did since can be relied on: whoever looks after the guest decides.
void Worker::host_device_failed(const std::string& id, const std::string& host_address) {
  const auto present = machine_ ? machine_->device_names() : std::vector<std::string>();
  if (std::ranges::find(present, id) == present.end()) return;
  if (state_ != control::MachineState::running) return;
  machine_->pause();
  enter(control::MachineState::paused, control::StateCause::host_error,
        "device " + id + ": the host's PCI device " + host_address +
            " reported an error it does not recover from");
}

}  // namespace warren::vmm::worker
