// A virtio block device (virtio 1.2 §5.2) that another program serves over vhost-user.
//
// The back end is trusted with what it is handed, the guest's memory and the disk's data, and with nothing
// more: what it says of the disk is checked before the guest sees it, every answer has a deadline, and one
// that dies, lies or is late loses the connection. Then the guest's requests stay as they are, the driver is
// told that the device needs a reset, `lost` says why, and the machine goes on. A connection that was lost
// does not come back. One that refuses a queue or the memory stays, and the next reset tries again; of that
// `lost` tells as well.
//
// All that is the device's own happens on `thread`, for which the transport's calls wait.
//
// DEVNOTE: of the features, those are offered that need no more of us than to be passed on. The cache mode is
// not the guest's to change (VIRTIO_BLK_F_CONFIG_WCE), and the size stays what it was at first.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "vmm-core/virtio/device.h"
#include "vmm-core/virtio/vhost/backend.h"
#include "vmm-core/virtio/vhost/user_peer.h"

namespace warren::vmm::virtio::vhost {

// Device configuration (§5.2.4), as far as the features that are offered use it.
struct [[gnu::packed]] UserBlockConfiguration {
  std::uint64_t capacity;  // in sectors of 512 bytes
  std::uint32_t size_maximum, segment_maximum;
  std::uint16_t cylinders;
  std::uint8_t heads, sectors;
  std::uint32_t block_size;
  std::uint8_t physical_exponent, alignment_offset;
  std::uint16_t minimum_io;
  std::uint32_t optimal_io;
  std::uint8_t writeback, unused0;
  std::uint16_t queues;
  std::uint32_t maximum_discard_sectors, maximum_discard_segments, discard_alignment;
  std::uint32_t maximum_zero_sectors, maximum_zero_segments;
  std::uint8_t zero_may_unmap;
  std::uint8_t unused1[3];
};
static_assert(sizeof(UserBlockConfiguration) == 60);

struct UserBlockOptions {
  std::uint16_t queues = 1;
  std::uint16_t queue_size = 256;
  std::chrono::milliseconds patience{5000};  // with all that is asked of the back end at a time
  std::chrono::milliseconds settling{1000};  // for requests in flight to end before the queues are taken back
  // On the device's thread: nobody serves the disk any more, for this errno. Once when the connection is over
  // (user_channel.h), and once when the queues could not be handed over, until they were again.
  std::function<void(int error)> lost = {};
};

// Throws Error when the back end of the disk `name` cannot be told of so many regions of memory.
void require_memory_fits(const std::string& name, std::size_t regions);

class UserBlock final : public Device, private EventHandler {
 public:
  // `socket` is connected to the back end. `memory` and `thread` outlive it. Throws Error naming what the
  // back end does not do, or says of its disk that no guest can use.
  UserBlock(std::string name, FileDescriptor socket, UserBlockOptions options, GuestMemory& memory,
            EventThread& thread);
  ~UserBlock() override;

  DeviceType type() const noexcept override { return DeviceType::block; }
  std::uint64_t features() const noexcept override { return features_; }
  bool offers_packed() const noexcept override { return false; }
  std::uint16_t queue_count() const noexcept override { return options_.queues; }
  std::uint16_t queue_size() const noexcept override { return options_.queue_size; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}

  void activate(const Activation& activation) override;
  void deactivate() noexcept override;
  void pause() noexcept override;
  void resume() noexcept override;
  void inspect(InspectNode& node) const override;

 private:
  void on_event(std::uint32_t events) noexcept override;
  void settle();
  // What it throws has been told of.
  void start();
  void hand_over(std::uint16_t count);
  void stop() noexcept;
  void wait_until_quiet() noexcept;
  void take_back() noexcept;
  void notice_loss() noexcept;
  void tell_refusal(const std::exception& why) noexcept;

  const std::string name_;
  const UserBlockOptions options_;
  EventThread& thread_;
  UserPeer* peer_ = nullptr;  // of backend_
  std::unique_ptr<Backend> backend_;
  std::uint64_t features_ = 0;
  UserBlockConfiguration configuration_{};
  Activation activation_;
  bool active_ = false, paused_ = false;
  bool is_refused_ = false;    // and told of
  std::uint16_t running_ = 0;  // as many queues are the back end's
  int watched_ = -1;           // the connection's descriptor
};

}  // namespace warren::vmm::virtio::vhost
