// Every command with any parameters, in any order, with the tray and the medium moved in between (class T8):
// no answer is longer than what was asked for, and no read leaves the medium.
#include <cstdlib>
#include <cstring>
#include <optional>

#include "vmm-core/scsi/optical_drive.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::scsi;
  OpticalDriveOptions options;
  options.identification.serial = "serial";
  OpticalDrive drive(options);
  std::uint64_t bytes = 0;
  for (; size > kMaximumCommand; data += kMaximumCommand + 1, size -= kMaximumCommand + 1) {
    switch (data[0] % 8) {
      case 0:
        static_cast<void>(drive.open_tray((data[1] & 1) != 0));
        break;
      case 1:
        drive.close_tray();
        break;
      case 2:
        std::memcpy(&bytes, data + 1, sizeof(bytes));
        drive.set_medium((data[9] & 1) != 0 ? std::optional(bytes) : std::nullopt);
        if ((data[9] & 1) == 0) bytes = 0;
        break;
      case 3:
        drive.restore(drive.save());
        break;
      default: {
        const auto answer = drive.execute(std::as_bytes(std::span(data + 1, kMaximumCommand)));
        if (answer.data.size() > 512) std::abort();
        if (answer.kind == OpticalDrive::Answer::Kind::read &&
            (answer.offset > bytes || answer.length > bytes - answer.offset))
          std::abort();
      }
    }
  }
  return 0;
}
