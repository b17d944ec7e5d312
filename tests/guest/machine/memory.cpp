#include "tests/guest/machine/memory.h"

#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/power.h"

extern "C" {
extern char bss_end[];
extern std::uint64_t page_map_level4[512];
void* memset(void*, int, std::size_t);
}

namespace guest {
namespace {

constexpr std::uint64_t kPresentWritableUser = 7;
constexpr std::uint64_t kLargePage = 0x80;
constexpr std::uint64_t kLargePageBytes = 0x200000;

std::uint64_t arena_start, arena_end, arena_next;
alignas(4096) std::uint64_t table_pool[24][512];
unsigned tables_used;

std::uint64_t* next_table(std::uint64_t& entry) {
  if (!(entry & 1)) {
    if (tables_used == 24) stop("out of page tables");
    entry = physical(table_pool[tables_used++]) | kPresentWritableUser;
  }
  return reinterpret_cast<std::uint64_t*>(entry & ~std::uint64_t{0xfff});
}

}  // namespace

void initialize_memory() {
  std::uint64_t floor = (physical(bss_end) + 0xfff) & ~std::uint64_t{0xfff};
  arena_start = arena_end = floor;
  for (const auto& range : boot_information.memory()) {
    if (range.type != 1) continue;
    std::uint64_t start = range.start < floor ? floor : range.start;
    std::uint64_t end = range.start + range.size;
    if (end > 0xc0000000) end = 0xc0000000;
    std::uint64_t initrd = boot_information.initrd;
    if (initrd >= start && initrd < end) end = initrd;
    if (end > start && end - start > arena_end - arena_start) {
      arena_start = start;
      arena_end = end;
    }
  }
  arena_next = arena_start;
}

void* allocate(std::size_t size, std::size_t alignment) {
  std::uint64_t at = (arena_next + alignment - 1) & ~(alignment - 1);
  if (at + size > arena_end) stop("out of memory");
  arena_next = at + size;
  return memset(reinterpret_cast<void*>(at), 0, size);
}

void reset_allocations() {
  arena_next = arena_start;
}
std::uint64_t allocatable_end() {
  return arena_end;
}

void map_identity(std::uint64_t address, std::uint64_t size) {
  std::uint64_t end = address + size;
  for (address &= ~(kLargePageBytes - 1); address < end; address += kLargePageBytes) {
    auto* pointers = next_table(page_map_level4[address >> 39 & 511]);
    auto* directory = next_table(pointers[address >> 30 & 511]);
    auto& entry = directory[address >> 21 & 511];
    if (!(entry & 1)) entry = address | kLargePage | kPresentWritableUser;
  }
}

}  // namespace guest
