// What both boot protocols need: reading image files, placing blocks in RAM, flat segments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm-core/machine/boot_image.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::machine {

// Low memory as the loader lays it out; all of it below the 640 KiB every PC has.
inline constexpr GuestAddress kBootGdt{0x500};
inline constexpr GuestAddress kBootParameters{0x7000};  // zero page or start info, one page
inline constexpr GuestAddress kBootPageTables{0x9000};  // six pages
inline constexpr GuestAddress kBootCommandLine{0x20000};
inline constexpr std::uint64_t kBootLowMemoryEnd = 0x9fc00;

// A file that is read at checked offsets; `name` ("kernel", "initrd") is for messages.
class ImageFile {
 public:
  // Throws Error when the descriptor is no regular file or block device, or empty.
  ImageFile(const FileDescriptor& descriptor, std::string name);

  std::uint64_t size() const noexcept { return size_; }
  // Throws Error when [offset, offset + size) is not all in the file.
  void read(std::uint64_t offset, std::span<std::byte> destination) const;
  template <typename T>
  T read_object(std::uint64_t offset) const {
    T object;
    read(offset, std::as_writable_bytes(std::span(&object, 1)));
    return object;
  }
  // Reads [offset, offset + size) straight into guest RAM. Throws Error when either range is not.
  void load(std::uint64_t offset, std::uint64_t size, GuestMemory& memory, GuestAddress to) const;

  // Throws Error "NAME: why".
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  void check(std::uint64_t offset, std::uint64_t size) const;

  const FileDescriptor& descriptor_;
  std::string name_;
  std::uint64_t size_ = 0;
};

// Loads the initrd as high as it goes below `limit` and above `floor`, page aligned. Throws Error when it
// does not fit.
struct LoadedBlock {
  GuestAddress start;
  std::uint64_t size = 0;
};
LoadedBlock load_initrd(const FileDescriptor& descriptor, GuestMemory& memory, std::uint64_t floor,
                        std::uint64_t limit);

// Writes or throws Error naming `what`.
void put(GuestMemory& memory, GuestAddress to, std::span<const std::byte> bytes, const char* what);
void put_command_line(GuestMemory& memory, const std::string& text, std::uint64_t longest);

// Where RAM that begins at 0 ends.
std::uint64_t low_ram_end(const GuestMemory& memory) noexcept;

// A flat 4 GiB segment of the given type (Intel SDM 3A §3.4.5.1).
kvm_segment flat_segment(std::uint16_t selector, std::uint8_t type, bool is_long_code);

BootState load_bzimage(const ImageFile& kernel, const BootImage& image, GuestMemory& memory,
                       const kvm_sregs& special);
BootState load_pvh(const ImageFile& kernel, const BootImage& image, GuestMemory& memory,
                   const kvm_sregs& special);

}  // namespace warren::vmm::machine
