#include "vmm-core/machine/boot_image.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm-core/machine/boot_loading.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

constexpr std::uint64_t kPageSize = 4096;
constexpr std::uint32_t kElfMagic = 0x464c457f;
constexpr std::uint32_t kBzImageMagic = 0x53726448;  // "HdrS"
constexpr std::uint64_t kBzImageMagicOffset = 0x202;

std::uint64_t size_of(const FileDescriptor& descriptor, const std::string& name) {
  struct stat status{};
  if (::fstat(descriptor.get(), &status) != 0) throw_errno(name);
  if (S_ISREG(status.st_mode)) return static_cast<std::uint64_t>(status.st_size);
  std::uint64_t size = 0;
  if (!S_ISBLK(status.st_mode)) throw Error(std::errc::invalid_argument, name + ": no regular file");
  if (::ioctl(descriptor.get(), BLKGETSIZE64, &size) != 0) throw_errno(name);
  return size;
}

}  // namespace

ImageFile::ImageFile(const FileDescriptor& descriptor, std::string name)
    : descriptor_(descriptor), name_(std::move(name)), size_(size_of(descriptor, name_)) {
  if (size_ == 0) refuse("is empty");
}

void ImageFile::refuse(const std::string& why) const {
  throw Error(std::errc::executable_format_error, name_ + ": " + why);
}

void ImageFile::check(std::uint64_t offset, std::uint64_t size) const {
  if (offset > size_ || size > size_ - offset) {
    refuse("ends at byte " + std::to_string(size_) + ", before what its headers promise");
  }
}

void ImageFile::read(std::uint64_t offset, std::span<std::byte> destination) const {
  check(offset, destination.size());
  while (!destination.empty()) {
    const ssize_t got =
        ::pread(descriptor_.get(), destination.data(), destination.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(name_);
    if (got == 0) refuse("became shorter while it was read");
    destination = destination.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

void ImageFile::load(std::uint64_t offset, std::uint64_t size, GuestMemory& memory, GuestAddress to) const {
  check(offset, size);
  if (size == 0) return;
  std::vector<iovec> pieces;
  pieces.reserve(8);
  if (!memory.slices(to, size, pieces, 8)) refuse("does not fit the guest's memory");
  for (const auto& piece : pieces) {
    read(offset, {static_cast<std::byte*>(piece.iov_base), piece.iov_len});
    offset += piece.iov_len;
  }
}

LoadedBlock load_initrd(const FileDescriptor& descriptor, GuestMemory& memory, std::uint64_t floor,
                        std::uint64_t limit) {
  const ImageFile file(descriptor, "initrd");
  limit = std::min(limit, low_ram_end(memory));
  if (file.size() > limit) file.refuse("is larger than the guest's memory below 4 GiB");
  const std::uint64_t start = (limit - file.size()) / kPageSize * kPageSize;
  if (start < floor) file.refuse("does not fit the guest's memory beside the kernel");
  file.load(0, file.size(), memory, GuestAddress{start});
  return {GuestAddress{start}, file.size()};
}

void put(GuestMemory& memory, GuestAddress to, std::span<const std::byte> bytes, const char* what) {
  if (!memory.write(to, bytes))
    throw Error(std::errc::not_enough_memory, std::string(what) + " does not fit the guest's memory");
}

void put_command_line(GuestMemory& memory, const std::string& text, std::uint64_t longest) {
  if (text.size() > longest) {
    throw Error(std::errc::argument_list_too_long, "kernel: takes a command line of at most " +
                                                       std::to_string(longest) + " bytes, not " +
                                                       std::to_string(text.size()));
  }
  put(memory, kBootCommandLine, std::as_bytes(std::span(text.c_str(), text.size() + 1)), "command line");
}

std::uint64_t low_ram_end(const GuestMemory& memory) noexcept {
  for (const auto& region : memory.regions()) {
    if (region.start.value == 0) return region.size;
  }
  return 0;
}

kvm_segment flat_segment(std::uint16_t selector, std::uint8_t type, bool is_long_code) {
  kvm_segment segment{};
  segment.limit = 0xffffffff;
  segment.selector = selector;
  segment.type = type;
  segment.present = 1;
  segment.s = 1;
  segment.db = is_long_code ? 0 : 1;
  segment.l = is_long_code ? 1 : 0;
  segment.g = 1;
  return segment;
}

BootState load_boot_image(const BootImage& image, GuestMemory& memory, const kvm_sregs& special) {
  const ImageFile kernel(*image.kernel, "kernel");
  if (kernel.size() >= sizeof(std::uint32_t) && kernel.read_object<std::uint32_t>(0) == kElfMagic) {
    return load_pvh(kernel, image, memory, special);
  }
  if (kernel.size() >= kBzImageMagicOffset + sizeof(std::uint32_t) &&
      kernel.read_object<std::uint32_t>(kBzImageMagicOffset) == kBzImageMagic) {
    return load_bzimage(kernel, image, memory, special);
  }
  kernel.refuse("is neither a Linux bzImage nor an ELF with a PVH entry");
}

}  // namespace warren::vmm::machine
