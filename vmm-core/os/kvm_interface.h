// <linux/kvm.h> as it must be read in C++: include this instead of it.
//
// Kernel headers of 5.18 to 6.4 declare trailing arrays with an empty struct before them. An empty struct has
// a size of 1 in C++, so those structures grow, and with them the ioctl numbers that are made from their
// sizes (kvm_cpuid2, kvm_msrs, kvm_irq_routing, kvm_xsave and others).
#pragma once

#include <linux/stddef.h>

#undef __DECLARE_FLEX_ARRAY
// The name is the kernel's, so that its header uses ours. NOLINTNEXTLINE(bugprone-reserved-identifier)
#define __DECLARE_FLEX_ARRAY(type, name) type name[0]

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <linux/kvm.h>
#pragma GCC diagnostic pop

static_assert(sizeof(kvm_cpuid2) == 8 && sizeof(kvm_msrs) == 8 && sizeof(kvm_msr_list) == 4 &&
                  sizeof(kvm_irq_routing) == 8 && sizeof(kvm_xsave) == 4096,
              "somebody included <linux/kvm.h> before this header");
