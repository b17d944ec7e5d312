#include "vmm-core/virtio/served_device.h"

#include <algorithm>
#include <cstring>

#include <sys/epoll.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {

void read_bytes(std::span<const std::byte> configuration, std::uint64_t offset,
                std::span<std::byte> data) noexcept {
  std::ranges::fill(data, std::byte{0});
  if (offset >= configuration.size()) return;
  const std::size_t size = std::min<std::size_t>(data.size(), configuration.size() - offset);
  std::memcpy(data.data(), configuration.data() + offset, size);
}

// All of it is the queue's thread's.
class ServedDevice::Bell final : public EventHandler, public Polled {
 public:
  Bell(ServedDevice& device, std::uint16_t queue) : device_(device), queue_(queue) {}

  void start(EventThread& thread) {
    waits_ = false;
    thread.add(device_.doorbells_[queue_], EPOLLIN, *this);
    try {
      if (device_.polling_ == Polling::yes) thread.add(static_cast<Polled&>(*this));
    } catch (...) {
      thread.remove(device_.doorbells_[queue_]);
      throw;
    }
  }
  void stop(EventThread& thread) noexcept {
    thread.remove(device_.doorbells_[queue_]);
    thread.remove(static_cast<Polled&>(*this));
    is_polled_ = false;
  }
  bool is_polled() const noexcept { return is_polled_; }
  // Something else than a chain that comes gets the queue on.
  void set_waiting(bool waits) noexcept { waits_ = waits; }

  void on_event(std::uint32_t) noexcept override {
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t got = ::read(device_.doorbells_[queue_], &rings, sizeof(rings));
    device_.work(queue_);
  }

  void polling_begins() noexcept override {
    is_polled_ = true;
    device_.queue(queue_).disable_notifications();
  }
  bool poll() noexcept override {
    Queue& queue = device_.queue(queue_);
    if (waits_ || queue.broken() || !queue.has_more()) return false;
    device_.work(queue_);
    return true;
  }
  void polling_ends() noexcept override {
    is_polled_ = false;
    if (!waits_ && device_.queue(queue_).enable_notifications()) device_.work(queue_);
  }

 private:
  ServedDevice& device_;
  const std::uint16_t queue_;
  bool is_polled_ = false, waits_ = false;
};

ServedDevice::ServedDevice(std::string name, std::vector<EventThread*> threads, Polling polling)
    : name_(std::move(name)), threads_(std::move(threads)), polling_(polling) {}

ServedDevice::~ServedDevice() = default;

void ServedDevice::activate(const Activation& activation) {
  queues_.assign(activation.queues.begin(), activation.queues.end());
  doorbells_.assign(activation.doorbells.begin(), activation.doorbells.end());
  running_.assign(queues_.size(), 0);
  while (bells_.size() < queues_.size()) {
    bells_.push_back(std::make_unique<Bell>(*this, static_cast<std::uint16_t>(bells_.size())));
  }
  features_ = activation.features;
  host_.store(activation.host, std::memory_order_release);
  active_ = true;
  if (!paused_) start();
}

void ServedDevice::deactivate() noexcept {
  if (!active_) return;
  if (!paused_) stop();
  active_ = false;
  queues_.clear();
}

void ServedDevice::pause() noexcept {
  if (active_ && !paused_) stop();
  paused_ = true;
}

void ServedDevice::resume() noexcept {
  if (active_ && paused_) start();
  paused_ = false;
}

void ServedDevice::start() noexcept {
  starting();
  for (std::uint16_t i = 0; i < queues_.size(); ++i) {
    if (!queues_[i]->active() || !serves(i)) continue;
    thread_of(i).run([this, i] {
      try {
        bells_[i]->start(thread_of(i));
      } catch (const Error&) {
        // The host has no memory to wait for one more descriptor: the driver learns that the device is lost.
        host()->request_reset();
        return;
      }
      running_[i] = 1;
      started(i);
      work(i);  // what was made available before
    });
  }
}

void ServedDevice::stop() noexcept {
  for (std::uint16_t i = 0; i < queues_.size(); ++i) {
    thread_of(i).run([this, i] {
      if (!running_[i]) return;
      bells_[i]->stop(thread_of(i));
      stopped(i);
      running_[i] = 0;
      signal(i);
    });
  }
  stopping();
}

void ServedDevice::work(std::uint16_t index) noexcept {
  constexpr unsigned kMostRounds = 16;
  Queue& served = *queues_[index];
  unsigned rounds = 0;
  do {
    served.disable_notifications();
    Served result = serve(index);
    signal(index);
    // A driver that refills as fast as it is served does not keep the thread (class T8).
    if (result == Served::all && ++rounds == kMostRounds) result = Served::more;
    if (result == Served::more) {
      const std::uint64_t one = 1;
      // Its own doorbell, behind the events that are waiting already. A full counter rings too.
      [[maybe_unused]] const ssize_t written = ::write(doorbells_[index], &one, sizeof(one));
    }
    bells_[index]->set_waiting(result == Served::waiting);
    if (result != Served::all || bells_[index]->is_polled()) break;
  } while (served.enable_notifications());
  if (served.broken()) host()->request_reset();
}

void ServedDevice::signal(std::uint16_t index) noexcept {
  if (queues_[index]->take_interrupt()) host()->signal_queue(index);
}

void ServedDevice::inspect(InspectNode& node) const {
  node.add("active", active_);
  node.add("features", features_);
  // The queues belong to their threads; each is looked at there.
  for (std::uint16_t i = 0; active_ && i < queues_.size(); ++i) {
    if (!queues_[i]->active()) continue;
    InspectNode& child = node.child("queue" + std::to_string(i));
    threads_[i % threads_.size()]->run([this, i, &child] { queues_[i]->inspect(child); });
  }
}

}  // namespace warren::vmm::virtio
