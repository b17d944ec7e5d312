// The virtio entropy device (virtio 1.2 §5.4), fed by the host's random number generator, with a rate limit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

class Rng final : public ServedDevice, private EventHandler {
 public:
  // At most `rate_bytes` in each period; 0: no limit.
  Rng(std::string name, std::uint64_t rate_bytes, std::uint32_t period_milliseconds,
      std::vector<EventThread*> threads);
  ~Rng() override;

  DeviceType type() const noexcept override { return DeviceType::rng; }
  std::uint64_t features() const noexcept override { return 0; }
  bool offers_packed() const noexcept override { return true; }
  std::uint16_t queue_count() const noexcept override { return 1; }
  std::uint16_t queue_size() const noexcept override { return 64; }
  void read_configuration(std::uint64_t, std::span<std::byte> data) noexcept override {
    read_bytes({}, 0, data);
  }
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}
  void inspect(InspectNode& node) const override;

 private:
  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  void on_event(std::uint32_t events) noexcept override;  // the period is over
  void arm() noexcept;

  const std::uint64_t rate_bytes_;
  const std::uint32_t period_milliseconds_;
  FileDescriptor timer_;
  std::uint64_t left_ = 0;  // of the period's bytes
  bool armed_ = false;
  std::atomic<std::uint64_t> given_{0};
};

}  // namespace warren::vmm::virtio
