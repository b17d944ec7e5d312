// A guest with SATA drives (mode=media): it reads the disks, and watches the medium of its CD/DVD drive as an
// operating system does. Bytes on the serial port tell it what to do with the tray: l locks, u unlocks, e
// ejects, i pulls it in again; s has it
// say once more what it sees.
#pragma once

namespace guest {

[[noreturn]] void watch_media();

}  // namespace guest
