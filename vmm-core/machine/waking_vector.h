// Where a guest goes on when it leaves S3: there is no firmware, so the machine itself follows the waking
// vector that the guest's operating system left in the FACS (ACPI 6.5 §5.2.10, §16.3.2).
//
// What is in the FACS is the guest's and is read once. Control thread only.
#pragma once

#include <optional>

#include "vmm-core/machine/boot_image.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::machine {

// How vCPU 0 begins; `special` is its state after reset. None when there is no vector, or one that nothing
// can be at: then the machine begins anew, as a PC's firmware does.
std::optional<BootState> follow_waking_vector(GuestAddress facs, const GuestMemory& memory,
                                              const kvm_sregs& special);

}  // namespace warren::vmm::machine
