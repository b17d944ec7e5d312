// SATA controllers with their disks and CD/DVD drives, and the change of media.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/block/raw_image.h"
#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

std::unique_ptr<block::Image> make_image(FileDescriptor file, const std::string& id,
                                         const block::RawImageOptions& options) {
  return std::make_unique<block::RawImage>(std::move(file), id, options);
}

}  // namespace

AhciController::DriveConfiguration Worker::sata_drive(const control::DiskSpecification& disk,
                                                      control::DescriptorSet& descriptors) {
  block::DiskOptions options = options_of(disk);
  if (disk.cdrom) options.logical_block_size = options.physical_block_size = scsi::kOpticalBlock;
  std::unique_ptr<block::Image> image;
  if (!disk.descriptor.empty()) {
    image = make_image(take(descriptors, disk.descriptor), disk.id,
                       {.read_only = disk.read_only,
                        .direct = disk.direct,
                        .alignment = disk.direct_alignment,
                        .use_io_uring = disk.engine == control::DiskEngine::io_uring});
  }
  AhciController::DriveConfiguration drive;
  drive.port = disk.sata->port;
  drive.disk = std::make_unique<block::Disk>(disk.id, std::move(image), options, block_counters(disk.id), 1);
  drive.is_optical = disk.cdrom;
  drive.tray_moved = [this, id = disk.id](bool open) {
    try {
      boost::asio::post(loop_, [this, id, open] { tray_moved(id, open); });
    } catch (const std::exception&) {
      // No memory for one small message: nobody is told.
    }
  };
  disks_.add(*drive.disk);
  return drive;
}

machine::PciDeviceConfiguration Worker::sata_controller(
    const control::SataControllerSpecification& controller,
    const control::MachineSpecification& specification, control::DescriptorSet& descriptors) {
  // std::function wants to be copied, drives cannot be: shared, and used once.
  auto drives = std::make_shared<std::vector<AhciController::DriveConfiguration>>();
  std::map<std::string, SataDrive> optical;
  for (const auto& disk : specification.disks) {
    if (!disk.sata || disk.sata->controller != controller.id) continue;
    drives->push_back(sata_drive(disk, descriptors));
    if (disk.cdrom)
      optical[disk.id] = {nullptr, disk.sata->port, disk.engine == control::DiskEngine::io_uring};
  }
  EventThread& thread = drives->empty() ? shared_thread() : own_thread(controller.id);
  const pci::Address address{controller.address.bus, controller.address.slot, controller.address.function};
  return {controller.id, address,
          [this, id = controller.id, drives, optical, &thread](const machine::DeviceEnvironment& environment,
                                                               pci::Place place) {
            auto device = std::make_unique<AhciController>(id, std::move(place), environment.memory,
                                                           environment.messages, thread, std::move(*drives));
            for (const auto& [disk, drive] : optical)
              optical_drives_[disk] = {device.get(), drive.port, drive.use_io_uring};
            Pausable* pausable = device.get();
            return machine::BuiltDevice{std::move(device), pausable};
          }};
}

void Worker::tray_moved(const std::string& id, bool open) {
  if (open) {
    open_trays_.insert(id);
  } else {
    open_trays_.erase(id);
  }
  if (surroundings_.tray_moved) surroundings_.tray_moved({id, open});
}

void Worker::change_medium(const control::ChangeMedium& command, control::DescriptorSet descriptors) {
  const auto found = optical_drives_.find(command.id);
  if (found == optical_drives_.end()) {
    throw Error(std::errc::no_such_device, "there is no CD/DVD drive '" + command.id + "'");
  }
  const auto& [controller, port, use_io_uring] = found->second;
  std::unique_ptr<block::Image> image;
  if (!command.descriptor.empty()) {
    image = make_image(take(descriptors, command.descriptor), command.id,
                       {.read_only = true,
                        .direct = command.direct,
                        .alignment = command.direct_alignment,
                        .use_io_uring = use_io_uring});
  }
  if (controller->open_tray(port, command.force) == scsi::OpticalDrive::Opening::locked) {
    throw Error(std::errc::device_or_resource_busy,
                command.id + ": the guest has locked the tray; it was asked to open it");
  }
  try {
    controller->set_medium(port, std::move(image));
  } catch (...) {
    controller->close_tray(port);
    throw;
  }
  controller->close_tray(port);
}

}  // namespace warren::vmm::worker
