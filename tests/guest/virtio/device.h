// A virtio device behind the PCI transport (virtio 1.2 §4.1), driven register by register.
#pragma once

#include <cstdint>
#include <span>

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/virtio/queue.h"

namespace guest {

enum class VirtioType : std::uint16_t {
  net = 1,
  block = 2,
  console = 3,
  entropy = 4,
  balloon = 5,
  scsi = 8,
  memory = 24
};

inline constexpr std::uint8_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8, kNeedsReset = 64,
                              kFailed = 128;
inline constexpr std::uint64_t kIndirectDescriptors = 1ull << 28, kEventIndex = 1ull << 29,
                               kVersion1 = 1ull << 32, kRingPacked = 1ull << 34;
inline constexpr std::uint16_t kNoVector = 0xffff;

// Offsets of struct virtio_pci_common_cfg (§4.1.4.3).
namespace common {
inline constexpr std::uint32_t kDeviceFeatureSelect = 0, kDeviceFeature = 4, kDriverFeatureSelect = 8,
                               kDriverFeature = 12, kConfigVector = 16, kQueueCount = 18, kStatus = 20,
                               kConfigGeneration = 21, kQueueSelect = 22, kQueueSize = 24, kQueueVector = 26,
                               kQueueEnable = 28, kQueueNotifyOffset = 30, kQueueDescriptors = 32,
                               kQueueDriver = 40, kQueueDevice = 48, kBytes = 56;
}

class VirtioDevice {
 public:
  // The n-th device of the type on the PCI buses, enabled and reset, with MSI-X off; invalid when there is
  // none.
  explicit VirtioDevice(VirtioType type, unsigned number = 0);
  // Any virtio function; invalid when it is not one with a modern interface.
  explicit VirtioDevice(PciFunction* function);
  explicit operator bool() const { return function_ != nullptr; }

  PciFunction& function() const { return *function_; }
  std::uint64_t common() const { return common_; }
  std::uint64_t configuration() const { return device_configuration_; }
  std::uint32_t configuration_bytes() const { return configuration_bytes_; }
  std::uint64_t isr() const { return isr_; }
  std::uint64_t notify_address(std::uint16_t queue) const;

  std::uint8_t status() const;
  void set_status(std::uint8_t status);
  // Writes 0 and waits until it reads back (§4.1.4.3.1).
  void reset();
  std::uint64_t offered_features() const;
  void write_features(std::uint64_t features);

  // Reset, ACKNOWLEDGE, DRIVER, features (those wanted and offered, and VERSION_1), FEATURES_OK. False when
  // the device does not agree.
  bool negotiate(std::uint64_t wanted);
  std::uint64_t negotiated() const { return negotiated_; }
  void start() { set_status(static_cast<std::uint8_t>(status() | kDriverOk)); }

  void select_queue(std::uint16_t index);
  std::uint16_t queue_size() const;
  // Gives the device a queue of `size` entries of the negotiated layout (memory from allocate()). `vector` is
  // an index of the MSI-X table or kNoVector.
  Queue& set_up_queue(std::uint16_t index, std::uint16_t size, std::uint16_t vector = kNoVector);
  // Rings the doorbell, if the device wants to know.
  void notify(std::uint16_t index, Queue& queue);
  void ring(std::uint16_t index);

  // Turns MSI-X on with the table's entry `index` sending interrupt `vector` to this processor.
  bool has_msix() const { return msix_ != 0; }
  std::uint16_t msix_entries() const;
  void enable_msix();
  void disable_msix();
  void set_msix_entry(std::uint16_t index, std::uint8_t vector, bool masked = false);
  void set_function_mask(bool masked);
  bool msix_pending(std::uint16_t index) const;
  std::uint64_t msix_table() const { return msix_table_; }
  std::uint64_t msix_pending_bits() const { return msix_pending_bits_; }

 private:
  void find_registers();

  PciFunction* function_ = nullptr;
  std::uint64_t common_ = 0, notify_ = 0, isr_ = 0, device_configuration_ = 0;
  std::uint32_t notify_multiplier_ = 0, configuration_bytes_ = 0;
  std::uint64_t negotiated_ = 0;
  std::uint8_t msix_ = 0;
  std::uint64_t msix_table_ = 0, msix_pending_bits_ = 0;
};

// Waits for a used element, halting; empty after `milliseconds`.
std::optional<UsedElement> wait_used(Queue& queue, std::uint32_t milliseconds = 2000);

}  // namespace guest
