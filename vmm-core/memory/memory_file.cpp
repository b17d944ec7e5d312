#include "vmm-core/memory/memory_file.h"

#include <bit>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

// memfd_create(2): the binary logarithm of the page size stands in the upper bits.
unsigned huge_page_flags(std::uint64_t huge_page_bytes) {
  if (huge_page_bytes == 0) return 0;
  return MFD_HUGETLB | static_cast<unsigned>(std::countr_zero(huge_page_bytes)) << MAP_HUGE_SHIFT;
}

}  // namespace

FileDescriptor make_memory_file(std::uint64_t size, std::uint64_t huge_page_bytes) {
  FileDescriptor file(
      ::memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING | huge_page_flags(huge_page_bytes)));
  if (!file && huge_page_bytes != 0) {
    throw_errno("guest memory: this host has no huge pages of " + std::to_string(huge_page_bytes) + " bytes");
  }
  if (!file) throw_errno("guest memory: create its memfd");
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
    throw_errno("guest memory: make room for " + std::to_string(size) + " bytes");
  }
  // A peer that gets the descriptor must not be able to shrink it: touching the lost pages would be SIGBUS.
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    throw_errno("guest memory: seal the size of its memfd");
  }
  return file;
}

}  // namespace warren::vmm
