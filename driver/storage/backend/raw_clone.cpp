#include "driver/storage/backend/raw_clone.h"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "driver/storage/backend/block_device.h"
#include "driver/storage/backend/copying.h"
#include "driver/storage/backend/qemu_image.h"
#include "driver/storage/backend/volume_facts.h"

namespace warren::driver::storage::backend {

void clone_to_device(const Request& request, const std::string& device, Reporter& reporter) {
  if ((request.flags & VIR_STORAGE_VOL_CREATE_REFLINK) != 0)
    throw storage_error(VIR_ERR_INVALID_ARG, "a device cannot share its data with another volume");
  const std::string format = image_format_of(*request.original_pool, *request.original);
  if (format != "raw") {
    VolumeDefinition raw;
    raw.target.format = "raw";
    convert_image({.source = request.original->target.path,
                   .source_format = format,
                   .target = device,
                   .target_exists = true},
                  raw, 0, reporter);
    return;
  }
  const Request of_original{.pool = *request.original_pool, .formats = request.formats};
  const std::unique_ptr<Backend> from = make_backend(of_original);
  const vmm::FileDescriptor source = from->open_data(*request.original, O_RDONLY);
  const vmm::FileDescriptor target = open_device(device, O_RDWR);
  // A device's old content shows where nothing is written: all of it is.
  copy_data({.source = source.get(),
             .target = target.get(),
             .bytes = std::min(data_bytes(source.get()), data_bytes(target.get()))},
            reporter);
  if (::fsync(target.get()) != 0) throw host_error(errno, "cannot sync data to the volume");
}

}  // namespace warren::driver::storage::backend
