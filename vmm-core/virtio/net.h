// The virtio network device (virtio 1.2 §5.1; UDP segmentation offload as in 1.3) on tap queues, or on a
// stream.
//
// DEVNOTE: with a tap it is the kernel that chooses the queue of a packet: by the flow the guest last sent on
// that queue or, where the driver sets up receive-side scaling, by a program that the daemon has loaded
// (net/steering.h). The hash it does not tell, so hash reports are not offered.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/net/wire.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/virtio/net_back_end.h"
#include "vmm-core/virtio/net_filter.h"
#include "vmm-core/virtio/net_scaling.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

struct NetOptions {
  std::array<std::uint8_t, 6> mac{};
  bool packed = false;
  bool link_up = true;
  std::uint16_t mtu = 0;  // 0: not told to the guest
  std::uint16_t queue_size = 256;
  std::uint16_t pairs = 0;  // of a device without wires; else there are as many as wires
  // What receive-side scaling of taps is done by; none: it is not offered. Used by one device.
  std::shared_ptr<net::Steering> steering = {};
  // On a queue's thread: the wire is lost, and with it the link, until reconnect().
  std::function<void()> lost = {};
};

struct NetState {
  std::uint32_t version = 3;  // 1: the first two alone; 2: without the last
  bool link_up = true;
  std::uint16_t pairs = 1;  // in use
  ReceiveFilter filter;
  std::uint64_t guest_offloads = ~std::uint64_t{0};  // of those negotiated, the ones that are on
  std::optional<ReceiveScaling> scaling;
};

class Net final : public ServedDevice {
 public:
  // One wire for each queue pair, at most 64; a stream is alone. `counters` outlives the device. With a back
  // end, that moves the packets where it can, and else the wires, if there are any. Throws Error.
  Net(std::string name, std::vector<std::unique_ptr<net::Wire>> wires, const NetOptions& options,
      NetCounters& counters, std::vector<EventThread*> threads, std::unique_ptr<NetBackEnd> back_end = {});
  ~Net() override;

  DeviceType type() const noexcept override { return DeviceType::net; }
  std::uint64_t features() const noexcept override { return offered_; }
  bool offers_packed() const noexcept override { return options_.packed && back_end_ == nullptr; }
  std::uint16_t queue_count() const noexcept override { return static_cast<std::uint16_t>(2 * count_ + 1); }
  std::uint16_t queue_size() const noexcept override { return options_.queue_size; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}

  // What a driver has set is as it was at first: one pair is in use, all packets are wanted (§5.1.6.5).
  void deactivate() noexcept override;

  // Plugs the cable in or out; packets of an unplugged interface are dropped both ways. Any thread.
  void set_link(bool up) noexcept;
  // An interface on a stream, which may be lost, has this one. Any thread. Throws Error for a socket that is
  // none, or an interface of another kind.
  void reconnect(FileDescriptor socket);
  // Whether the wire or the back end is. Any thread.
  bool is_lost() const noexcept { return is_lost_.load(); }
  // The guest's place on the network has changed: a driver that can tells the others on it (§5.1.6.5.4). Any
  // thread.
  void announce() noexcept;

  NetState save() const noexcept;
  // A guest that goes on elsewhere announces itself. Throws Error for a state of another device.
  void restore(const NetState& state);
  void inspect(InspectNode& node) const override;

 private:
  class Pair;

  void starting() noexcept override;
  void stopping() noexcept override;
  bool serves(std::uint16_t queue) const noexcept override;
  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;

  Served serve_control() noexcept;
  bool control(Reader& command) noexcept;
  bool control_receive(std::uint8_t command, Reader& data) noexcept;
  bool control_mac(std::uint8_t command, Reader& data) noexcept;
  bool control_vlan(std::uint8_t command, Reader& data) noexcept;
  bool control_announce(std::uint8_t command) noexcept;
  bool control_pairs(std::uint8_t command, Reader& data) noexcept;
  bool control_scaling(Reader& data) noexcept;
  bool control_offloads(std::uint8_t command, Reader& data) noexcept;
  void change_filter(const ReceiveFilter& filter) noexcept;
  ReceiveFilter filter() const noexcept;

  std::uint64_t offered_features() const noexcept;
  bool accepted(std::uint64_t feature) const noexcept { return (accepted_features() & feature) != 0; }
  bool has_link() const noexcept { return link_up_.load(std::memory_order_relaxed) && !is_lost_.load(); }
  std::uint16_t control_queue() const noexcept;
  void apply_pairs() noexcept;
  bool apply_scaling() noexcept;
  bool apply_offloads() noexcept;
  void tell_configuration() noexcept;
  void wire_lost(Pair& pair) noexcept;
  enum class Role { pair, control, none };
  Role role_of(std::uint16_t queue) const noexcept;

  const NetOptions options_;
  NetCounters& counters_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  const std::unique_ptr<NetBackEnd> back_end_;
  const std::size_t count_;                  // of pairs
  const std::uint64_t offered_;              // features
  std::atomic<bool> is_handed_over_{false};  // the back end has the queues of pairs
  std::mutex link_mutex_;  // whoever changes link_up_ tells the back end before another does
  std::atomic<bool> link_up_;
  std::atomic<bool> is_lost_{false};  // the back end, or the wire
  std::atomic<bool> announces_{false};
  std::atomic<std::uint16_t> pairs_in_use_{1};
  std::atomic<std::uint64_t> offloads_{~std::uint64_t{0}};
  std::optional<ReceiveScaling> scaling_;  // the first thread's; read by others while it is paused
  mutable std::mutex filter_mutex_;        // of filter_, which each pair has a copy of
  ReceiveFilter filter_;
  std::atomic<std::uint32_t> filter_version_{0};
};

}  // namespace warren::vmm::virtio
