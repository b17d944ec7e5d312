// SCSI controllers with their disks and CD/DVD drives, which come and go with no slot of their own.
#include <memory>
#include <utility>
#include <vector>

#include "vmm-core/os/error.h"
#include "vmm-core/worker/disk_image.h"
#include "vmm-core/worker/on_pci.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

virtio::ScsiUnitAddress unit_address_of(const control::ScsiPlace& place) {
  return {place.target, place.lun};
}

scsi::WriteCache cache_of(control::FlushPolicy policy) {
  switch (policy) {
    case control::FlushPolicy::honour:
      return scsi::WriteCache::switchable;
    case control::FlushPolicy::always:
      return scsi::WriteCache::off;
    case control::FlushPolicy::ignore:
      return scsi::WriteCache::ignored;
  }
  return scsi::WriteCache::switchable;
}

void identify(const control::DiskSpecification& disk, scsi::Identification& identification) {
  if (!disk.identity.vendor.empty()) identification.vendor = disk.identity.vendor;
  if (!disk.identity.product.empty()) identification.product = disk.identity.product;
  identification.serial = disk.serial;
  identification.name = disk.identity.name;
  identification.wwn = disk.identity.wwn;
}

}  // namespace

virtio::Scsi::UnitConfiguration Worker::scsi_unit(const control::DiskSpecification& disk,
                                                  control::DescriptorSet& descriptors) {
  block::DiskOptions options = options_of(disk);
  if (disk.cdrom) options.logical_block_size = options.physical_block_size = scsi::kOpticalBlock;
  std::unique_ptr<block::Image> image;
  if (!disk.descriptor.empty()) image = open_image(disk, take_chain(disk, descriptors), io_thread_hook());
  virtio::Scsi::UnitConfiguration unit;
  unit.address = unit_address_of(*disk.scsi);
  unit.disk = std::make_unique<block::Disk>(disk.id, std::move(image), options, block_counters(disk.id), 1);
  if (disk.cdrom) {
    scsi::OpticalDriveOptions drive;
    identify(disk, drive.identification);
    drive.tray_moved = tray_listener(disk.id);
    unit.optical_drive = std::make_unique<scsi::OpticalDrive>(std::move(drive));
  } else {
    scsi::DiskDriveOptions drive;
    identify(disk, drive.identification);
    drive.logical_block = disk.logical_block_size;
    drive.physical_block = disk.physical_block_size;
    drive.rotation_rate = disk.rotation_rate;
    drive.read_only = disk.read_only;
    drive.unmaps = disk.discard;
    drive.cache = cache_of(disk.flush);
    unit.drive = std::make_unique<scsi::DiskDrive>(std::move(drive), unit.disk->size());
  }
  disks_.add(*unit.disk);
  return unit;
}

// Of a unit that its controller has.
void Worker::remember_scsi_unit(const control::DiskSpecification& disk) {
  scsi_units_[disk.id] = *disk.scsi;
  if (!disk.cdrom) return;
  virtio::Scsi* device = &scsi_device(disk.scsi->controller);
  const virtio::ScsiUnitAddress address = unit_address_of(*disk.scsi);
  optical_drives_[disk.id] = {
      .open_tray = [device, address](bool force) { return device->open_tray(address, force); },
      .close_tray = [device, address] { device->close_tray(address); },
      .set_medium = [device, address](auto image) { device->set_medium(address, std::move(image)); },
      .use_io_uring = disk.engine == control::DiskEngine::io_uring};
}

virtio::Scsi& Worker::scsi_device(const std::string& id) const {
  const auto found = scsi_controllers_.find(id);
  if (found == scsi_controllers_.end())
    throw Error(std::errc::no_such_device, "there is no SCSI controller '" + id + "'");
  return *found->second;
}

machine::PciDeviceConfiguration Worker::scsi_controller(
    const control::ScsiControllerSpecification& controller, std::span<const control::DiskSpecification> disks,
    control::DescriptorSet& descriptors) {
  // std::function wants to be copied, units cannot be: shared, and used once.
  auto units = std::make_shared<std::vector<virtio::Scsi::UnitConfiguration>>();
  std::vector<control::DiskSpecification> here;
  for (const auto& disk : disks) {
    if (!disk.scsi || disk.scsi->controller != controller.id) continue;
    units->push_back(scsi_unit(disk, descriptors));
    here.push_back(disk);
  }
  EventThread& thread = thread_of(controller.id, controller.iothread);
  const virtio::ScsiOptions options{.queues = controller.queues,
                                    .commands_per_unit = controller.commands_per_unit,
                                    .maximum_sectors = controller.maximum_sectors};
  return on_pci(controller.id, controller.address, [this, id = controller.id, units, here, options, &thread] {
    auto device = std::make_unique<virtio::Scsi>(id, options, std::move(*units), thread);
    scsi_controllers_[id] = device.get();
    for (const auto& disk : here) remember_scsi_unit(disk);
    return device;
  });
}

void Worker::plug_scsi_unit(const control::DiskSpecification& disk, control::DescriptorSet& descriptors) {
  virtio::Scsi& device = scsi_device(disk.scsi->controller);
  device.add_unit(scsi_unit(disk, descriptors));
  remember_scsi_unit(disk);
}

// The guest is told, and not asked.
void Worker::unplug_scsi_unit(const std::string& id) {
  const control::ScsiPlace place = scsi_units_.at(id);
  scsi_device(place.controller).remove_unit(unit_address_of(place));
  tell_unplugged(id);
}

std::vector<std::string> Worker::scsi_units_of(const std::string& controller) const {
  std::vector<std::string> ids;
  for (const auto& [id, place] : scsi_units_)
    if (place.controller == controller) ids.push_back(id);
  return ids;
}

}  // namespace warren::vmm::worker
