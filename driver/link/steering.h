// Receive-side scaling for guests: a program in the kernel (eBPF) that chooses the queue of a multi-queue tap
// for each packet, by Toeplitz's hash of its addresses and ports and a table that the guest's driver has set
// (virtio 1.2 §5.1.6.4.3, §5.1.6.5.6; TUNSETSTEERINGEBPF).
//
// The worker gets both descriptors: it attaches the program to its tap and writes the table by mapping it,
// and needs no right to load programs for that. Any thread. Throws Error, where the kernel has no eBPF.
#pragma once

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::link {

struct Steering {
  vmm::FileDescriptor program;
  vmm::FileDescriptor table;  // a map of one value, vmm-core/state/steering_table.h
};

Steering make_steering();

}  // namespace warren::driver::link
