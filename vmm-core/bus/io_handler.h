// What a device's registers are to the bus: something that is read and written at offsets. Nothing else.
//
// Called on vCPU threads, one call per access of 1 to 8 bytes, any alignment, any offset below the size that
// was mapped; several vCPUs may call at once. Must not block, allocate, log or throw per access. Bytes that
// no register backs read as the specification says (commonly all ones on ports, zeros in BARs).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace warren::vmm {

class IoHandler {
 public:
  virtual void read(std::uint64_t offset, std::span<std::byte> data) noexcept = 0;
  virtual void write(std::uint64_t offset, std::span<const std::byte> data) noexcept = 0;

 protected:
  ~IoHandler() = default;
};

}  // namespace warren::vmm
