// The 64-bit boot protocol of Linux: Documentation/arch/x86/boot.rst and zero-page.rst.
#include <array>
#include <cstring>
#include <limits>

#include "vmm-core/machine/boot_loading.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

constexpr std::uint64_t kSetupHeaderOffset = 0x1f1;
constexpr std::uint64_t kSectorSize = 512;
constexpr std::uint16_t kOldestVersion = 0x020c;  // the first with xloadflags
constexpr std::uint16_t kKernel64 = 1 << 0;       // xloadflags
constexpr std::uint8_t kLoadedHigh = 1 << 0;      // loadflags
constexpr std::uint64_t kEntry64Offset = 0x200;
constexpr std::uint64_t kLowestLoadAddress = 0x100000;
constexpr std::size_t kMaximumE820Entries = 128;

// The setup header, from 0x1f1 of the image and of the zero page (boot.rst, "The Real-Mode Kernel Header").
struct [[gnu::packed]] SetupHeader {
  std::uint8_t setup_sectors;
  std::uint16_t root_flags;
  std::uint32_t system_size;  // in paragraphs of 16 bytes
  std::uint16_t ram_size;
  std::uint16_t video_mode;
  std::uint16_t root_device;
  std::uint16_t boot_flag;
  std::uint16_t jump;
  std::uint32_t magic;
  std::uint16_t version;
  std::uint32_t real_mode_switch;
  std::uint16_t start_system_segment;
  std::uint16_t kernel_version;
  std::uint8_t type_of_loader;
  std::uint8_t load_flags;
  std::uint16_t setup_move_size;
  std::uint32_t code32_start;
  std::uint32_t ramdisk_image;
  std::uint32_t ramdisk_size;
  std::uint32_t bootsect_kludge;
  std::uint16_t heap_end;
  std::uint8_t extended_loader_version;
  std::uint8_t extended_loader_type;
  std::uint32_t command_line;
  std::uint32_t initrd_address_maximum;
  std::uint32_t kernel_alignment;
  std::uint8_t relocatable;
  std::uint8_t minimum_alignment;
  std::uint16_t extended_load_flags;
  std::uint32_t command_line_size;
  std::uint32_t hardware_subarchitecture;
  std::uint64_t hardware_subarchitecture_data;
  std::uint32_t payload_offset;
  std::uint32_t payload_length;
  std::uint64_t setup_data;
  std::uint64_t preferred_address;
  std::uint32_t initial_size;
};
static_assert(sizeof(SetupHeader) == 0x264 - kSetupHeaderOffset);

struct [[gnu::packed]] E820Entry {
  std::uint64_t start;
  std::uint64_t size;
  std::uint32_t type;
};
static_assert(sizeof(E820Entry) == 20);

// The zero page (zero-page.rst), as far as a loader fills it in.
struct [[gnu::packed]] ZeroPage {
  std::array<std::byte, 0x070> screen_and_others;
  std::uint64_t acpi_root;
  std::array<std::byte, 0x1e8 - 0x078> not_ours;
  std::uint8_t e820_entries;
  std::array<std::byte, kSetupHeaderOffset - 0x1e9> not_ours_either;
  SetupHeader header;
  std::array<std::byte, 0x2d0 - 0x264> behind_header;
  std::array<E820Entry, kMaximumE820Entries> e820;
  std::array<std::byte, 4096 - 0x2d0 - kMaximumE820Entries * sizeof(E820Entry)> rest;
};
static_assert(sizeof(ZeroPage) == 4096 && offsetof(ZeroPage, e820) == 0x2d0);

SetupHeader read_header(const ImageFile& kernel) {
  const auto header = kernel.read_object<SetupHeader>(kSetupHeaderOffset);
  if (header.boot_flag != 0xaa55) kernel.refuse("has no boot signature");
  if (header.version < kOldestVersion) kernel.refuse("uses a boot protocol before 2.12");
  if ((header.load_flags & kLoadedHigh) == 0) kernel.refuse("is a zImage; a bzImage is needed");
  if ((header.extended_load_flags & kKernel64) == 0) kernel.refuse("has no 64-bit entry point");
  return header;
}

// Where the kernel goes: where it prefers, or, when it can be moved and does not fit there, right above 1
// MiB.
std::uint64_t load_address(const ImageFile& kernel, const SetupHeader& header, std::uint64_t ram_end) {
  const auto fits = [&](std::uint64_t start) {
    return start >= kLowestLoadAddress && start < ram_end && header.initial_size <= ram_end - start;
  };
  if (fits(header.preferred_address)) return header.preferred_address;
  const std::uint64_t alignment = header.kernel_alignment;
  if (header.relocatable == 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
    kernel.refuse("does not fit the guest's memory where it must be");
  }
  const std::uint64_t start = (kLowestLoadAddress + alignment - 1) / alignment * alignment;
  if (!fits(start)) kernel.refuse("does not fit the guest's memory");
  return start;
}

// Segments that the protocol wants: __BOOT_CS 0x10 and __BOOT_DS 0x18, and a busy 64-bit TSS.
constexpr std::array<std::uint64_t, 5> kGdt = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
                                               0x00008b0000000067};

// Identity-mapped 2 MiB pages for the first 4 GiB (Intel SDM 3A §4.5).
void put_page_tables(GuestMemory& memory) {
  constexpr std::uint64_t kPresentWritable = 3;
  constexpr std::uint64_t kLargePage = 1 << 7;
  constexpr std::size_t kEntries = 512;
  std::array<std::array<std::uint64_t, kEntries>, 6> tables{};
  const std::uint64_t base = kBootPageTables.value;
  tables[0][0] = (base + 0x1000) | kPresentWritable;
  for (std::size_t gibibyte = 0; gibibyte < 4; ++gibibyte) {
    tables[1][gibibyte] = (base + 0x2000 + gibibyte * 0x1000) | kPresentWritable;
    for (std::size_t i = 0; i < kEntries; ++i) {
      tables[2 + gibibyte][i] = (((gibibyte * kEntries + i) << 21)) | kPresentWritable | kLargePage;
    }
  }
  put(memory, kBootPageTables, std::as_bytes(std::span(tables)), "page tables");
}

BootState long_mode_entry(std::uint64_t entry, const kvm_sregs& reset_state) {
  constexpr std::uint64_t kProtectedMode = 1, kExtensionType = 1 << 4, kPaging = std::uint64_t{1} << 31;
  constexpr std::uint64_t kPhysicalAddressExtension = 1 << 5;
  constexpr std::uint64_t kLongModeEnable = 1 << 8, kLongModeActive = 1 << 10;
  BootState state;
  state.special = reset_state;
  state.special.gdt = {kBootGdt.value, sizeof(kGdt) - 1, {}};
  state.special.cs = flat_segment(0x10, 11, true);
  const kvm_segment data = flat_segment(0x18, 3, false);
  state.special.ds = state.special.es = state.special.fs = state.special.gs = state.special.ss = data;
  state.special.tr = {};
  state.special.tr.limit = 0x67;
  state.special.tr.selector = 0x20;
  state.special.tr.type = 11;
  state.special.tr.present = 1;
  state.special.cr0 = kProtectedMode | kExtensionType | kPaging;
  state.special.cr3 = kBootPageTables.value;
  state.special.cr4 = kPhysicalAddressExtension;
  state.special.efer = kLongModeEnable | kLongModeActive;
  state.registers.rip = entry;
  state.registers.rsi = kBootParameters.value;
  state.registers.rflags = 2;
  return state;
}

}  // namespace

BootState load_bzimage(const ImageFile& kernel, const BootImage& image, GuestMemory& memory,
                       const kvm_sregs& special) {
  const SetupHeader header = read_header(kernel);
  const std::uint64_t setup_size =
      (std::uint64_t{header.setup_sectors == 0 ? std::uint8_t{4} : header.setup_sectors} + 1) * kSectorSize;
  if (setup_size >= kernel.size()) kernel.refuse("ends within its setup code");
  const std::uint64_t code_size = kernel.size() - setup_size;
  const std::uint64_t start = load_address(kernel, header, low_ram_end(memory));
  if (code_size > header.initial_size) kernel.refuse("is larger than the memory its header asks for");
  kernel.load(setup_size, code_size, memory, GuestAddress{start});

  ZeroPage page{};
  page.header = header;
  page.header.type_of_loader = 0xff;  // "undefined": no number is registered for us
  page.header.command_line = static_cast<std::uint32_t>(kBootCommandLine.value);
  page.acpi_root = image.acpi_root.value;
  if (image.memory_map.size() > kMaximumE820Entries)
    throw Error(std::errc::argument_list_too_long, "memory map");
  page.e820_entries = static_cast<std::uint8_t>(image.memory_map.size());
  for (std::size_t i = 0; i < image.memory_map.size(); ++i) {
    page.e820[i] = {image.memory_map[i].start, image.memory_map[i].size, image.memory_map[i].type};
  }
  if (image.initrd != nullptr) {
    // initial_size is at most 4 GiB and start below that, so neither sum overflows.
    const auto initrd = load_initrd(*image.initrd, memory, start + header.initial_size,
                                    std::uint64_t{header.initrd_address_maximum} + 1);
    page.header.ramdisk_image = static_cast<std::uint32_t>(initrd.start.value);
    page.header.ramdisk_size = static_cast<std::uint32_t>(initrd.size);
  }
  put_command_line(memory, image.command_line, header.command_line_size);
  put(memory, kBootParameters, std::as_bytes(std::span(&page, 1)), "boot parameters");
  put(memory, kBootGdt, std::as_bytes(std::span(kGdt)), "descriptor table");
  put_page_tables(memory);
  return long_mode_entry(start + kEntry64Offset, special);
}

}  // namespace warren::vmm::machine
