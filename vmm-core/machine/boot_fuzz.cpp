// Hostile kernel images: whatever the file says, loading either works or throws Error, and stays in guest
// memory.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/machine/boot_image.h"
#include "vmm-core/os/error.h"

namespace {
using namespace warren::vmm;
using namespace warren::vmm::machine;
constexpr GuestMemory::Layout kLayout[] = {{GuestAddress{0}, 16 << 20}};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  static GuestMemory memory(kLayout);
  static const FileDescriptor file(::memfd_create("kernel", MFD_CLOEXEC));
  // The first byte turns the rest into something that begins as a kernel does.
  std::string image(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 1 && image.size() >= 16) std::memcpy(image.data(), "\177ELF\2\1\1", 7);
  if (data[0] % 3 == 2) {
    image.resize(std::max<std::size_t>(image.size(), 0x300));
    std::memcpy(image.data() + 0x202, "HdrS", 4);
    std::memcpy(image.data() + 0x1fe, "\x55\xaa", 2);
  }
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), image.data(), image.size(), 0) != static_cast<ssize_t>(image.size())) {
    return 0;
  }
  BootImage boot;
  boot.kernel = &file;
  if ((data[0] & 0x80) != 0) boot.initrd = &file;
  boot.command_line = "console=ttyS0";
  boot.memory_map = {{0, 0x9fc00, MemoryMapEntry::kRam}, {0x100000, 15 << 20, MemoryMapEntry::kRam}};
  try {
    load_boot_image(boot, memory, {});
  } catch (const Error&) {
  }
  return 0;
}
