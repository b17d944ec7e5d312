// A device whose queues are served by event threads: what block, net, console and rng share.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/os/event_thread.h"
#include "vmm-core/virtio/device.h"

namespace warren::vmm::virtio {

class ServedDevice : public Device {
 public:
  // Whether queues are looked at before their thread sleeps: of devices that answer sooner than a doorbell
  // comes, and so are asked again.
  enum class Polling : bool { no, yes };

  // One thread for each queue, or fewer, shared in turn; at least one. They outlive the device.
  ServedDevice(std::string name, std::vector<EventThread*> threads, Polling polling = Polling::no);
  ~ServedDevice() override;

  void activate(const Activation& activation) final;
  void deactivate() noexcept override;
  void pause() noexcept final;
  void resume() noexcept final;
  void inspect(InspectNode& node) const override;
  const std::string& name() const noexcept { return name_; }

 protected:
  enum class Served {
    all,      // every chain there is was looked at: nothing but another one gets on
    waiting,  // something else than a doorbell continues, and doorbells are not needed before
    more,     // had its share of the thread; goes on when others had theirs
  };
  // How many chains are served before others on the thread have their turn.
  static constexpr unsigned kShare = 256;

  // The doorbell of `queue` rang. On its thread; the queue is active.
  virtual Served serve(std::uint16_t queue) noexcept = 0;
  // Before the first queue is served and after the last: for a device some of whose queues others serve. On
  // the transport's thread.
  virtual void starting() noexcept {}
  virtual void stopping() noexcept {}
  // Whether the queue is served here. Asked between the two.
  virtual bool serves(std::uint16_t) const noexcept { return true; }
  // On the queue's thread: its service begins, or ends. After stopped() nothing may touch the queue.
  virtual void started(std::uint16_t) noexcept {}
  virtual void stopped(std::uint16_t) noexcept {}

  // Serves until there is nothing left or to be done now, and interrupts as the driver wants. On the
  // queue's thread.
  void work(std::uint16_t queue) noexcept;
  // Interrupts for what was returned so far.
  void signal(std::uint16_t queue) noexcept;

  Queue& queue(std::uint16_t index) noexcept { return *queues_[index]; }
  bool is_running(std::uint16_t index) const noexcept { return index < running_.size() && running_[index]; }
  EventThread& thread_of(std::uint16_t queue) noexcept { return *threads_[queue % threads_.size()]; }
  std::uint64_t accepted_features() const noexcept { return features_; }
  DeviceHost* host() noexcept { return host_.load(std::memory_order_acquire); }
  // As the transport gave it.
  Activation activation() noexcept { return {features_, queues_, doorbells_, host()}; }

 private:
  class Bell;

  void start() noexcept;
  void stop() noexcept;

  const std::string name_;
  const std::vector<EventThread*> threads_;
  const Polling polling_;
  std::vector<std::unique_ptr<Bell>> bells_;
  std::vector<Queue*> queues_;
  std::vector<int> doorbells_;
  std::vector<char> running_;  // by queue; each written on its own thread
  std::uint64_t features_ = 0;
  std::atomic<DeviceHost*> host_{nullptr};
  bool active_ = false;
  bool paused_ = false;
};

}  // namespace warren::vmm::virtio
