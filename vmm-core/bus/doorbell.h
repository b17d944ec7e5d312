// Doorbells: guest writes that wake an I/O thread through an eventfd without a visit to user space
// (ioeventfd).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "vmm-core/memory/guest_address.h"

namespace warren::vmm {

// A registered doorbell; destroying it takes the registration back.
class Doorbell {
 public:
  virtual ~Doorbell() = default;
};

class DoorbellRegistrar {
 public:
  virtual ~DoorbellRegistrar() = default;
  // Writes of `size` bytes (0: any size) at the MMIO address signal `event_descriptor` instead of reaching
  // the handler mapped there; with `match`, only writes of that value. The descriptor must outlive the
  // doorbell. Throws Error when the host refuses.
  virtual std::unique_ptr<Doorbell> add_mmio(GuestAddress address, std::uint32_t size,
                                             std::optional<std::uint64_t> match, int event_descriptor) = 0;
};

}  // namespace warren::vmm
