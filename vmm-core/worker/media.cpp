// The change of media, and what trays do.
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/block/raw_image.h"
#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

// For whoever moves the tray of that drive, on whatever thread.
std::function<void(bool open)> Worker::tray_listener(const std::string& id) {
  return [this, id](bool open) {
    try {
      boost::asio::post(loop_, [this, id, open] { tray_moved(id, open); });
    } catch (const std::exception&) {
      // No memory for one small message: nobody is told.
    }
  };
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
  const OpticalDrive& drive = found->second;
  std::unique_ptr<block::Image> image;
  if (!command.descriptor.empty()) {
    image = std::make_unique<block::RawImage>(take(descriptors, command.descriptor), command.id,
                                              block::RawImageOptions{.read_only = true,
                                                                     .direct = command.direct,
                                                                     .alignment = command.direct_alignment,
                                                                     .use_io_uring = drive.use_io_uring});
  }
  if (drive.open_tray(command.force) == scsi::OpticalDrive::Opening::locked) {
    throw Error(std::errc::device_or_resource_busy,
                command.id + ": the guest has locked the tray; it was asked to open it");
  }
  try {
    drive.set_medium(std::move(image));
  } catch (...) {
    drive.close_tray();
    throw;
  }
  drive.close_tray();
}

}  // namespace warren::vmm::worker
