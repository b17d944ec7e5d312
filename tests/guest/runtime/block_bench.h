// A guest that measures its first virtio disk (mode=block_bench). It says READY and takes lines on the serial
// port, `OPERATION PATTERN BYTES DEPTH QUEUES MILLISECONDS`: read or write, random or sequential, the size of
// a request, how many are under way at once in all, on how many queues, and for how long. For each it says
// BEGIN, works, and says RESULT with figures, latencies in nanoseconds. It polls in ring 3, so that what is
// measured is the device, not what interrupts and this kernel cost.
#pragma once

namespace guest {

[[noreturn]] void measure_disk();

}  // namespace guest
