// ELF images with a PVH entry point: Xen docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h; ELF gABI.
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include <elf.h>

#include "vmm-core/machine/boot_loading.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

constexpr std::uint32_t kNotePhys32Entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY
constexpr std::size_t kMaximumSegments = 64;
constexpr std::uint64_t kMaximumNotes = 65536;
constexpr std::uint64_t kLongestCommandLine = 4095;

struct StartInfo {
  std::uint32_t magic = 0x336ec578;
  std::uint32_t version = 1;
  std::uint32_t flags = 0;
  std::uint32_t modules = 0;
  std::uint64_t module_list = 0;
  std::uint64_t command_line = 0;
  std::uint64_t acpi_root = 0;
  std::uint64_t memory_map = 0;
  std::uint32_t memory_map_entries = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(StartInfo) == 56);

struct Module {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint64_t command_line = 0;
  std::uint64_t reserved = 0;
};
static_assert(sizeof(Module) == 32);

struct MapEntry {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint32_t type = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(MapEntry) == 24);

constexpr std::size_t kMaximumMapEntries = (4096 - sizeof(StartInfo) - sizeof(Module)) / sizeof(MapEntry);

struct Segment {
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  std::uint64_t address = 0;
  std::uint64_t file_size = 0;
  std::uint64_t memory_size = 0;
};

template <typename Header, typename ProgramHeader>
std::vector<Segment> read_segments(const ImageFile& kernel) {
  const auto header = kernel.read_object<Header>(0);
  if (header.e_phentsize != sizeof(ProgramHeader)) kernel.refuse("has program headers of an unknown size");
  if (header.e_phnum == 0 || header.e_phnum > kMaximumSegments)
    kernel.refuse("has no or too many program headers");
  std::vector<Segment> segments;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    std::uint64_t place = 0;
    if (__builtin_add_overflow(std::uint64_t{header.e_phoff}, std::uint64_t{i} * sizeof(ProgramHeader),
                               &place)) {
      kernel.refuse("has its program headers beyond its end");
    }
    const auto entry = kernel.read_object<ProgramHeader>(place);
    segments.push_back({entry.p_type, entry.p_offset, entry.p_paddr, entry.p_filesz, entry.p_memsz});
  }
  return segments;
}

std::vector<Segment> read_segments(const ImageFile& kernel) {
  const auto identification = kernel.read_object<std::array<unsigned char, EI_NIDENT>>(0);
  if (identification[EI_DATA] != ELFDATA2LSB) kernel.refuse("is not little-endian");
  const auto machine = kernel.read_object<std::uint16_t>(offsetof(Elf64_Ehdr, e_machine));
  if (machine != EM_X86_64 && machine != EM_386) kernel.refuse("is not for x86");
  if (identification[EI_CLASS] == ELFCLASS64) return read_segments<Elf64_Ehdr, Elf64_Phdr>(kernel);
  if (identification[EI_CLASS] == ELFCLASS32) return read_segments<Elf32_Ehdr, Elf32_Phdr>(kernel);
  kernel.refuse("has an unknown ELF class");
}

std::uint64_t padded(std::uint64_t size) {
  return (size + 3) / 4 * 4;
}

// The entry point in the notes of one segment. Sizes in a note are 32 bits and the whole is at most 64 KiB,
// so the sums below cannot overflow.
std::optional<std::uint32_t> find_entry(const ImageFile& kernel, const Segment& notes) {
  if (notes.file_size > kMaximumNotes) kernel.refuse("has more than 64 KiB of notes");
  std::vector<std::byte> bytes(notes.file_size);
  kernel.read(notes.offset, bytes);
  std::uint64_t at = 0;
  while (bytes.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr note;
    std::memcpy(&note, bytes.data() + at, sizeof(note));
    const std::uint64_t name = at + sizeof(note);
    const std::uint64_t description = name + padded(note.n_namesz);
    const std::uint64_t end = description + padded(note.n_descsz);
    if (end > bytes.size()) return std::nullopt;
    const bool is_xen = note.n_namesz == 4 && std::memcmp(bytes.data() + name, "Xen", 4) == 0;
    if (is_xen && note.n_type == kNotePhys32Entry && note.n_descsz >= sizeof(std::uint32_t)) {
      std::uint32_t entry = 0;
      std::memcpy(&entry, bytes.data() + description, sizeof(entry));
      return entry;
    }
    at = end;
  }
  return std::nullopt;
}

// Loads one segment, zeroes what the file has no bytes for, and returns where it ends.
std::uint64_t load_segment(const ImageFile& kernel, const Segment& segment, GuestMemory& memory) {
  if (segment.file_size > segment.memory_size) kernel.refuse("has a segment with more bytes than memory");
  std::uint64_t end = 0;
  if (__builtin_add_overflow(segment.address, segment.memory_size, &end))
    kernel.refuse("has a segment beyond 2^64");
  if (segment.address < kBootLowMemoryEnd)
    kernel.refuse("has a segment below 640 KiB, which is the loader's");
  if (!memory.contains(GuestAddress{segment.address}, segment.memory_size)) {
    kernel.refuse("has a segment outside the guest's memory");
  }
  kernel.load(segment.offset, segment.file_size, memory, GuestAddress{segment.address});
  static constexpr std::array<std::byte, 4096> kZeros{};
  for (std::uint64_t at = segment.address + segment.file_size; at < end;) {
    const std::uint64_t piece = std::min<std::uint64_t>(kZeros.size(), end - at);
    put(memory, GuestAddress{at}, std::span(kZeros).first(piece), "kernel");
    at += piece;
  }
  return end;
}

void put_start_info(const BootImage& image, GuestMemory& memory, const std::optional<LoadedBlock>& initrd) {
  if (image.memory_map.size() > kMaximumMapEntries)
    throw Error(std::errc::argument_list_too_long, "memory map");
  StartInfo info;
  info.command_line = kBootCommandLine.value;
  info.acpi_root = image.acpi_root.value;
  const GuestAddress module_place{kBootParameters.value + sizeof(StartInfo)};
  const GuestAddress map_place{module_place.value + sizeof(Module)};
  if (initrd) {
    info.modules = 1;
    info.module_list = module_place.value;
    const Module module{initrd->start.value, initrd->size, 0, 0};
    put(memory, module_place, std::as_bytes(std::span(&module, 1)), "module list");
  }
  info.memory_map = map_place.value;
  info.memory_map_entries = static_cast<std::uint32_t>(image.memory_map.size());
  std::vector<MapEntry> map;
  for (const auto& entry : image.memory_map) map.push_back({entry.start, entry.size, entry.type, 0});
  put(memory, map_place, std::as_bytes(std::span(map)), "memory map");
  put(memory, kBootParameters, std::as_bytes(std::span(&info, 1)), "start info");
}

// 32-bit protected mode without paging, flat segments, EBX at the start info (pvh.pandoc, "x86/HVM direct
// boot ABI").
BootState protected_mode_entry(std::uint32_t entry, const kvm_sregs& reset_state) {
  constexpr std::uint64_t kProtectedMode = 1, kExtensionType = 1 << 4;
  BootState state;
  state.special = reset_state;
  state.special.gdt = {kBootGdt.value, 0, {}};
  state.special.cs = flat_segment(0x8, 11, false);
  const kvm_segment data = flat_segment(0x10, 3, false);
  state.special.ds = state.special.es = state.special.fs = state.special.gs = state.special.ss = data;
  state.special.tr = {};
  state.special.tr.limit = 0x67;
  state.special.tr.type = 11;
  state.special.tr.present = 1;
  state.special.cr0 = kProtectedMode | kExtensionType;
  state.special.cr3 = 0;
  state.special.cr4 = 0;
  state.special.efer = 0;
  state.registers.rip = entry;
  state.registers.rbx = kBootParameters.value;
  state.registers.rflags = 2;
  return state;
}

}  // namespace

BootState load_pvh(const ImageFile& kernel, const BootImage& image, GuestMemory& memory,
                   const kvm_sregs& special) {
  std::optional<std::uint32_t> entry;
  std::uint64_t end = 0;
  for (const auto& segment : read_segments(kernel)) {
    if (segment.type == PT_LOAD && segment.memory_size != 0)
      end = std::max(end, load_segment(kernel, segment, memory));
    if (segment.type == PT_NOTE && !entry) entry = find_entry(kernel, segment);
  }
  if (!entry) kernel.refuse("is an ELF without a PVH entry note");
  if (!memory.contains(GuestAddress{*entry}, 1))
    kernel.refuse("has its entry point outside the guest's memory");

  std::optional<LoadedBlock> initrd;
  if (image.initrd != nullptr) initrd = load_initrd(*image.initrd, memory, end, low_ram_end(memory));
  put_command_line(memory, image.command_line, kLongestCommandLine);
  put_start_info(image, memory, initrd);
  return protected_mode_entry(*entry, special);
}

}  // namespace warren::vmm::machine
