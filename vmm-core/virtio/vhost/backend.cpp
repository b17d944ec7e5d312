#include "vmm-core/virtio/vhost/backend.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/vhost_interface.h"
#include "vmm-core/virtio/ring_layout.h"

namespace warren::vmm::virtio::vhost {
namespace {

// What the transport offers with every device (§6).
constexpr std::uint64_t kQueueFeatures = kFeatureIndirect | kFeatureEventIndex | kFeatureVersion1;
constexpr std::uint64_t kDeviceFeatures = ((std::uint64_t{1} << 24) - 1) | ~((std::uint64_t{1} << 50) - 1);
constexpr std::uint64_t kAvailableIndex = 2;  // in the available ring (§2.7.6)
constexpr std::uint64_t kUsedIndex = 2;       // in the used ring (§2.7.8)

class SystemKernel final : public Peer {
 public:
  explicit SystemKernel(FileDescriptor device) : device_(std::move(device)) {}
  int request(unsigned long number, void* argument) noexcept override {
    for (;;) {
      if (::ioctl(device_.get(), number, argument) >= 0) return 0;
      if (errno != EINTR) return errno;
    }
  }

 private:
  FileDescriptor device_;
};

}  // namespace

std::unique_ptr<Peer> kernel_of(FileDescriptor device) {
  return std::make_unique<SystemKernel>(std::move(device));
}

class Backend::Signal final : public EventHandler {
 public:
  // Of a queue, or of none: damage.
  Signal(Backend& backend, int queue)
      : event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), backend_(backend), queue_(queue) {
    if (!event) throw_errno(backend.name_ + ": eventfd");
  }
  void on_event(std::uint32_t) noexcept override { raise_if_due(); }

  void raise_if_due() noexcept {
    std::uint64_t count = 0;
    const iovec whole{.iov_base = &count, .iov_len = sizeof(count)};
    // A peer that is another program has the same open file, and may make it one that waits.
    if (::preadv2(event.get(), &whole, 1, -1, RWF_NOWAIT) != sizeof(count) || backend_.host_ == nullptr)
      return;
    if (queue_ < 0) return backend_.host_->request_reset();
    backend_.host_->signal_queue(static_cast<std::uint16_t>(queue_));
  }

  const FileDescriptor event;

 private:
  Backend& backend_;
  const int queue_;
};

Backend::Backend(std::string name, std::unique_ptr<Peer> peer, GuestMemory& memory, EventThread& thread)
    : name_(std::move(name)), peer_(std::move(peer)), memory_(memory), thread_(thread) {
  require(VHOST_SET_OWNER, nullptr, "VHOST_SET_OWNER");
  require(VHOST_GET_FEATURES, &peer_features_, "VHOST_GET_FEATURES");
  if ((peer_features_ & kQueueFeatures) != kQueueFeatures) {
    throw Error(std::errc::not_supported,
                name_ + ": who serves it (vhost) lacks indirect descriptors, event indexes or virtio 1");
  }
}

Backend::~Backend() {
  take();
}

std::uint64_t Backend::features() const noexcept {
  return peer_features_ & kDeviceFeatures;
}

void Backend::require(unsigned long number, void* argument, const char* request_name) {
  if (const int failed = peer_->request(number, argument); failed != 0)
    throw Error::from_errno(failed, name_ + ": " + request_name);
}

void Backend::give(const Activation& activation, std::uint16_t count) {
  if (signals_.size() != count + std::size_t{1}) signals_.clear();
  while (signals_.size() <= count) {
    const int next = static_cast<int>(signals_.size());
    signals_.push_back(std::make_unique<Signal>(*this, next == count ? -1 : next));
  }
  host_ = activation.host;
  queues_ = activation.queues.first(count);
  try {
    listen();
    std::uint64_t features = activation.features & peer_features_;
    require(VHOST_SET_FEATURES, &features, "VHOST_SET_FEATURES");
    set_memory_table();
    for (std::uint16_t i = 0; i < count; ++i) set_ring(i, *queues_[i], activation.doorbells[i]);
  } catch (...) {
    listen_no_more();
    queues_ = {};
    throw;
  }
}

void Backend::set_memory_table() {
  const auto regions = memory_.regions();
  std::vector<std::byte> bytes(sizeof(vhost_memory) + regions.size() * sizeof(vhost_memory_region));
  const auto count = static_cast<std::uint32_t>(regions.size());
  std::memcpy(bytes.data() + offsetof(vhost_memory, nregions), &count, sizeof(count));
  for (std::size_t i = 0; i < regions.size(); ++i) {
    vhost_memory_region region{};
    region.guest_phys_addr = regions[i].start.value;
    region.memory_size = regions[i].size;
    region.userspace_addr = reinterpret_cast<std::uintptr_t>(regions[i].host);  // for the kernel to follow
    std::memcpy(bytes.data() + offsetof(vhost_memory, regions) + i * sizeof(region), &region, sizeof(region));
  }
  require(VHOST_SET_MEM_TABLE, bytes.data(), "VHOST_SET_MEM_TABLE");
}

std::uint64_t Backend::host_address(GuestAddress address, std::uint64_t size, const char* what) {
  std::vector<iovec> whole;
  whole.reserve(1);
  // The kernel wants each of a ring's parts in one piece.
  if (!memory_.slices(address, size, whole, 1) || whole.size() != 1)
    throw Error(std::errc::bad_address, name_ + ": " + what + " of a queue is in no one piece of RAM");
  return reinterpret_cast<std::uintptr_t>(whole.front().iov_base);  // for the kernel to follow
}

void Backend::set_ring(std::uint16_t index, const Queue& queue, int doorbell) {
  const QueueConfiguration& rings = queue.configuration();
  vhost_vring_state size{.index = index, .num = rings.size};
  require(VHOST_SET_VRING_NUM, &size, "VHOST_SET_VRING_NUM");
  vhost_vring_state base{.index = index, .num = queue.position().next_available};
  require(VHOST_SET_VRING_BASE, &base, "VHOST_SET_VRING_BASE");
  vhost_vring_addr places{};
  places.index = index;
  places.desc_user_addr =
      host_address(rings.descriptors, descriptor_table_size(rings.size), "the descriptor table");
  places.avail_user_addr = host_address(rings.driver, avail_ring_size(rings.size), "the available ring");
  places.used_user_addr = host_address(rings.device, used_ring_size(rings.size), "the used ring");
  require(VHOST_SET_VRING_ADDR, &places, "VHOST_SET_VRING_ADDR");
  vhost_vring_file damage{.index = index, .fd = signals_.back()->event.get()};
  require(VHOST_SET_VRING_ERR, &damage, "VHOST_SET_VRING_ERR");
  vhost_vring_file call{.index = index, .fd = signals_[index]->event.get()};
  require(VHOST_SET_VRING_CALL, &call, "VHOST_SET_VRING_CALL");
  // Last: a doorbell that has rung is answered from here on.
  vhost_vring_file kick{.index = index, .fd = doorbell};
  require(VHOST_SET_VRING_KICK, &kick, "VHOST_SET_VRING_KICK");
}

void Backend::listen() {
  bool listens = true;
  thread_.run([&] {
    try {
      for (const auto& signal : signals_) thread_.add(signal->event.get(), EPOLLIN, *signal);
    } catch (const Error&) {
      listens = false;
    }
  });
  if (!listens) throw Error(std::errc::not_enough_memory, name_ + ": wait for the kernel's signals");
}

void Backend::listen_no_more() noexcept {
  thread_.run([this] {
    for (const auto& signal : signals_) thread_.remove(signal->event.get());
  });
}

bool Backend::is_quiet() const noexcept {
  return std::ranges::all_of(queues_, [this](const Queue* queue) {
    const QueueConfiguration rings = queue->configuration();
    return memory_.load_acquire_u16({rings.driver.value + kAvailableIndex}) ==
           memory_.load_acquire_u16({rings.device.value + kUsedIndex});
  });
}

void Backend::take() noexcept {
  if (queues_.empty()) return;
  listen_no_more();
  for (std::uint16_t i = 0; i < queues_.size(); ++i) take_ring(i);
  raise_due();
  queues_ = {};
}

void Backend::take_ring(std::uint16_t index) noexcept {
  vhost_vring_file none{.index = index, .fd = VHOST_FILE_UNBIND};
  (void)peer_->request(VHOST_SET_VRING_KICK, &none);
  (void)peer_->request(VHOST_SET_VRING_CALL, &none);
  (void)peer_->request(VHOST_SET_VRING_ERR, &none);
  vhost_vring_state base{.index = index, .num = 0};
  Queue& queue = *queues_[index];
  const QueueConfiguration rings = queue.configuration();
  QueuePosition position = queue.position();
  // Where the kernel will not say, it is where it began: its driver has to reset it in any case.
  if (peer_->request(VHOST_GET_VRING_BASE, &base) == 0) {
    position.next_available = static_cast<std::uint16_t>(base.num);
    position.next_used =
        memory_.load_acquire_u16({rings.device.value + kUsedIndex}).value_or(position.next_used);
  }
  // Its rings were RAM when it was handed over, and are.
  if (queue.active() && !queue.activate(rings, position)) host_->request_reset();
}

void Backend::raise_due() noexcept {
  thread_.run([this] {
    for (const auto& signal : signals_) signal->raise_if_due();
  });
}

}  // namespace warren::vmm::virtio::vhost
