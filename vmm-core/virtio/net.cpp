#include "vmm-core/virtio/net.h"

#include <algorithm>

#include "vmm-core/net/stream.h"
#include "vmm-core/os/error.h"
#include "vmm-core/virtio/net_pair.h"

namespace warren::vmm::virtio {

using namespace net_layout;

Net::Net(std::string name, std::vector<std::unique_ptr<net::Wire>> wires, const NetOptions& options,
         NetCounters& counters, std::vector<EventThread*> threads, std::unique_ptr<NetBackEnd> back_end)
    // What is sent comes in bursts, and each doorbell costs the guest an exit.
    : ServedDevice(std::move(name), std::move(threads), Polling::yes),
      options_(options),
      counters_(counters),
      pairs_([&] {
        std::vector<std::unique_ptr<Pair>> pairs;
        for (auto& wire : wires)
          pairs.push_back(
              std::make_unique<Pair>(*this, static_cast<std::uint16_t>(pairs.size()), std::move(wire)));
        return pairs;
      }()),
      back_end_(std::move(back_end)),
      count_(pairs_.empty() ? options.pairs : pairs_.size()),
      offered_(offered_features()),
      link_up_(options.link_up) {
  if (count_ == 0 || (pairs_.empty() && back_end_ == nullptr))
    throw Error(std::errc::invalid_argument, this->name() + ": a network device without queues");
  filter_.own = options.mac;
  if (back_end_ == nullptr) return;
  back_end_->on_loss([this] {
    if (!is_lost_.exchange(true)) tell_configuration();
  });
}

Net::~Net() {
  deactivate();
  if (back_end_ != nullptr) back_end_->on_loss({});
}

std::uint64_t Net::offered_features() const noexcept {
  std::uint64_t features = kChecksum | kGuestChecksum | kControlOffloads | kMac | kGuestTso4 | kGuestTso6 |
                           kGuestEcn | kHostTso4 | kHostTso6 | kHostEcn | kMergeable | kStatus |
                           kControlQueue | kControlReceive | kControlVlan | kControlReceiveExtra |
                           kGuestAnnounce | kControlMac;
  const bool has_uso = std::ranges::all_of(pairs_, [](const auto& pair) { return pair->wire().knows_uso(); });
  if (has_uso) features |= kGuestUso4 | kGuestUso6 | kHostUso;
  constexpr std::uint64_t kOffloads = kChecksum | kGuestChecksum | kControlOffloads | kGuestTso4 |
                                      kGuestTso6 | kGuestEcn | kHostTso4 | kHostTso6 | kHostEcn;
  if (!std::ranges::all_of(pairs_, [](const auto& pair) { return pair->wire().has_offloads(); }))
    features &= ~kOffloads;
  // Offloads are changed at the tap.
  if (pairs_.empty()) features &= ~kControlOffloads;
  if (options_.mtu != 0) features |= kMtu;
  if (count_ > 1) features |= kMultiQueue;
  if (count_ > 1 && options_.steering != nullptr && back_end_ == nullptr) features |= kReceiveScaling;
  return back_end_ == nullptr ? features : features & back_end_->features();
}

void Net::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  Configuration configuration;
  configuration.mac = filter().own;
  configuration.status = has_link() ? kLinkUp : 0;
  if (announces_.load() && accepted(kGuestAnnounce)) configuration.status |= net_layout::kAnnounce;
  configuration.maximum_pairs = static_cast<std::uint16_t>(count_);
  configuration.mtu = options_.mtu;
  if ((offered_ & kReceiveScaling) != 0) {
    configuration.most_key_bytes = net::SteeringSettings::kKeyBytes;
    configuration.most_entries = SteeringTable::kMostEntries;
    configuration.hash_types = ReceiveScaling::kHashTypes;
  }
  read_bytes(std::as_bytes(std::span(&configuration, 1)), offset, data);
}

// The control queue is behind the pairs that were negotiated (§5.1.2); a driver may have enabled more.
std::uint16_t Net::control_queue() const noexcept {
  return accepted(kMultiQueue | kReceiveScaling) ? static_cast<std::uint16_t>(2 * count_) : std::uint16_t{2};
}

Net::Role Net::role_of(std::uint16_t queue) const noexcept {
  const std::uint16_t control = control_queue();
  if (queue == control) return Role::control;
  return queue < control ? Role::pair : Role::none;
}

void Net::starting() noexcept {
  bool applied = true;
  thread_of(0).run([&] {
    applied = apply_offloads();
    apply_pairs();
    applied = apply_scaling() && applied;
  });
  if (!applied) host()->request_reset();  // packets would reach a guest that cannot read them
  if (back_end_ == nullptr) return;
  const auto pairs = accepted(kMultiQueue) ? static_cast<std::uint16_t>(count_) : std::uint16_t{1};
  back_end_->set_pairs(pairs_in_use_.load());
  // From here on it may be lost again.
  const bool was_lost = is_lost_.exchange(false);
  const bool link_up = link_up_.load();
  is_handed_over_ = back_end_->start(activation(), pairs, link_up);
  {
    // What set_link() says to one that has not begun is not heard.
    const std::lock_guard lock(link_mutex_);
    if (is_handed_over_ && link_up_.load() != link_up) back_end_->set_link(!link_up);
  }
  // Without anybody to move packets the cable is out.
  if (!is_handed_over_ && pairs_.empty()) is_lost_ = true;
  if (is_lost_ != was_lost) tell_configuration();
}

void Net::stopping() noexcept {
  if (!is_handed_over_) return;
  back_end_->stop();
  is_handed_over_ = false;
}

bool Net::serves(std::uint16_t queue) const noexcept {
  return role_of(queue) != Role::pair || (!is_handed_over_ && !pairs_.empty());
}

ServedDevice::Served Net::serve(std::uint16_t queue) noexcept {
  const Role role = role_of(queue);
  if (role == Role::none) return Served::waiting;
  if (role == Role::control) return serve_control();
  Pair& pair = *pairs_[queue / 2];
  return queue % 2 == 0 ? pair.receive() : pair.transmit();
}

void Net::started(std::uint16_t queue) noexcept {
  const Role role = role_of(queue);
  // Of what has happened before anybody listened.
  if (role == Role::control && announces_.load() && accepted(kGuestAnnounce)) tell_configuration();
  if (role != Role::pair) return;
  Pair& pair = *pairs_[queue / 2];
  if (queue % 2 != 0) return pair.start_transmitting();
  pair.start_receiving();
}

void Net::stopped(std::uint16_t queue) noexcept {
  if (role_of(queue) != Role::pair) return;
  Pair& pair = *pairs_[queue / 2];
  if (queue % 2 == 0) {
    pair.stop_receiving();
  } else {
    pair.stop_transmitting();
  }
}

void Net::apply_pairs() noexcept {
  if (pairs_.size() <= 1) return;
  for (std::size_t i = 0; i < pairs_.size(); ++i) pairs_[i]->wire().set_attached(i < pairs_in_use_.load());
}

bool Net::apply_scaling() noexcept {
  if (options_.steering == nullptr) return true;
  if (scaling_) return options_.steering->start(scaling_->settings());
  options_.steering->stop();
  return true;
}

bool Net::apply_offloads() noexcept {
  const std::uint64_t on = accepted_features() & offloads_.load();
  const net::Wire::Offloads offloads{.checksum = (on & kGuestChecksum) != 0,
                                     .tso4 = (on & kGuestTso4) != 0,
                                     .tso6 = (on & kGuestTso6) != 0,
                                     .ecn = (on & kGuestEcn) != 0,
                                     .uso4 = (on & kGuestUso4) != 0,
                                     .uso6 = (on & kGuestUso6) != 0};
  return std::ranges::all_of(pairs_, [&](auto& pair) { return pair->wire().set_offloads(offloads); });
}

void Net::tell_configuration() noexcept {
  if (DeviceHost* const listener = host(); listener != nullptr) listener->signal_configuration();
}

void Net::deactivate() noexcept {
  ServedDevice::deactivate();
  // What arrives before there is a driver again, any driver can read.
  if (!pairs_.empty())
    thread_of(0).run([&] {
      for (const auto& pair : pairs_) pair->tap().set_offloads({});
    });
  pairs_in_use_.store(1);
  scaling_.reset();
  offloads_.store(~std::uint64_t{0});
  announces_.store(false);
  ReceiveFilter all;
  all.own = options_.mac;
  change_filter(all);
}

void Net::set_link(bool up) noexcept {
  const std::lock_guard lock(link_mutex_);
  if (link_up_.exchange(up) == up) return;
  if (back_end_ != nullptr) back_end_->set_link(up);
  tell_configuration();
}

// On the queue's thread, which is that of both queues.
void Net::wire_lost(Pair& pair) noexcept {
  pair.leave_wire();
  if (is_lost_.exchange(true)) return;
  tell_configuration();
  if (options_.lost) options_.lost();
}

void Net::reconnect(FileDescriptor socket) {
  auto* const stream = pairs_.size() == 1 ? dynamic_cast<net::Stream*>(&pairs_.front()->wire()) : nullptr;
  if (stream == nullptr) throw Error(std::errc::not_supported, name() + ": it is not on a stream");
  net::Stream::Ends ends = net::Stream::ends_of(std::move(socket), name());
  thread_of(0).run([&] {
    Pair& pair = *pairs_.front();
    pair.leave_wire();
    stream->reconnect(std::move(ends));
    is_lost_ = false;
    if (is_running(0)) pair.start_receiving();
    if (!is_running(1)) return;
    pair.start_transmitting();
    work(1);  // it may have been waiting for room
  });
  tell_configuration();
}

void Net::announce() noexcept {
  if (!announces_.exchange(true)) tell_configuration();
}

ReceiveFilter Net::filter() const noexcept {
  const std::lock_guard lock(filter_mutex_);
  return filter_;
}

void Net::change_filter(const ReceiveFilter& filter) noexcept {
  const std::lock_guard lock(filter_mutex_);
  filter_ = filter;
  filter_version_.fetch_add(1, std::memory_order_release);
}

NetState Net::save() const noexcept {
  return {.link_up = link_up_.load(),
          .pairs = pairs_in_use_.load(),
          .filter = filter(),
          .guest_offloads = offloads_.load(),
          .scaling = scaling_};
}

void Net::restore(const NetState& state) {
  const bool fits = state.version >= 1 && state.version <= 3 && state.pairs >= 1 && state.pairs <= count_ &&
                    state.filter.unicast.count <= ReceiveFilter::kMostAddresses &&
                    state.filter.multicast.count <= ReceiveFilter::kMostAddresses &&
                    (!state.scaling || (options_.steering != nullptr && state.scaling->is_valid(count_)));
  if (!fits) throw Error(std::errc::invalid_argument, name() + ": saved state of another network device");
  link_up_.store(state.link_up);
  pairs_in_use_.store(state.pairs);
  if (state.version >= 2) {
    change_filter(state.filter);
    offloads_.store(state.guest_offloads);
  }
  if (state.version >= 3) scaling_ = state.scaling;
  announces_.store(true);
}

void Net::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  const ReceiveFilter now = filter();
  node.add("served_by", is_handed_over_.load() ? "back end" : "worker");
  node.add("link_up", link_up_.load());
  node.add("back_end_lost", is_lost_.load());
  node.add("announces", announces_.load());
  node.add("pairs_in_use", std::uint64_t{pairs_in_use_.load()});
  node.add("receive_scaling", scaling_.has_value());
  node.add("guest_offloads", accepted_features() & offloads_.load() & kGuestOffloads);
  node.add("promiscuous", now.promiscuous);
  node.add("all_multicast", now.all_multicast);
  node.add("unicast_addresses", std::uint64_t{now.unicast.count});
  node.add("multicast_addresses", std::uint64_t{now.multicast.count});
  node.add("vlans", std::uint64_t{now.vlans.count()});
  node.add("received", counters_.receive_packets.load());
  node.add("transmitted", counters_.transmit_packets.load());
  node.add("receive_drops", counters_.receive_drops.load());
  node.add("receive_filtered", counters_.receive_filtered.load());
  node.add("receive_errors", counters_.receive_errors.load());
  node.add("transmit_drops", counters_.transmit_drops.load());
  node.add("transmit_malformed", counters_.transmit_malformed.load());
  node.add("transmit_errors", counters_.transmit_errors.load());
  node.add("malformed_chains", counters_.malformed_chains.load());
  if (back_end_ != nullptr) back_end_->inspect(node.child("back_end"));
}

}  // namespace warren::vmm::virtio
