// SATA controllers with their disks and CD/DVD drives.
#include <memory>
#include <utility>
#include <vector>

#include "vmm-core/worker/disk_image.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
AhciController::DriveConfiguration Worker::sata_drive(const control::DiskSpecification& disk,
                                                      control::DescriptorSet& descriptors) {
  block::DiskOptions options = options_of(disk);
  if (disk.cdrom) options.logical_block_size = options.physical_block_size = scsi::kOpticalBlock;
  std::unique_ptr<block::Image> image;
  if (!disk.descriptor.empty()) {
    image = open_image(disk, take_chain(disk, descriptors), io_thread_hook());
  }
  AhciController::DriveConfiguration drive;
  drive.port = disk.sata->port;
  drive.disk = std::make_unique<block::Disk>(disk.id, std::move(image), options, block_counters(disk.id), 1);
  drive.is_optical = disk.cdrom;
  drive.tray_moved = tray_listener(disk.id);
  disks_.add(*drive.disk);
  return drive;
}

machine::PciDeviceConfiguration Worker::sata_controller(
    const control::SataControllerSpecification& controller,
    const control::MachineSpecification& specification, control::DescriptorSet& descriptors) {
  // std::function wants to be copied, drives cannot be: shared, and used once.
  auto drives = std::make_shared<std::vector<AhciController::DriveConfiguration>>();
  struct Optical {
    std::string id;
    unsigned port;
    bool use_io_uring;
  };
  std::vector<Optical> optical;
  for (const auto& disk : specification.disks) {
    if (!disk.sata || disk.sata->controller != controller.id) continue;
    drives->push_back(sata_drive(disk, descriptors));
    if (disk.cdrom)
      optical.push_back({disk.id, disk.sata->port, disk.engine == control::DiskEngine::io_uring});
  }
  EventThread& thread = drives->empty() ? shared_thread() : own_thread(controller.id);
  const pci::Address address{controller.address.bus, controller.address.slot, controller.address.function};
  return {
      controller.id, address,
      [this, id = controller.id, drives, optical, &thread](const machine::DeviceEnvironment& environment,
                                                           pci::Place place) {
        auto device = std::make_unique<AhciController>(id, std::move(place), environment.memory,
                                                       environment.messages, thread, std::move(*drives));
        for (const auto& [disk, port, use_io_uring] : optical) {
          optical_drives_[disk] = {
              .open_tray = [drive = device.get(), port](bool force) { return drive->open_tray(port, force); },
              .close_tray = [drive = device.get(), port] { drive->close_tray(port); },
              .set_medium = [drive = device.get(),
                             port](auto image) { drive->set_medium(port, std::move(image)); },
              .use_io_uring = use_io_uring};
        }
        Pausable* pausable = device.get();
        return machine::BuiltDevice{std::move(device), pausable};
      }};
}

}  // namespace warren::vmm::worker
