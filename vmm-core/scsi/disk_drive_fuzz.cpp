// Every command with any parameters, in any order, on a disk that changes its size in between (classes T8,
// T10): no answer is longer than what was asked for, and nothing is done outside of the medium.
#include <cstdlib>
#include <cstring>

#include "vmm-core/scsi/disk_drive.h"

namespace {

using namespace warren::vmm::scsi;

void check(const Answer& answer, std::uint64_t bytes, std::uint32_t block) {
  if (answer.data.size() > 1024) std::abort();
  const auto is_inside = [&](std::uint64_t offset, std::uint64_t length) {
    return offset % block == 0 && length % block == 0 && offset <= bytes && length <= bytes - offset;
  };
  if (!is_inside(answer.offset, answer.length)) std::abort();
  if (answer.extents.size() > DiskDrive::kMaximumExtents) std::abort();
  for (const Extent& extent : answer.extents)
    if (extent.length == 0 || !is_inside(extent.offset, extent.length)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  DiskDriveOptions options;
  options.logical_block = (data[0] & 1) != 0 ? 4096 : 512;
  options.physical_block = 4096;
  options.unmaps = (data[0] & 2) != 0;
  options.read_only = (data[0] & 4) != 0;
  options.cache = static_cast<WriteCache>((data[0] >> 3) % 3);
  options.identification.serial = "serial";
  options.identification.wwn = 0x5000'c500'1234'5678;
  std::uint64_t bytes = 1 << 20;
  DiskDrive drive(options, bytes);
  for (++data, --size; size > kMaximumCommand;) {
    const std::span<const std::byte> command = std::as_bytes(std::span(data + 1, kMaximumCommand));
    const std::uint8_t action = data[0];
    data += kMaximumCommand + 1;
    size -= kMaximumCommand + 1;
    if (action % 16 == 0) {
      std::memcpy(&bytes, command.data(), sizeof(bytes));
      drive.set_size(bytes);
      continue;
    }
    if (action % 16 == 1) {
      drive.restore(drive.save());
      continue;
    }
    const std::size_t wanted = drive.parameter_bytes(command);
    if (wanted > kMaximumParameters) std::abort();
    std::array<std::byte, kMaximumParameters> parameters{};
    const std::size_t given = size < wanted ? size : wanted;
    std::memcpy(parameters.data(), data, given);
    data += given;
    size -= given;
    check(drive.execute(command, std::span(parameters).first(wanted)), bytes, options.logical_block);
  }
  return 0;
}
