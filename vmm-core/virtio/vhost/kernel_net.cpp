#include "vmm-core/virtio/vhost/kernel_net.h"

#include <algorithm>

#include "vmm-core/os/error.h"
#include "vmm-core/os/vhost_interface.h"
#include "vmm-core/virtio/net_layout.h"

namespace warren::vmm::virtio::vhost {

using namespace net_layout;

// Two queues of the device, which to the kernel are the first and the second of one of its own.
class KernelNet::Pair final : private DeviceHost {
 public:
  Pair(const std::string& name, std::unique_ptr<Peer> peer, int tap, GuestMemory& memory, EventThread& thread)
      : backend_(name, std::move(peer), memory, thread), tap_(tap) {}

  std::uint64_t features() const noexcept { return backend_.features(); }
  bool is_running() const noexcept { return is_running_; }

  void give(const Activation& activation, std::size_t first, bool link_up) {
    host_ = activation.host;
    first_ = static_cast<std::uint16_t>(first);
    Activation ours = activation;
    ours.queues = activation.queues.subspan(first, kQueues);
    ours.doorbells = activation.doorbells.subspan(first, kQueues);
    ours.host = this;
    backend_.give(ours, kQueues);
    is_running_ = true;
    if (link_up) attach();
  }
  void take() noexcept {
    if (!is_running_) return;
    detach();
    backend_.take();
    is_running_ = false;
  }
  // Without a tap the kernel lets both queues be: of what is sent nothing is taken, and nothing comes.
  void attach() {
    for (unsigned ring = 0; ring < kQueues; ++ring) {
      vhost_vring_file socket{.index = ring, .fd = tap_};
      backend_.require(VHOST_NET_SET_BACKEND, &socket, "VHOST_NET_SET_BACKEND");
    }
  }
  void detach() noexcept {
    for (unsigned ring = 0; ring < kQueues; ++ring) {
      vhost_vring_file none{.index = ring, .fd = VHOST_FILE_UNBIND};
      (void)backend_.request(VHOST_NET_SET_BACKEND, &none);
    }
  }
  DeviceHost* host() noexcept { return host_; }

 private:
  static constexpr std::uint16_t kQueues = 2;

  void signal_queue(std::uint16_t queue) noexcept override {
    host_->signal_queue(static_cast<std::uint16_t>(first_ + queue));
  }
  void signal_configuration() noexcept override { host_->signal_configuration(); }
  void request_reset() noexcept override { host_->request_reset(); }

  Backend backend_;
  const int tap_;
  DeviceHost* host_ = nullptr;
  std::uint16_t first_ = 0;
  bool is_running_ = false;
};

KernelNet::KernelNet(const std::string& name, std::vector<std::unique_ptr<Peer>> peers, std::vector<int> taps,
                     GuestMemory& memory, EventThread& thread, Report report)
    : thread_(thread), report_(std::move(report)) {
  if (peers.size() != taps.size())
    throw Error(std::errc::invalid_argument, name + ": vhost-net: not one for each tap");
  for (std::size_t i = 0; i < peers.size(); ++i)
    pairs_.push_back(
        std::make_unique<Pair>(name + ": vhost-net", std::move(peers[i]), taps[i], memory, thread));
}

KernelNet::~KernelNet() {
  stop();
}

std::uint64_t KernelNet::features() const noexcept {
  std::uint64_t features = ~(kControlReceive | kControlReceiveExtra | kControlVlan);
  const bool merges =
      std::ranges::all_of(pairs_, [](const auto& pair) { return (pair->features() & kMergeable) != 0; });
  return merges ? features : features & ~kMergeable;
}

bool KernelNet::start(const Activation& activation, std::uint16_t pairs, bool link_up) noexcept {
  bool given = false;
  thread_.run([&] {
    std::string why;
    try {
      give_all(activation, pairs, link_up);
      given = true;
      return;
    } catch (const std::exception& error) {
      why = error.what();
    }
    take_all();
    if (is_told_ || !report_) return;
    is_told_ = true;
    report_(why);
  });
  return given;
}

// A driver that has made one queue of a pair has no use of it.
void KernelNet::give_all(const Activation& activation, std::uint16_t pairs, bool link_up) {
  for (std::size_t i = 0; i < std::min<std::size_t>(pairs, pairs_.size()); ++i) {
    if (!activation.queues[2 * i]->active() || !activation.queues[2 * i + 1]->active()) continue;
    pairs_[i]->give(activation, 2 * i, link_up);
    ++running_;
  }
}

void KernelNet::take_all() noexcept {
  for (const auto& pair : pairs_) pair->take();
  running_.store(0);
}

void KernelNet::stop() noexcept {
  thread_.run([this] { take_all(); });
}

void KernelNet::set_link(bool up) noexcept {
  thread_.run([this, up] {
    for (const auto& pair : pairs_) {
      if (!pair->is_running()) continue;
      if (!up) {
        pair->detach();
        continue;
      }
      try {
        pair->attach();
      } catch (const std::exception& error) {
        // The driver begins anew, and then either the kernel has it or the worker.
        if (report_) report_(error.what());
        pair->host()->request_reset();
      }
    }
  });
}

void KernelNet::inspect(InspectNode& node) const {
  node.add("kind", "vhost-net");
  node.add("running_pairs", std::uint64_t{running_.load()});
}

}  // namespace warren::vmm::virtio::vhost
