// Disks that other programs serve.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/virtio/vhost/user_block.h"
#include "vmm-core/worker/on_pci.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

machine::PciDeviceConfiguration Worker::vhost_user_disk(const control::VhostUserDiskSpecification& disk,
                                                        control::DescriptorSet& descriptors) {
  EventThread& thread = own_thread(disk.id);
  auto socket = std::make_shared<FileDescriptor>(take(descriptors, disk.descriptor));
  virtio::vhost::UserBlockOptions options{.queues = disk.queues, .queue_size = disk.queue_size};
  options.lost = [this, id = disk.id](int error) { back_end_lost(id, error); };
  const auto make = [disk, socket, options, &thread](GuestMemory& memory) {
    return std::make_unique<virtio::vhost::UserBlock>(disk.id, std::move(*socket), options, memory, thread);
  };
  vhost_user_disks_[disk.id] = disk.lifeline ? take(descriptors, *disk.lifeline) : FileDescriptor();
  if (!machine_) return on_pci(disk.id, disk.address, make);
  // Now, and not when the device is built: the back end is waited for, and the vCPUs stand still then.
  auto device = std::make_shared<std::unique_ptr<virtio::vhost::UserBlock>>(make(machine_->memory()));
  return on_pci(disk.id, disk.address, [device] { return std::move(*device); });
}

void Worker::require_memory_for_back_ends(const std::string& device) const {
  for (const auto& [disk, lifeline] : vhost_user_disks_)
    virtio::vhost::require_memory_fits(device + ": disk " + disk, machine_->memory().regions().size() + 1);
  for (const auto& interface : vhost_user_interfaces_)
    virtio::vhost::require_memory_fits(device + ": interface " + interface,
                                       machine_->memory().regions().size() + 1);
}

// On the device's thread.
void Worker::back_end_lost(const std::string& disk, int error) noexcept {
  try {
    boost::asio::post(loop_, [this, disk, error] {
      if (surroundings_.disk_fault)
        surroundings_.disk_fault({disk, true, error, control::DiskFaultAction::report});
    });
  } catch (const std::exception&) {
    // No memory for one small message: inspection still says it.
  }
}

}  // namespace warren::vmm::worker
