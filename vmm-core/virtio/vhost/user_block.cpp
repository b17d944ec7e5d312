#include "vmm-core/virtio/vhost/user_block.h"

#include <cerrno>
#include <exception>
#include <thread>

#include <sys/epoll.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/vhost_interface.h"

namespace warren::vmm::virtio::vhost {
namespace {

// Features (§5.2.3).
constexpr std::uint64_t kSizeMaximum = 1 << 1, kSegmentMaximum = 1 << 2, kGeometry = 1 << 4,
                        kReadOnly = 1 << 5, kBlockSize = 1 << 6, kFlush = 1 << 9, kTopology = 1 << 10,
                        kMultiQueue = 1 << 12, kDiscard = 1 << 13, kWriteZeroes = 1 << 14;
constexpr std::uint64_t kPassedOn = kSizeMaximum | kSegmentMaximum | kGeometry | kReadOnly | kBlockSize |
                                    kFlush | kTopology | kDiscard | kWriteZeroes;
constexpr std::uint64_t kLargestDisk = std::uint64_t{1} << 54;  // in sectors: 2^63 bytes
constexpr std::uint32_t kSmallestBlock = 512, kLargestBlock = 1u << 21;
constexpr unsigned kLargestExponent = 21 - 9;

bool is_power_of_two(std::uint32_t value) noexcept {
  return value != 0 && (value & (value - 1)) == 0;
}

// What of the configuration no driver can live with; null when all is well.
const char* defect_of(const UserBlockConfiguration& told, std::uint64_t features) noexcept {
  if (told.capacity > kLargestDisk) return "a capacity beyond 2^63 bytes";
  if ((features & kSizeMaximum) != 0 && told.size_maximum < kSmallestBlock)
    return "segments that hold no block";
  if ((features & kSegmentMaximum) != 0 && told.segment_maximum == 0) return "requests without segments";
  if ((features & kBlockSize) != 0 && (!is_power_of_two(told.block_size) ||
                                       told.block_size < kSmallestBlock || told.block_size > kLargestBlock))
    return "blocks whose size is no power of two from 512 bytes to 2 MiB";
  if ((features & kTopology) != 0 && told.physical_exponent > kLargestExponent)
    return "physical blocks of more than 2 MiB";
  if ((features & kDiscard) != 0 && (told.maximum_discard_sectors == 0 || told.maximum_discard_segments == 0))
    return "discards of nothing";
  if ((features & kWriteZeroes) != 0 && (told.maximum_zero_sectors == 0 || told.maximum_zero_segments == 0))
    return "zeroing of nothing";
  return nullptr;
}

}  // namespace

void require_memory_fits(const std::string& name, std::size_t regions) {
  if (regions <= kUserMemoryRegions) return;
  throw Error(std::errc::argument_list_too_long,
              name + ": vhost-user: a back end takes " + std::to_string(kUserMemoryRegions) +
                  " pieces of guest memory, and these would be " + std::to_string(regions) +
                  " (fewer memory devices, or the device without vhost-user)");
}

UserBlock::UserBlock(std::string name, FileDescriptor socket, UserBlockOptions options, GuestMemory& memory,
                     EventThread& thread)
    : name_(std::move(name)), options_(std::move(options)), thread_(thread) {
  require_memory_fits(name_, memory.regions().size());
  auto peer = std::make_unique<UserPeer>(name_, std::move(socket), memory, options_.patience);
  peer_ = peer.get();
  backend_ = std::make_unique<Backend>(name_, std::move(peer), memory, thread);
  settle();
  bool watches = true;
  thread_.run([&] {
    try {
      thread_.add(peer_->channel().descriptor(), EPOLLIN, *this);
      watched_ = peer_->channel().descriptor();
    } catch (const Error&) {
      watches = false;
    }
  });
  if (!watches) throw Error(std::errc::not_enough_memory, name_ + ": wait for the back end");
}

// What the guest is told of the disk.
void UserBlock::settle() {
  const int failed = peer_->read_configuration(std::as_writable_bytes(std::span(&configuration_, 1)));
  if (failed != 0) throw Error::from_errno(failed, name_ + ": vhost-user: ask the back end for its disk");
  features_ = backend_->features() & kPassedOn;
  // qemu-storage-daemon offers a limit of 0, and means none.
  if (configuration_.size_maximum == 0) features_ &= ~kSizeMaximum;
  if (const char* defect = defect_of(configuration_, features_))
    throw Error(std::errc::protocol_error, name_ + ": vhost-user: the back end's disk has " + defect);
  if (options_.queues > 1) {
    const bool can = (backend_->features() & kMultiQueue) != 0;
    if (!can || peer_->queue_count() < options_.queues || configuration_.queues < options_.queues) {
      throw Error(std::errc::not_supported, name_ + ": vhost-user: the back end has fewer than " +
                                                std::to_string(options_.queues) + " queues");
    }
    features_ |= kMultiQueue;
  }
  configuration_.queues = options_.queues;
}

UserBlock::~UserBlock() {
  thread_.run([this] {
    stop();
    if (watched_ >= 0) thread_.remove(watched_);
  });
}

void UserBlock::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  read_bytes(std::as_bytes(std::span(&configuration_, 1)), offset, data);
}

void UserBlock::activate(const Activation& activation) {
  std::exception_ptr failed;
  thread_.run([&] {
    activation_ = activation;
    active_ = true;
    if (paused_) return;
    try {
      start();
    } catch (...) {
      failed = std::current_exception();
      active_ = false;
    }
  });
  if (failed) std::rethrow_exception(failed);
}

void UserBlock::deactivate() noexcept {
  thread_.run([this] {
    stop();
    active_ = false;
  });
}

void UserBlock::pause() noexcept {
  thread_.run([this] {
    stop();
    paused_ = true;
  });
}

void UserBlock::resume() noexcept {
  thread_.run([this] {
    paused_ = false;
    if (!active_ || running_ != 0) return;
    try {
      start();
    } catch (const std::exception&) {
      active_ = false;
      activation_.host->request_reset();
      return;
    }
    // What was completed while nobody listened.
    for (std::uint16_t i = 0; i < running_; ++i) activation_.host->signal_queue(i);
  });
}

// The queues that the driver has made, as they come (§5.2.2).
void UserBlock::start() {
  if (const int failure = peer_->channel().failure(); failure != 0)
    throw Error::from_errno(failure, name_ + ": vhost-user: there is no back end any more");
  std::uint16_t count = 0;
  while (count < activation_.queues.size() && activation_.queues[count]->active()) ++count;
  if (count == 0) return;
  peer_->channel().allow(options_.patience);
  try {
    hand_over(count);
    is_refused_ = false;
  } catch (const std::exception& why) {
    // Some of them may be the back end's already.
    for (std::uint16_t i = 0; i < count; ++i) {
      vhost_vring_state base{.index = i, .num = 0};
      (void)peer_->request(VHOST_GET_VRING_BASE, &base);
    }
    take_back();
    tell_refusal(why);
    throw;
  }
}

void UserBlock::hand_over(std::uint16_t count) {
  backend_->give(activation_, count);
  running_ = count;
  for (std::uint16_t i = 0; i < count; ++i) {
    if (const int failed = peer_->enable(i); failed != 0)
      throw Error::from_errno(failed, name_ + ": vhost-user: enable a queue");
  }
}

// Not of a loss, which take_back() has told of, nor of what the guest itself did wrong, who could do it all
// the time.
void UserBlock::tell_refusal(const std::exception& why) noexcept {
  const auto* const error = dynamic_cast<const Error*>(&why);
  const std::errc code = error == nullptr ? std::errc::not_enough_memory : error->code();
  if (peer_->channel().failure() != 0 || code == std::errc::bad_address || is_refused_) return;
  is_refused_ = true;
  if (options_.lost) options_.lost(static_cast<int>(code));
}

// The protocol lets requests in flight end after their ring was taken back. qemu-storage-daemon 7.2 serves
// the device no more when one does.
void UserBlock::wait_until_quiet() noexcept {
  const auto end = std::chrono::steady_clock::now() + options_.settling;
  while (!backend_->is_quiet() && peer_->channel().look() == 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
}

void UserBlock::stop() noexcept {
  if (running_ == 0) return;
  wait_until_quiet();
  peer_->channel().allow(options_.patience);
  take_back();
}

void UserBlock::take_back() noexcept {
  backend_->take();
  running_ = 0;
  notice_loss();
}

void UserBlock::on_event(std::uint32_t) noexcept {
  if (peer_->channel().look() != 0) notice_loss();
}

void UserBlock::notice_loss() noexcept {
  if (peer_->channel().failure() == 0 || watched_ < 0) return;
  // Its descriptor is closed already, and with it gone from those that are waited for.
  thread_.remove(watched_);
  watched_ = -1;
  if (active_) activation_.host->request_reset();
  if (options_.lost) options_.lost(peer_->channel().failure());
}

void UserBlock::inspect(InspectNode& node) const {
  thread_.run([&] {
    node.add("served_by", "vhost-user");
    node.add("connected", peer_->channel().failure() == 0);
    node.add("failure", static_cast<std::uint64_t>(peer_->channel().failure()));
    node.add("refused", is_refused_);
    node.add("active", active_);
    node.add("running_queues", std::uint64_t{running_});
    node.add("features", active_ ? activation_.features : 0);
    node.add("capacity_sectors", std::uint64_t{configuration_.capacity});
  });
}

}  // namespace warren::vmm::virtio::vhost
