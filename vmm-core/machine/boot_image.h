// Loading a kernel without firmware: a Linux bzImage by its 64-bit boot protocol (Linux
// Documentation/arch/x86/boot.rst) or an ELF with a PVH entry point (Xen docs/misc/pvh.pandoc), told apart by
// magic.
//
// Image files are hostile: every offset, size and address in them is checked before use. Nothing is kept
// between calls, so a machine reset simply loads again. Control thread only. Throws vmm::Error that says what
// is wrong in which file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::machine {

// One line of the memory map a kernel gets; types as ACPI 6.5 §15.4 numbers them.
struct MemoryMapEntry {
  static constexpr std::uint32_t kRam = 1;
  static constexpr std::uint32_t kReserved = 2;

  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint32_t type = kRam;
};

struct BootImage {
  const FileDescriptor* kernel = nullptr;
  const FileDescriptor* initrd = nullptr;  // or none
  std::string command_line;
  GuestAddress acpi_root;  // of the RSDP
  std::vector<MemoryMapEntry> memory_map;
};

// How the boot vCPU begins.
struct BootState {
  kvm_regs registers{};
  kvm_sregs special{};
};

// Writes kernel, initrd, command line and what the protocol wants besides into RAM. `special` is the vCPU's
// state after reset; what the protocol says nothing of is kept.
BootState load_boot_image(const BootImage& image, GuestMemory& memory, const kvm_sregs& special);

}  // namespace warren::vmm::machine
