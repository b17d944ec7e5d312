// A guest that measures its first virtio network device (mode=net_bench). It says READY and takes lines on
// the serial port, `OPERATION BYTES MILLISECONDS`: send, receive or echo, the size of a frame, and for how
// long. Frames longer than an Ethernet one are TCP segments that the device is to cut, or has not cut. For
// each it says BEGIN, works, and says RESULT with figures, round trips in nanoseconds. It polls in ring 3, as
// block_bench.h.
#pragma once

namespace guest {

[[noreturn]] void measure_network();

}  // namespace guest
