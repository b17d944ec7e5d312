// A virtio device without its transport (virtio 1.2 §2): type, features, configuration, queues.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm-core/state/inspect.h"
#include "vmm-core/virtio/queue.h"

namespace warren::vmm::virtio {

// Device types (§5).
enum class DeviceType : std::uint16_t {
  net = 1,
  block = 2,
  console = 3,
  rng = 4,
  balloon = 5,
  scsi = 8,
  input = 18,
  vsock = 19,
  memory = 24
};

// Feature bits that belong to the queues and the transport (§6).
inline constexpr std::uint64_t kFeatureIndirect = std::uint64_t{1} << 28;
inline constexpr std::uint64_t kFeatureEventIndex = std::uint64_t{1} << 29;
inline constexpr std::uint64_t kFeatureVersion1 = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kFeaturePacked = std::uint64_t{1} << 34;

// What a device tells its transport. Any thread.
class DeviceHost {
 public:
  virtual void signal_queue(std::uint16_t queue) noexcept = 0;
  virtual void signal_configuration() noexcept = 0;  // the configuration has changed (§2.5)
  virtual void request_reset() noexcept = 0;         // DEVICE_NEEDS_RESET (§2.1.1)

 protected:
  ~DeviceHost() = default;
};

// What a device gets when the driver is ready. All of it stays good until deactivate() has returned.
struct Activation {
  std::uint64_t features = 0;  // accepted by the driver
  std::span<Queue* const>
      queues;  // as many as queue_count(); those that the driver did not enable are inactive
  std::span<const int> doorbells;  // an eventfd for each queue
  DeviceHost* host = nullptr;
};

class Device : public Inspectable {
 public:
  virtual ~Device() = default;

  virtual DeviceType type() const noexcept = 0;
  // Features of the device alone; the transport adds those of the queues, and drops what it cannot do.
  virtual std::uint64_t features() const noexcept = 0;
  virtual bool offers_packed() const noexcept = 0;
  virtual std::uint16_t queue_count() const noexcept = 0;
  virtual std::uint16_t queue_size() const noexcept = 0;  // the largest, a power of two

  // Device configuration space; vCPU threads. Bytes beyond it read as 0.
  virtual void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept = 0;
  virtual void write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept = 0;

  // DRIVER_OK. One at a time with the three below.
  virtual void activate(const Activation& activation) = 0;
  // Returns when nothing touches a queue or guest memory any more; what was in flight has been completed or
  // given up. Harmless when not active.
  virtual void deactivate() noexcept = 0;
  // The same for a machine that is paused: the device keeps its state and goes on after resume().
  virtual void pause() noexcept = 0;
  virtual void resume() noexcept = 0;
};

// Copies the part of `configuration` that a read at `offset` asks for; zeros beyond it.
void read_bytes(std::span<const std::byte> configuration, std::uint64_t offset,
                std::span<std::byte> data) noexcept;

}  // namespace warren::vmm::virtio
