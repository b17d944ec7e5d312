// A guest that does with all its virtio disks, in the order of the PCI bus, what a byte on its console says
// (mode=disk_facts):
//   t    says what each is
//   r    reads each from its first byte to its last, by all its queues in turn
//   z    writes zeros over its second half
//   d    discards its first half
// and then says how each of them took it, and DONE.
#pragma once

namespace guest {

[[noreturn]] void tell_disk_facts();

}  // namespace guest
