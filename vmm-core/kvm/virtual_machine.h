// A KVM virtual machine: memory slots, the in-kernel interrupt controllers and timer, event descriptors and
// the clock. Set-up calls throw vmm::Error naming the ioctl; calls marked noexcept are for the data path. Any
// thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "vmm-core/kvm/system.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/memory/memory_slots.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::kvm {

// The state of PICs, I/O APIC and PIT, in KVM's own format.
struct InterruptControllerState {
  std::array<kvm_irqchip, 3> chips{};
  kvm_pit_state2 timer{};
};

class VirtualMachine final : public MemorySlots {
 public:
  explicit VirtualMachine(const System& system);

  int descriptor() const noexcept { return vm_.get(); }

  // One slot for each region (api.rst §4.35). The memory must outlive the VM.
  void map_memory(const GuestMemory& memory);
  bool add(GuestAddress start, std::uint64_t size, std::byte* host) noexcept override;
  void remove(GuestAddress start) noexcept override;

  // Whether KVM notes which pages of its slots the guest writes (api.rst §4.35, KVM_MEM_LOG_DIRTY_PAGES).
  void log_dirty_pages(bool on);
  // Pages of 4 KiB that were written since it began, or since the last call (§4.8).
  std::uint64_t count_dirty_pages();
  // A descriptor of the kernel's statistics (§4.133); none when it has none.
  FileDescriptor statistics() const noexcept;

  // Two PICs, an I/O APIC, local APICs and a PIT with the speaker port, all in the kernel. Before any vCPU.
  // `identity_map` and `tss` are guest addresses of one and three pages that Intel hosts need (§4.41, §4.12).
  // `reinject`: PIT interrupts that a guest missed come later (KVM_REINJECT_CONTROL), else never.
  void create_interrupt_controllers(GuestAddress identity_map, GuestAddress tss, bool reinject = true);
  InterruptControllerState interrupt_controllers() const;
  void set_interrupt_controllers(const InterruptControllerState& state);

  // §4.25; true when it was taken.
  bool set_line(std::uint32_t gsi, bool asserted) noexcept;
  // §4.70; false when the host refuses the message.
  bool signal_message(std::uint64_t address, std::uint32_t data) noexcept;

  // §4.52: all routes at once.
  void set_routes(std::span<const kvm_irq_routing_entry> routes);
  // §4.75.
  void add_irqfd(int event_descriptor, std::uint32_t gsi);
  void remove_irqfd(int event_descriptor, std::uint32_t gsi) noexcept;
  // The same for a level-triggered line, which the guest's acknowledgement deasserts: `resample` is signalled
  // then. False when the host refuses.
  bool add_resampling_irqfd(int event_descriptor, std::uint32_t gsi, int resample) noexcept;

  // Tells KVM of a VFIO group whose devices reach the guest's memory, or that they do no longer (Linux
  // Documentation/virt/kvm/devices/vfio.rst): it then minds caches that such a device does not snoop. What it
  // refuses changes nothing else.
  void note_vfio_group(int group, bool present) noexcept;

  // §4.59. `size` 0 matches any.
  void add_ioeventfd(GuestAddress address, std::uint32_t size, std::optional<std::uint64_t> match,
                     int event_descriptor);
  void remove_ioeventfd(GuestAddress address, std::uint32_t size, std::optional<std::uint64_t> match,
                        int event_descriptor) noexcept;

  // §4.29, §4.30: nanoseconds of the guest's paravirtual clock.
  std::uint64_t clock() const;
  void set_clock(std::uint64_t nanoseconds);

 private:
  // By number; those without a size are free. Devices add and remove theirs at any time.
  struct Slot {
    GuestAddress start;
    std::uint64_t size = 0;
    std::byte* host = nullptr;
  };
  struct Slots {
    std::mutex mutex;
    std::vector<Slot> all;
    std::uint32_t flags = 0;
  };
  // 0, or the errno.
  int set_slot(std::size_t number, const Slot& slot) const noexcept;
  void set_flags(std::uint32_t flags);

  FileDescriptor vm_;
  std::uint32_t maximum_slots_ = 0;
  std::unique_ptr<Slots> slots_;
  FileDescriptor vfio_;  // KVM's pseudo device, made for the first group
};

}  // namespace warren::vmm::kvm
