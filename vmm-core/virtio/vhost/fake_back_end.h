// A vhost-user back end for tests, in a thread of its own, with a disk or a network that sends every packet
// back: sound by default, and whatever else a test wants. As another program would, it finds guest memory
// through the files it is sent.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/virtio/vhost/user_block.h"
#include "vmm-core/virtio/vhost/user_messages.h"

namespace warren::vmm::virtio::vhost {

// What is about to be answered.
struct UserReply {
  UserHeader header{};
  std::vector<std::byte> payload;
  bool is_silent = false;  // nothing is sent
  bool hangs_up = false;   // and the connection closed

  template <typename T>
  void set(const T& value, std::size_t offset = 0) {
    std::memcpy(payload.data() + offset, &value, sizeof(value));
  }
};

class FakeBackEnd {
 public:
  static constexpr std::uint64_t kSectors = 2048;
  static constexpr std::uint16_t kQueues = 4;

  // What it offers; for a test to change before it connects.
  struct Nature {
    std::uint64_t features = kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex |
                             kUserProtocolFeatures | std::uint64_t{1} << 26 | 1 << 2 | 1 << 6 | 1 << 9 |
                             1 << 11 | 1 << 12;
    std::uint64_t protocol_features = kUserMultiQueue | kUserReplyAck | kUserConfig | 1 << 5 | 1 << 12;
    UserBlockConfiguration configuration{};
    bool is_network = false;  // odd rings send, and the ring before each receives
    std::function<void(UserReply&)> twist = {};
  };

  explicit FakeBackEnd(Nature nature = sound());
  ~FakeBackEnd();
  static Nature sound();
  static Nature sound_network();

  // The front end's side.
  FileDescriptor connect() { return std::move(front_); }
  // From now on; with its thread in between two messages.
  void set_twist(std::function<void(UserReply&)> twist);
  // Something that nobody asked for.
  void say(std::span<const std::byte> bytes);
  void die();
  // Requests of the guest stay where they are.
  void hold(bool held) { held_.store(held); }

  std::vector<std::byte>& disk() noexcept { return disk_; }
  unsigned count(UserRequest request) const;
  std::uint64_t features() const noexcept { return features_.load(); }
  unsigned regions() const noexcept { return region_count_.load(); }
  bool is_running(std::size_t ring) const { return running_[ring].load(); }
  bool is_enabled(std::size_t ring) const {
    const std::lock_guard lock(mutex_);
    return rings_[ring].enabled;
  }
  unsigned served() const noexcept { return served_.load(); }
  // Of an interrupt that comes without a request, and a ring that is damaged.
  void ring_call(std::size_t ring);
  void ring_damage(std::size_t ring);
  // What it was sent of a ring waits from now on, for the front end as well.
  void make_blocking(std::size_t ring);
  // The doorbell counts no further.
  void fill_doorbell(std::size_t ring);

 private:
  struct Region {
    UserMemoryRegion place{};
    std::byte* host = nullptr;
    void* mapping = nullptr;
    std::size_t mapped = 0;
  };
  struct Ring {
    std::uint32_t size = 0;
    std::uint16_t next = 0;
    std::uint64_t descriptors = 0, available = 0, used = 0;
    bool enabled = false;
    FileDescriptor kick, call, damage;
  };

  void serve();
  bool take_message();
  void handle(const UserHeader& header, std::span<const std::byte> payload,
              std::vector<FileDescriptor> files);
  void answer(UserReply& reply);
  void map_memory(std::span<const std::byte> payload, std::vector<FileDescriptor>& files);
  void unmap();
  void serve_ring(Ring& ring);
  using Parts = std::vector<std::pair<std::byte*, std::size_t>>;
  // Nothing: the chain stays where it is.
  std::optional<std::uint32_t> serve_packet(std::size_t ring, const Parts& parts);
  std::uint8_t do_request(std::span<const std::pair<std::byte*, std::size_t>> parts);
  std::byte* at_user(std::uint64_t address) const;
  std::byte* at_guest(std::uint64_t address) const;

  Nature nature_;
  FileDescriptor front_, back_, stop_;
  std::vector<std::byte> disk_ = std::vector<std::byte>(kSectors * 512);
  std::vector<Region> memory_;
  Ring rings_[kQueues];
  std::vector<std::byte> packet_;  // on its way back
  std::uint64_t protocol_features_ = 0;
  std::atomic<bool> held_{false}, running_[kQueues]{};
  std::atomic<std::uint64_t> features_{0};
  std::atomic<unsigned> region_count_{0}, served_{0};
  mutable std::mutex mutex_;
  std::vector<std::uint32_t> requests_;
  std::thread thread_;
};

}  // namespace warren::vmm::virtio::vhost
