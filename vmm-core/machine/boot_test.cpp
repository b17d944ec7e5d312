#include <cstring>

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/machine/boot_image.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

constexpr GuestMemory::Layout kLayout[] = {{GuestAddress{0}, 16 << 20}};

FileDescriptor file_of(const std::string& content) {
  FileDescriptor file(::memfd_create("image", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(file.get(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  return file;
}

template <typename T>
void put(std::string& image, std::size_t offset, T value) {
  if (image.size() < offset + sizeof(value)) image.resize(offset + sizeof(value));
  std::memcpy(image.data() + offset, &value, sizeof(value));
}

// An ELF with one segment at 1 MiB and a PVH entry note.
std::string pvh_image() {
  std::string image(0x200, '\0');
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_machine = EM_X86_64;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 2;
  put(image, 0, header);
  Elf64_Phdr load{};
  load.p_type = PT_LOAD;
  load.p_offset = 0x180;
  load.p_paddr = 0x100000;
  load.p_filesz = 0x20;
  load.p_memsz = 0x2000;
  put(image, sizeof(header), load);
  Elf64_Phdr note{};
  note.p_type = PT_NOTE;
  note.p_offset = 0x140;
  note.p_filesz = note.p_memsz = 20;
  put(image, sizeof(header) + sizeof(load), note);
  put(image, 0x140, Elf64_Nhdr{4, 4, 18});
  std::memcpy(image.data() + 0x14c, "Xen", 4);
  put(image, 0x150, std::uint32_t{0x100010});
  std::memcpy(image.data() + 0x180, "kernel code", 11);
  return image;
}

std::string bzimage() {
  std::string image(0x2000, '\x90');
  std::memset(image.data(), 0, 0x400);
  put(image, 0x1f1, std::uint8_t{1});
  put(image, 0x1fe, std::uint16_t{0xaa55});
  std::memcpy(image.data() + 0x202, "HdrS", 4);
  put(image, 0x206, std::uint16_t{0x020f});
  put(image, 0x211, std::uint8_t{1});
  put(image, 0x22c, std::uint32_t{0x7fffffff});
  put(image, 0x230, std::uint32_t{0x200000});
  put(image, 0x234, std::uint8_t{1});
  put(image, 0x236, std::uint16_t{1});
  put(image, 0x238, std::uint32_t{2047});
  put(image, 0x258, std::uint64_t{0x1000000});
  put(image, 0x260, std::uint32_t{0x10000});
  return image;
}

class BootTest : public testing::Test {
 protected:
  BootState load(const std::string& kernel, const std::string& initrd = "",
                 const std::string& command_line = "quiet") {
    const FileDescriptor kernel_file = file_of(kernel);
    const FileDescriptor initrd_file = file_of(initrd);
    BootImage image;
    image.kernel = &kernel_file;
    if (!initrd.empty()) image.initrd = &initrd_file;
    image.command_line = command_line;
    image.acpi_root = {0xe0000};
    image.memory_map = {{0, 0x9fc00, MemoryMapEntry::kRam}, {0x100000, 15 << 20, MemoryMapEntry::kRam}};
    return load_boot_image(image, memory_, {});
  }
  std::string refusal(const std::string& kernel, const std::string& initrd = "",
                      const std::string& line = "quiet") {
    try {
      load(kernel, initrd, line);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  template <typename T>
  T get(std::uint64_t address) {
    return memory_.read_object<T>(GuestAddress{address}).value();
  }

  GuestMemory memory_{kLayout};
};

TEST_F(BootTest, PvhKernelIsEnteredInProtectedModeWithItsStartInfo) {
  ASSERT_TRUE(memory_.write_object(GuestAddress{0x101ff8}, ~std::uint64_t{0}));
  const BootState state = load(pvh_image(), "initial ramdisk");
  EXPECT_EQ(state.registers.rip, 0x100010u);
  EXPECT_EQ(state.special.cr0 & 0x80000001u, 1u);
  const std::uint64_t info = state.registers.rbx;
  EXPECT_EQ(get<std::uint32_t>(info), 0x336ec578u);
  EXPECT_EQ(get<std::uint32_t>(info + 12), 1u);
  const auto modules = get<std::uint64_t>(info + 16);
  EXPECT_EQ(get<std::uint64_t>(modules + 8), 15u);
  EXPECT_EQ(get<std::uint8_t>(get<std::uint64_t>(modules)), 'i');
  EXPECT_EQ(get<std::uint64_t>(info + 32), 0xe0000u);
  EXPECT_EQ(get<std::uint32_t>(get<std::uint64_t>(info + 24)), 0x65697571u);  // "quie"
  EXPECT_EQ(get<std::uint8_t>(0x100000), 'k');
  EXPECT_EQ(get<std::uint64_t>(0x101ff8), 0u) << "memory behind the file's bytes is zeroed";
}

TEST_F(BootTest, BzImageIsEnteredInLongModeWithItsZeroPage) {
  // It prefers 16 MiB, where this guest has no memory: it is moved.
  const BootState state = load(bzimage(), "initial ramdisk");
  EXPECT_EQ(state.registers.rip, 0x200200u);
  EXPECT_NE(state.special.efer & 0x400, 0u);
  const std::uint64_t page = state.registers.rsi;
  EXPECT_EQ(get<std::uint8_t>(page + 0x1e8), 2);
  EXPECT_EQ(get<std::uint64_t>(page + 0x2d0 + 20), 0x100000u);
  EXPECT_EQ(get<std::uint32_t>(page + 0x21c), 15u);
  EXPECT_EQ(get<std::uint8_t>(get<std::uint32_t>(page + 0x218)), 'i');
  EXPECT_EQ(get<std::uint64_t>(page + 0x70), 0xe0000u);
  EXPECT_EQ(get<std::uint8_t>(0x200000), 0x90);
}

TEST_F(BootTest, T10HostileImagesAreRefusedByName) {
  EXPECT_THAT(refusal("tiny"), testing::HasSubstr("neither a Linux bzImage nor an ELF"));
  EXPECT_THAT(refusal("\177ELF"), testing::HasSubstr("ends at byte"));
  auto change = [](std::string image, std::size_t offset, auto value) {
    put(image, offset, value);
    return image;
  };
  const std::size_t load = sizeof(Elf64_Ehdr);
  EXPECT_THAT(refusal(change(pvh_image(), load + 24, std::uint64_t{0x7000})),
              testing::HasSubstr("below 640 KiB"));
  EXPECT_THAT(refusal(change(pvh_image(), load + 24, ~std::uint64_t{0})), testing::HasSubstr("beyond 2^64"));
  EXPECT_THAT(refusal(change(pvh_image(), load + 40, std::uint64_t{1} << 40)), testing::HasSubstr("outside"));
  EXPECT_THAT(refusal(change(pvh_image(), load + 8, ~std::uint64_t{0} - 4)),
              testing::HasSubstr("ends at byte"));
  EXPECT_THAT(refusal(change(pvh_image(), 0x144, std::uint32_t{0xffffffff})),
              testing::HasSubstr("without a PVH entry"));
  EXPECT_THAT(refusal(change(pvh_image(), 0x150, std::uint32_t{0xf0000000})),
              testing::HasSubstr("entry point outside"));
  EXPECT_THAT(refusal(change(pvh_image(), 32, ~std::uint64_t{0} - 8)), testing::HasSubstr("kernel"));
  EXPECT_THAT(refusal(change(bzimage(), 0x206, std::uint16_t{0x0200})), testing::HasSubstr("before 2.12"));
  EXPECT_THAT(refusal(change(bzimage(), 0x236, std::uint16_t{0})), testing::HasSubstr("no 64-bit entry"));
  EXPECT_THAT(refusal(change(bzimage(), 0x260, std::uint32_t{0xffffffff})),
              testing::HasSubstr("does not fit"));
  EXPECT_THAT(refusal(change(bzimage(), 0x230, std::uint32_t{0})), testing::HasSubstr("does not fit"));
  EXPECT_THAT(refusal(change(bzimage(), 0x1f1, std::uint8_t{255})), testing::HasSubstr("setup code"));
  EXPECT_THAT(refusal(pvh_image(), std::string(17 << 20, 'i')), testing::HasSubstr("initrd"));
  EXPECT_THAT(refusal(bzimage(), "", std::string(2048, 'x')), testing::HasSubstr("at most 2047"));
}

}  // namespace
}  // namespace warren::vmm::machine
