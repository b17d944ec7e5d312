// Memory for tests: pages handed out from RAM behind the image, given back all at once before the next test;
// and mappings of device memory above the first 4 GiB (which are identity mapped from the start).
#pragma once

#include <cstddef>
#include <cstdint>

namespace guest {

// Finds the largest run of RAM behind our image that the initrd does not use.
void initialize_memory();

// Zeroed memory below 4 GiB, virtual address = physical address. Stops the machine with a message when
// exhausted.
void* allocate(std::size_t size, std::size_t alignment = 16);
template <typename T>
T* allocate_array(std::size_t count, std::size_t alignment = alignof(T)) {
  return static_cast<T*>(allocate(count * sizeof(T), alignment));
}
void reset_allocations();
std::uint64_t allocatable_end();

inline std::uint64_t physical(const volatile void* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);  // identity mapping
}

// Maps [address, address + size) to itself.
void map_identity(std::uint64_t address, std::uint64_t size);

}  // namespace guest
