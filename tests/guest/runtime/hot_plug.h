// A guest whose devices come and go (mode=hot_plug): it serves the slots of its root ports as an operating
// system does, by their interrupt. Tells PLUGGED with the bus and the device's ids, FIRST with the first word
// of a disk, and LET GO when it was asked to let go of a device and has.
#pragma once

namespace guest {

[[noreturn]] void serve_hot_plug_slots();

}  // namespace guest
