// A PVH kernel of a few bytes of 32-bit code, in a memfd, for tests of the machine.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::machine {

inline constexpr std::uint32_t kTinyKernelStart = 0x100000;

// An ELF whose note XEN_ELFNOTE_PHYS32_ENTRY (Xen docs/misc/pvh.pandoc) points at `code`, loaded at 1 MiB.
inline FileDescriptor make_tiny_kernel(std::initializer_list<std::uint8_t> code) {
  struct Image {
    Elf64_Ehdr header{};
    Elf64_Phdr load{};
    Elf64_Phdr note{};
    Elf64_Nhdr note_header{.n_namesz = 4, .n_descsz = 4, .n_type = 18};
    char note_name[4] = {'X', 'e', 'n', 0};
    std::uint32_t entry = kTinyKernelStart;
    std::uint8_t code[256]{};
  } image;
  std::memcpy(image.header.e_ident, ELFMAG, SELFMAG);
  image.header.e_ident[EI_CLASS] = ELFCLASS64;
  image.header.e_ident[EI_DATA] = ELFDATA2LSB;
  image.header.e_ident[EI_VERSION] = EV_CURRENT;
  image.header.e_type = ET_EXEC;
  image.header.e_machine = EM_X86_64;
  image.header.e_version = EV_CURRENT;
  image.header.e_phoff = offsetof(Image, load);
  image.header.e_ehsize = sizeof(Elf64_Ehdr);
  image.header.e_phentsize = sizeof(Elf64_Phdr);
  image.header.e_phnum = 2;
  image.load.p_type = PT_LOAD;
  image.load.p_offset = offsetof(Image, code);
  image.load.p_vaddr = image.load.p_paddr = kTinyKernelStart;
  image.load.p_filesz = image.load.p_memsz = sizeof image.code;
  image.note.p_type = PT_NOTE;
  image.note.p_offset = offsetof(Image, note_header);
  image.note.p_filesz = image.note.p_memsz = 20;
  image.note.p_align = 4;
  std::memcpy(image.code, std::data(code), code.size());
  FileDescriptor file(::memfd_create("tiny-kernel", MFD_CLOEXEC));
  if (!file || ::write(file.get(), &image, sizeof image) != sizeof image) throw_errno("make a tiny kernel");
  return file;
}

}  // namespace warren::vmm::machine
