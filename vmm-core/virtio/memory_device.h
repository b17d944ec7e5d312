// The virtio memory device (virtio 1.2 §5.15): memory that a guest plugs and unplugs block by block, up to
// the size that is asked for.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/memory/device_memory.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

struct MemoryDeviceOptions {
  std::uint64_t requested_bytes = 0;  // a multiple of the block size
  std::optional<std::uint16_t> node;  // of the guest, as its SRAT counts them
};

class MemoryDevice final : public ServedDevice {
 public:
  struct State {
    std::uint32_t version = 1;
    std::uint64_t block_bytes = 0, requested_bytes = 0, usable_bytes = 0;
    std::vector<bool> plugged;  // by block
  };

  // `memory`, which has blocks, outlives it.
  MemoryDevice(std::string name, DeviceMemory& memory, const MemoryDeviceOptions& options,
               std::vector<EventThread*> threads);
  ~MemoryDevice() override;

  // Control thread. The guest is to have so much of it; it does what it can. `bytes`: a multiple of the block
  // size, at most the memory's size.
  void request(std::uint64_t bytes) noexcept;
  std::uint64_t requested_bytes() const noexcept { return requested_.load(std::memory_order_relaxed); }
  std::uint64_t plugged_bytes() const noexcept { return memory_.plugged_bytes(); }

  DeviceType type() const noexcept override { return DeviceType::memory; }
  std::uint64_t features() const noexcept override;
  bool offers_packed() const noexcept override { return true; }
  std::uint16_t queue_count() const noexcept override { return 1; }
  std::uint16_t queue_size() const noexcept override { return 128; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}  // §5.15.4
  // What is plugged stays so; a machine that is reset unplugs its memory before.
  void deactivate() noexcept override;
  void inspect(InspectNode& node) const override;

  // Only while paused. restore() takes a state of a device of the same size and blocks; throws Error, and
  // then nothing is plugged.
  State save() const;
  void restore(const State& state);

 private:
  static constexpr std::size_t kConfigurationBytes = 56;  // §5.15.4

  Served serve(std::uint16_t queue) noexcept override;
  std::uint32_t answer(const Chain& chain) noexcept;
  std::uint16_t change(std::uint64_t first, std::uint64_t count, bool plugs) noexcept;
  void adjust_usable(bool may_shrink) noexcept;

  DeviceMemory& memory_;
  const std::optional<std::uint16_t> node_;
  std::mutex sizes_;  // usable_ follows requested_
  std::atomic<std::uint64_t> requested_;
  std::atomic<std::uint64_t> usable_{0};
  std::atomic<std::uint64_t> denied_{0}, failed_{0}, malformed_{0};
};

}  // namespace warren::vmm::virtio
