// One BAR of an assigned device in the guest: pages that can be mapped are memory slots, which the guest
// reaches without a visit; the rest, and what is emulated, is read and written access by access.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/memory_slots.h"
#include "vmm-core/state/inspect.h"
#include "vmm-core/vfio/device_file.h"
#include "vmm-core/vfio/region.h"

namespace warren::vmm::vfio {

// appear() and disappear() are for one thread at a time; accesses come from any vCPU thread.
class BarWindow final : public IoHandler, public Inspectable {
 public:
  // `file` and `slots` outlive it.
  BarWindow(DeviceFile& file, MemorySlots& slots, Region region);
  BarWindow(const BarWindow&) = delete;
  BarWindow& operator=(const BarWindow&) = delete;
  ~BarWindow();

  std::uint64_t size() const noexcept { return region_.size; }

  // While it is built: [offset, offset + size), inside it, is answered by `handler`. At most two.
  void intercept(std::uint64_t offset, std::uint64_t size, IoHandler& handler);
  // Maps what can be. What the host does not map is reached access by access.
  void map_pages();

  // Where the guest has it now; a slot that the host refuses is reached access by access.
  void appear(GuestAddress address) noexcept;
  void disappear() noexcept;

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
  void inspect(InspectNode& node) const override;

 private:
  struct Intercept {
    std::uint64_t offset = 0, size = 0;
    IoHandler* handler = nullptr;
  };
  struct Pages {
    Area area;
    std::byte* host = nullptr;
    bool in_guest = false;
  };
  // The one that has all of the access; or `partly` when one has some of it.
  const Intercept* find(std::uint64_t offset, std::size_t size, bool& partly) const noexcept;

  DeviceFile& file_;
  MemorySlots& slots_;
  Region region_;
  std::array<Intercept, 2> intercepts_{};
  std::vector<Pages> pages_;
  std::optional<GuestAddress> address_;
};

}  // namespace warren::vmm::vfio
