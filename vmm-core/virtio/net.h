// The virtio network device (virtio 1.2 §5.1) on tap queues.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/net/tap.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

struct NetOptions {
  std::array<std::uint8_t, 6> mac{};
  bool packed = false;
  bool link_up = true;
  std::uint16_t mtu = 0;  // 0: not told to the guest
  std::uint16_t queue_size = 256;
};

struct NetState {
  std::uint32_t version = 1;
  bool link_up = true;
  std::uint16_t pairs = 1;  // in use
};

class Net final : public ServedDevice {
 public:
  // One tap for each queue pair, at most 64. `counters` outlives the device.
  Net(std::string name, std::vector<std::unique_ptr<net::Tap>> taps, const NetOptions& options,
      NetCounters& counters, std::vector<EventThread*> threads);
  ~Net() override;

  DeviceType type() const noexcept override { return DeviceType::net; }
  std::uint64_t features() const noexcept override;
  bool offers_packed() const noexcept override { return options_.packed; }
  std::uint16_t queue_count() const noexcept override {
    return static_cast<std::uint16_t>(2 * pairs_.size() + 1);
  }
  std::uint16_t queue_size() const noexcept override { return options_.queue_size; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}

  // One pair is in use again (§5.1.6.5.5).
  void deactivate() noexcept override;

  // Plugs the cable in or out; packets of an unplugged interface are dropped both ways. Any thread.
  void set_link(bool up) noexcept;

  NetState save() const noexcept { return {.link_up = link_up_.load(), .pairs = pairs_in_use_.load()}; }
  void restore(const NetState& state) noexcept;
  void inspect(InspectNode& node) const override;

 private:
  class Pair;

  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  Served serve_control() noexcept;
  bool control(Reader& command) noexcept;
  void apply_pairs() noexcept;
  enum class Role { pair, control, none };
  Role role_of(std::uint16_t queue) const noexcept;

  const NetOptions options_;
  NetCounters& counters_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::atomic<bool> link_up_;
  std::atomic<std::uint16_t> pairs_in_use_{1};
};

}  // namespace warren::vmm::virtio
