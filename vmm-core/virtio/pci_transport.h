// virtio over PCI, modern only (virtio 1.2 §4.1): capabilities, common configuration, notifications,
// interrupts.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vmm-core/bus/doorbell.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/pci/function.h"
#include "vmm-core/state/pausable.h"
#include "vmm-core/virtio/device.h"

namespace warren::vmm::virtio {

// The registers of the common configuration that a driver has set, by queue.
struct QueueRegisters {
  std::uint16_t size = 0;
  std::uint16_t vector = 0xffff;
  bool enabled = false;
  std::uint64_t descriptors = 0, driver = 0, device = 0;
};

struct PciTransportState {
  std::uint32_t version = 1;
  pci::FunctionState function;
  std::uint8_t status = 0;
  std::uint32_t device_feature_select = 0, driver_feature_select = 0;
  std::uint64_t driver_features = 0;
  std::uint16_t configuration_vector = 0xffff;
  std::uint16_t queue_select = 0;
  std::uint8_t interrupt_status = 0;
  std::uint8_t configuration_generation = 0;
  std::vector<QueueRegisters> queues;
  std::vector<QueuePosition> positions;
};

// Registers are accessed by vCPU threads, one at a time; the device signals from its own threads without
// waiting for them.
class PciTransport final : public pci::Function,
                           public Pausable,
                           public DeviceHost,
                           private IoHandler,
                           private pci::BarListener {
 public:
  // What a transport needs of the machine; all of it outlives the transport.
  struct Surroundings {
    GuestMemory& memory;
    MsiRouter& msi;
    DoorbellRegistrar& doorbells;
  };

  PciTransport(std::string name, std::unique_ptr<Device> device, pci::Place place,
               const Surroundings& surroundings);
  ~PciTransport() override;

  void signal_queue(std::uint16_t queue) noexcept override;
  void signal_configuration() noexcept override;
  void request_reset() noexcept override;

  void reset() override;
  void pause() noexcept override { device_->pause(); }
  void resume() noexcept override { device_->resume(); }
  // Only while paused.
  PciTransportState save() const;
  void restore(const PciTransportState& state);

  Device& device() noexcept { return *device_; }
  void inspect(InspectNode& node) const override;

 private:
  class ConfigurationAccess;

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
  void bar_mapped(unsigned bar, GuestAddress address) noexcept override;
  void bar_unmapped(unsigned bar) noexcept override;

  void add_capabilities();
  std::uint64_t offered_features() const noexcept;
  void read_common(std::uint64_t offset, std::span<std::byte> data) noexcept;
  void write_common(std::uint64_t offset, std::span<const std::byte> data) noexcept;
  void write_status(std::uint8_t status) noexcept;
  void write_queue_register(std::uint64_t offset, std::uint64_t value, std::size_t size) noexcept;
  bool features_acceptable() const noexcept;
  void activate() noexcept;
  void reset_device() noexcept;
  std::uint16_t checked_vector(std::uint64_t value) noexcept;
  void ring(std::uint64_t queue) noexcept;
  void read_table(std::uint64_t offset, std::span<std::byte> data) noexcept;
  void write_table(std::uint64_t offset, std::span<const std::byte> data) noexcept;
  void read_pending(std::uint64_t offset, std::span<std::byte> data) noexcept;
  void raise(std::uint16_t vector, std::uint8_t reason) noexcept;

  const std::unique_ptr<Device> device_;
  const Surroundings surroundings_;
  mutable std::mutex mutex_;
  std::vector<QueueRegisters> registers_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::vector<Queue*> queue_pointers_;
  std::vector<FileDescriptor> bells_;
  std::vector<int> bell_descriptors_;
  std::vector<std::unique_ptr<Doorbell>> doorbells_;

  std::uint32_t device_feature_select_ = 0, driver_feature_select_ = 0;
  std::uint64_t driver_features_ = 0;
  std::uint16_t queue_select_ = 0;
  bool active_ = false;

  // Also used by device threads, hence atomic.
  std::atomic<std::uint8_t> status_{0};
  std::atomic<std::uint8_t> interrupt_status_{0};
  std::atomic<std::uint8_t> configuration_generation_{0};
  std::atomic<std::uint16_t> configuration_vector_{0xffff};
  std::vector<std::atomic<std::uint16_t>> queue_vectors_;

  std::unique_ptr<ConfigurationAccess> configuration_access_;
};

}  // namespace warren::vmm::virtio
