// A guest with a SCSI controller (mode=scsi): it says which units there are, reads and writes disks, and
// tells what the controller tells of units that come, go and change, and of the medium of a CD/DVD drive.
// Bytes on the serial port: s has it look at all units again; z unmaps the second 512 KiB of the first disk.
#pragma once

namespace guest {

[[noreturn]] void watch_scsi_units();

}  // namespace guest
