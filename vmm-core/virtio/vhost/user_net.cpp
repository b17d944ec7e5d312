#include "vmm-core/virtio/vhost/user_net.h"

#include <algorithm>
#include <cerrno>

#include <sys/epoll.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/vhost_interface.h"
#include "vmm-core/virtio/net_layout.h"
#include "vmm-core/virtio/vhost/user_block.h"

namespace warren::vmm::virtio::vhost {
namespace {

using namespace net_layout;

// What of a back end's features is of use without more of us than to be passed on.
constexpr std::uint64_t kPassedOn = kChecksum | kGuestChecksum | kGuestTso4 | kGuestTso6 | kGuestEcn |
                                    kHostTso4 | kHostTso6 | kHostEcn | kMergeable | kGuestUso4 | kGuestUso6 |
                                    kHostUso | kMultiQueue;
// What is ours, whoever moves the packets.
constexpr std::uint64_t kOurs = kMac | kMtu | kStatus | kControlQueue | kControlMac | kGuestAnnounce;

}  // namespace

UserNet::UserNet(std::string name, FileDescriptor socket, UserNetOptions options, GuestMemory& memory,
                 EventThread& thread)
    : name_(std::move(name)), options_(std::move(options)), thread_(thread) {
  require_memory_fits(name_, memory.regions().size());
  auto peer = std::make_unique<UserPeer>(name_, std::move(socket), memory, options_.patience,
                                         UserPeer::Configuration::not_needed);
  peer_ = peer.get();
  backend_ = std::make_unique<Backend>(name_, std::move(peer), memory, thread);
  const bool has_pairs = options_.pairs == 1 || ((backend_->features() & kMultiQueue) != 0 &&
                                                 peer_->queue_count() >= options_.pairs);
  if (!has_pairs) {
    throw Error(std::errc::not_supported, name_ + ": vhost-user: the back end has fewer than " +
                                              std::to_string(options_.pairs) + " pairs of queues");
  }
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

UserNet::~UserNet() {
  stop();
  thread_.run([this] {
    if (watched_ >= 0) thread_.remove(watched_);
  });
}

std::uint64_t UserNet::features() const noexcept {
  return (backend_->features() & kPassedOn) | kOurs;
}

void UserNet::on_loss(std::function<void()> lost) {
  thread_.run([&] { lost_ = std::move(lost); });
}

bool UserNet::start(const Activation& activation, std::uint16_t pairs, bool link_up) noexcept {
  bool started = false;
  thread_.run([&] {
    link_up_ = link_up;
    if (peer_->channel().failure() != 0) return;
    std::uint16_t made = 0;  // as they come (§5.1.2)
    while (made < pairs && activation.queues[2u * made]->active() &&
           activation.queues[2u * made + 1]->active())
      ++made;
    if (made == 0) return;
    peer_->channel().allow(options_.patience);
    try {
      hand_over(activation, made);
      is_refused_ = false;
      started = true;
    } catch (const std::exception& why) {
      // Some of them may be the back end's already.
      for (std::uint16_t i = 0; i < 2 * made; ++i) {
        vhost_vring_state base{.index = i, .num = 0};
        (void)peer_->request(VHOST_GET_VRING_BASE, &base);
      }
      take_back();
      tell_refusal(why);
    }
  });
  return started;
}

void UserNet::hand_over(const Activation& activation, std::uint16_t pairs) {
  backend_->give(activation, static_cast<std::uint16_t>(2 * pairs));
  running_ = pairs;
  if (const int failed = apply_rings(); failed != 0)
    throw Error::from_errno(failed, name_ + ": vhost-user: enable a queue");
}

// A ring that is not enabled moves nothing: one the driver does not use, or without a cable.
int UserNet::apply_rings() noexcept {
  for (std::uint16_t ring = 0; ring < 2 * running_; ++ring)
    if (const int failed = peer_->enable(ring, link_up_ && ring < 2 * in_use_); failed != 0) return failed;
  return 0;
}

void UserNet::stop() noexcept {
  thread_.run([this] {
    if (running_ == 0) return;
    peer_->channel().allow(options_.patience);
    take_back();
  });
}

void UserNet::take_back() noexcept {
  backend_->take();
  running_ = 0;
  notice_loss();
}

void UserNet::set_link(bool up) noexcept {
  thread_.run([this, up] {
    link_up_ = up;
    if (running_ == 0) return;
    peer_->channel().allow(options_.patience);
    (void)apply_rings();
    notice_loss();
  });
}

void UserNet::set_pairs(std::uint16_t count) noexcept {
  thread_.run([this, count] {
    in_use_ = count;
    if (running_ == 0) return;
    peer_->channel().allow(options_.patience);
    (void)apply_rings();
    notice_loss();
  });
}

void UserNet::on_event(std::uint32_t) noexcept {
  if (peer_->channel().look() != 0) notice_loss();
}

void UserNet::notice_loss() noexcept {
  if (peer_->channel().failure() == 0 || watched_ < 0) return;
  // Its descriptor is closed already, and with it gone from those that are waited for.
  thread_.remove(watched_);
  watched_ = -1;
  if (lost_) lost_();
  if (options_.lost) options_.lost(peer_->channel().failure());
}

// As of a disk: not of a loss, nor of what the guest itself did wrong, who could do it all the time.
void UserNet::tell_refusal(const std::exception& why) noexcept {
  const auto* const error = dynamic_cast<const Error*>(&why);
  const std::errc code = error == nullptr ? std::errc::not_enough_memory : error->code();
  if (peer_->channel().failure() != 0 || code == std::errc::bad_address || is_refused_) return;
  is_refused_ = true;
  if (options_.lost) options_.lost(static_cast<int>(code));
}

void UserNet::inspect(InspectNode& node) const {
  thread_.run([&] {
    node.add("kind", "vhost-user");
    node.add("connected", peer_->channel().failure() == 0);
    node.add("failure", static_cast<std::uint64_t>(peer_->channel().failure()));
    node.add("refused", is_refused_);
    node.add("running_pairs", std::uint64_t{running_});
  });
}

}  // namespace warren::vmm::virtio::vhost
