// MSI-X: the table of vectors, the pending bits, and what happens when a device signals one (PCI 3.0 §6.8.2).
//
// A vector that is masked, by itself or with the whole function, becomes pending and is sent once when it is
// unmasked. A device signals from any thread without waiting for the guest; registers are written by vCPUs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/bus/io_handler.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::pci {

inline constexpr std::uint16_t kMaximumMsixVectors = 2048;
inline constexpr std::uint64_t kMsixEntrySize = 16;

struct MsixState {
  struct Vector {
    MsiMessage message;
    bool masked = true;
    bool pending = false;
  };
  std::uint32_t version = 1;
  bool enabled = false;
  bool function_masked = false;
  std::vector<Vector> vectors;
};

class Msix final : public Inspectable {
 public:
  // Throws Error when the host has no routes left. 1 to kMaximumMsixVectors vectors.
  Msix(MsiRouter& router, std::uint16_t vectors);
  Msix(const Msix&) = delete;
  Msix& operator=(const Msix&) = delete;
  ~Msix();

  std::uint16_t vectors() const noexcept { return count_; }
  // True while the guest uses MSI-X instead of the interrupt pin.
  bool enabled() const noexcept { return enabled_.load(std::memory_order_acquire); }

  // As the guest has it in the table.
  bool is_masked(std::uint16_t vector) const noexcept;

  // Interrupts the guest through `vector`, now or when it is unmasked. Nothing happens while MSI-X is
  // disabled or for a vector that does not exist (counted). Any thread.
  void signal(std::uint16_t vector) noexcept;

  // The irqfd of a vector, for vhost and VFIO, whose signals wait while the vector is masked; -1 when there
  // is none.
  int event_descriptor(std::uint16_t vector) const noexcept;

  // The registers in their BAR: `vectors() * kMsixEntrySize` bytes and one bit a vector, in whole quadwords.
  IoHandler& table() noexcept { return table_; }
  IoHandler& pending_bits() noexcept { return pending_bits_; }
  std::uint64_t table_size() const noexcept { return std::uint64_t{count_} * kMsixEntrySize; }
  std::uint64_t pending_size() const noexcept { return (std::uint64_t{count_} + 63) / 64 * 8; }

  // The enable and function mask bits of the capability's message control register.
  void set_control(bool enabled, bool function_masked) noexcept;

  void reset() noexcept;
  MsixState save() const;
  // Throws Error when the state has another number of vectors.
  void restore(const MsixState& state);
  void inspect(InspectNode& node) const override;

 private:
  struct Vector {
    std::unique_ptr<MsiRoute> route;
    MsiMessage message;
    bool masked = true;
    bool pending = false;
    // Enabled, unmasked and routed: signal() needs no lock. Written with it.
    std::atomic<bool> deliverable{false};
  };

  class Table final : public IoHandler {
   public:
    explicit Table(Msix& msix) : msix_(msix) {}
    void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

   private:
    Msix& msix_;
  };
  class PendingBits final : public IoHandler {
   public:
    explicit PendingBits(Msix& msix) : msix_(msix) {}
    void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    void write(std::uint64_t, std::span<const std::byte>) noexcept override {}  // read-only

   private:
    Msix& msix_;
  };

  std::uint32_t read_word(std::uint64_t offset) const noexcept;
  void write_word(std::uint64_t offset, std::uint32_t value) noexcept;
  void update(Vector& vector) noexcept;

  const std::uint16_t count_;
  mutable std::mutex mutex_;
  std::unique_ptr<Vector[]> vectors_;
  std::atomic<bool> enabled_{false};
  bool function_masked_ = false;
  std::atomic<std::uint64_t> lost_{0};  // signals of vectors that do not exist, or that the host cannot route
  Table table_{*this};
  PendingBits pending_bits_{*this};
};

}  // namespace warren::vmm::pci
