// A guest that keeps its virtio disks busy (mode=disk_load): for each, in the order of the PCI bus, a letter
// of load= says what it does without end: r reads, w writes, m both by turns, and anything else nothing.
// load_bytes= is the size of a request. The host measures.
#pragma once

namespace guest {

[[noreturn]] void load_disks();

}  // namespace guest
