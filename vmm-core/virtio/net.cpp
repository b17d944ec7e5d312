#include "vmm-core/virtio/net.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/epoll.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {
namespace {

// Features (§5.1.3).
constexpr std::uint64_t kChecksum = 1 << 0, kGuestChecksum = 1 << 1, kMtu = 1 << 3, kMac = 1 << 5,
                        kGuestTso4 = 1 << 7, kGuestTso6 = 1 << 8, kGuestEcn = 1 << 9, kHostTso4 = 1 << 11,
                        kHostTso6 = 1 << 12, kHostEcn = 1 << 13, kMergeable = 1 << 15, kStatus = 1 << 16,
                        kControlQueue = 1 << 17, kControlReceive = 1 << 18, kMultiQueue = 1 << 22;

constexpr std::uint16_t kLinkUp = 1;
constexpr std::size_t kBuffersField = 10;  // num_buffers in the header
// How many chains one packet may be spread over: the longest packet in buffers of 64 bytes.
constexpr std::size_t kMaximumMerged = 1024;
constexpr std::size_t kShortestFrame = net::Tap::kHeaderSize + 14;

// Control commands (§5.1.6.5).
constexpr std::uint8_t kReceiveClass = 0, kMultiQueueClass = 4, kPairsSet = 0, kLastReceiveCommand = 5;
constexpr std::byte kControlOk{0}, kControlError{1};

struct [[gnu::packed]] Configuration {
  std::array<std::uint8_t, 6> mac{};
  std::uint16_t status = 0;
  std::uint16_t maximum_pairs = 0;
  std::uint16_t mtu = 0;
};
static_assert(sizeof(Configuration) == 12);

void add(Counter& counter, std::uint64_t value) noexcept {
  counter.fetch_add(value, std::memory_order_relaxed);
}

}  // namespace

// One tap queue with its receive and transmit virtqueues.
class Net::Pair {
 public:
  Pair(Net& device, std::uint16_t index, std::unique_ptr<net::Tap> tap)
      : device_(device),
        receive_queue_(static_cast<std::uint16_t>(2 * index)),
        transmit_queue_(static_cast<std::uint16_t>(2 * index + 1)),
        tap_(std::move(tap)),
        packet_(net::Tap::kMaximumPacket),
        input_(*this),
        output_(*this) {
    parts_.reserve(kMaximumMerged);
  }

  net::Tap& tap() noexcept { return *tap_; }

  // --- On the receive queue's thread ---

  Served receive() noexcept {
    for (unsigned served = 0; served < kShare; ++served) {
      if (packet_size_ == 0 && !fetch()) {
        wait_for_packets(true);
        return Served::waiting;
      }
      if (!deliver()) {
        // No buffers: the kernel's queue fills up, and drops when it is full.
        wait_for_packets(false);
        return Served::all;
      }
    }
    return Served::more;
  }

  void start_receiving() noexcept {
    try {
      device_.thread_of(receive_queue_).add(tap_->descriptor(), EPOLLIN, input_);
      waits_ = true;
    } catch (const Error&) {
      device_.host()->request_reset();
    }
  }
  void stop_receiving() noexcept {
    device_.thread_of(receive_queue_).remove(tap_->descriptor());
    packet_size_ = 0;
  }

  // --- On the transmit queue's thread ---

  Served transmit() noexcept {
    Queue& queue = device_.queue(transmit_queue_);
    Chain chain;
    unsigned served = 0;
    while (queue.pop(chain)) {
      if (served++ == kShare) {
        queue.push_back(chain);
        return Served::more;
      }
      if (!send(chain)) {
        queue.push_back(chain);
        device_.thread_of(transmit_queue_).change(tap_->output_descriptor(), EPOLLOUT);
        return Served::waiting;
      }
    }
    count_malformed(queue, transmit_malformed_);
    return Served::all;
  }

  void start_transmitting() noexcept {
    try {
      device_.thread_of(transmit_queue_).add(tap_->output_descriptor(), 0, output_);
    } catch (const Error&) {
      device_.host()->request_reset();
    }
  }
  void stop_transmitting() noexcept { device_.thread_of(transmit_queue_).remove(tap_->output_descriptor()); }

 private:
  struct Input final : EventHandler {
    explicit Input(Pair& owner) : pair(owner) {}
    void on_event(std::uint32_t events) noexcept override {
      // Errors are reported whatever one waits for: a tap that was deleted would call for ever.
      if ((events & EPOLLIN) == 0)
        pair.device_.thread_of(pair.receive_queue_).remove(pair.tap_->descriptor());
      pair.device_.work(pair.receive_queue_);
    }
    Pair& pair;
  };
  struct Output final : EventHandler {
    explicit Output(Pair& owner) : pair(owner) {}
    void on_event(std::uint32_t events) noexcept override {
      EventThread& thread = pair.device_.thread_of(pair.transmit_queue_);
      if ((events & EPOLLOUT) == 0) {
        thread.remove(pair.tap_->output_descriptor());
      } else {
        thread.change(pair.tap_->output_descriptor(), 0);
      }
      pair.device_.work(pair.transmit_queue_);
    }
    Pair& pair;
  };
  struct Part {
    Ticket ticket;
    std::uint32_t written = 0;
  };

  void wait_for_packets(bool wait) noexcept {
    if (wait == waits_) return;
    device_.thread_of(receive_queue_).change(tap_->descriptor(), wait ? std::uint32_t{EPOLLIN} : 0);
    waits_ = wait;
  }

  bool fetch() noexcept {
    while (true) {
      const std::ptrdiff_t got = tap_->receive(packet_);
      if (got < 0) return false;
      if (static_cast<std::size_t>(got) < kShortestFrame) continue;
      if (!device_.link_up_.load(std::memory_order_relaxed)) {
        add(device_.counters_.receive_drops, 1);
        continue;
      }
      packet_size_ = static_cast<std::size_t>(got);
      return true;
    }
  }

  // Spreads the packet over as many chains as it takes, if merging was negotiated. False when there are too
  // few.
  bool deliver() noexcept {
    Queue& queue = device_.queue(receive_queue_);
    const bool merges = (device_.accepted_features() & kMergeable) != 0;
    std::span<const std::byte> left(packet_.data(), packet_size_);
    std::byte* buffers_field[2] = {nullptr, nullptr};
    parts_.clear();
    Chain chain;
    while (!left.empty() && parts_.size() < kMaximumMerged && queue.pop(chain)) {
      if (parts_.empty() && !find_buffers_field(chain, buffers_field)) {
        add(device_.counters_.malformed_chains, 1);
        chain.ticket.complete(0);
        continue;
      }
      Writer writer(chain.writable);
      const std::size_t written = writer.write(left);
      left = left.subspan(written);
      parts_.push_back({std::move(chain.ticket), static_cast<std::uint32_t>(written)});
      if (!merges) break;
    }
    count_malformed(queue, receive_malformed_);
    if (!left.empty()) return give_up(queue, merges);
    const auto count = static_cast<std::uint16_t>(parts_.size());
    *buffers_field[0] = static_cast<std::byte>(count & 0xff);
    *buffers_field[1] = static_cast<std::byte>(count >> 8);
    for (auto& part : parts_) part.ticket.complete(part.written);
    parts_.clear();
    add(device_.counters_.receive_packets, 1);
    add(device_.counters_.receive_bytes, packet_size_ - net::Tap::kHeaderSize);
    packet_size_ = 0;
    return true;
  }

  // What did not fit: a packet that no number of buffers takes is dropped; otherwise it waits for more
  // buffers, and those it was tried with are kept by putting the queue back.
  bool give_up(Queue& queue, bool merges) noexcept {
    if ((!merges && !parts_.empty()) || parts_.size() == kMaximumMerged) {
      for (auto& part : parts_) part.ticket.complete(0);
      parts_.clear();
      packet_size_ = 0;
      add(device_.counters_.receive_errors, 1);
      return true;
    }
    while (!parts_.empty()) {
      Chain chain;
      chain.ticket = std::move(parts_.back().ticket);
      parts_.pop_back();
      queue.push_back(chain);
    }
    return false;
  }

  static bool find_buffers_field(const Chain& chain, std::byte* (&field)[2]) noexcept {
    if (chain.writable_bytes < net::Tap::kHeaderSize) return false;
    std::size_t found = 0;
    std::uint64_t at = 0;
    for (const auto& range : chain.writable) {
      for (; found < 2 && kBuffersField + found < at + range.iov_len; ++found) {
        field[found] = static_cast<std::byte*>(range.iov_base) + (kBuffersField + found - at);
      }
      at += range.iov_len;
    }
    return found == 2;
  }

  // False when the kernel has no room now.
  bool send(Chain& chain) noexcept {
    NetCounters& counters = device_.counters_;
    if (chain.readable_bytes < kShortestFrame || chain.readable_bytes > net::Tap::kMaximumPacket) {
      add(counters.malformed_chains, 1);
      chain.ticket.complete(0);
      return true;
    }
    if (!device_.link_up_.load(std::memory_order_relaxed)) {
      add(counters.transmit_drops, 1);
      chain.ticket.complete(0);
      return true;
    }
    const std::ptrdiff_t sent = tap_->send(chain.readable);
    if (sent == -EAGAIN) return false;
    if (sent < 0) {
      // A header that the kernel does not accept, an interface that is down: the packet is lost, as on a
      // wire.
      add(counters.transmit_errors, 1);
    } else {
      add(counters.transmit_packets, 1);
      add(counters.transmit_bytes, static_cast<std::uint64_t>(sent) - net::Tap::kHeaderSize);
    }
    chain.ticket.complete(0);
    return true;
  }

  void count_malformed(const Queue& queue, std::uint64_t& seen) noexcept {
    add(device_.counters_.malformed_chains, queue.malformed_chains() - seen);
    seen = queue.malformed_chains();
  }

  Net& device_;
  const std::uint16_t receive_queue_, transmit_queue_;
  const std::unique_ptr<net::Tap> tap_;
  std::vector<std::byte> packet_;  // received, not yet delivered
  std::size_t packet_size_ = 0;
  std::vector<Part> parts_;
  std::uint64_t receive_malformed_ = 0, transmit_malformed_ = 0;
  bool waits_ = false;
  Input input_;
  Output output_;
};

Net::Net(std::string name, std::vector<std::unique_ptr<net::Tap>> taps, const NetOptions& options,
         NetCounters& counters, std::vector<EventThread*> threads)
    : ServedDevice(std::move(name), std::move(threads)),
      options_(options),
      counters_(counters),
      link_up_(options.link_up) {
  for (auto& tap : taps) {
    pairs_.push_back(
        std::make_unique<Pair>(*this, static_cast<std::uint16_t>(pairs_.size()), std::move(tap)));
  }
}

Net::~Net() {
  deactivate();
}

std::uint64_t Net::features() const noexcept {
  std::uint64_t features = kChecksum | kGuestChecksum | kMac | kGuestTso4 | kGuestTso6 | kGuestEcn |
                           kHostTso4 | kHostTso6 | kHostEcn | kMergeable | kStatus | kControlQueue |
                           kControlReceive;
  if (options_.mtu != 0) features |= kMtu;
  if (pairs_.size() > 1) features |= kMultiQueue;
  return features;
}

void Net::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  Configuration configuration;
  configuration.mac = options_.mac;
  configuration.status = link_up_.load(std::memory_order_relaxed) ? kLinkUp : 0;
  configuration.maximum_pairs = static_cast<std::uint16_t>(pairs_.size());
  configuration.mtu = options_.mtu;
  read_bytes(std::as_bytes(std::span(&configuration, 1)), offset, data);
}

// The control queue is behind the pairs that were negotiated (§5.1.2); a driver may have enabled more.
Net::Role Net::role_of(std::uint16_t queue) const noexcept {
  const bool many = (accepted_features() & kMultiQueue) != 0;
  const std::size_t control = many ? 2 * pairs_.size() : 2;
  if (queue == control) return Role::control;
  return queue < control ? Role::pair : Role::none;
}

ServedDevice::Served Net::serve(std::uint16_t queue) noexcept {
  const Role role = role_of(queue);
  if (role == Role::none) return Served::waiting;
  if (role == Role::control) return serve_control();
  Pair& pair = *pairs_[queue / 2];
  return queue % 2 == 0 ? pair.receive() : pair.transmit();
}

void Net::started(std::uint16_t queue) noexcept {
  if (role_of(queue) != Role::pair) return;
  Pair& pair = *pairs_[queue / 2];
  if (queue % 2 != 0) return pair.start_transmitting();
  const std::uint64_t accepted = accepted_features();
  if (!pair.tap().set_offloads({.checksum = (accepted & kGuestChecksum) != 0,
                                .tso4 = (accepted & kGuestTso4) != 0,
                                .tso6 = (accepted & kGuestTso6) != 0,
                                .ecn = (accepted & kGuestEcn) != 0})) {
    host()->request_reset();  // packets would reach a guest that cannot read them
  }
  apply_pairs();
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
  if (pairs_.size() == 1) return;
  for (std::size_t i = 0; i < pairs_.size(); ++i) pairs_[i]->tap().set_attached(i < pairs_in_use_.load());
}

ServedDevice::Served Net::serve_control() noexcept {
  const std::uint16_t index = (accepted_features() & kMultiQueue) != 0
                                  ? static_cast<std::uint16_t>(2 * pairs_.size())
                                  : std::uint16_t{2};
  Chain chain;
  while (queue(index).pop(chain)) {
    if (chain.writable_bytes == 0) continue;  // nobody to answer: it goes back empty
    Reader reader(chain.readable);
    const std::byte answer = control(reader) ? kControlOk : kControlError;
    Writer(chain.writable).write({&answer, 1});
    chain.ticket.complete(1);
  }
  return Served::all;
}

bool Net::control(Reader& command) noexcept {
  struct {
    std::uint8_t command_class, command;
  } header{};
  static_assert(sizeof(header) == 2);
  if (!command.read_object(header)) return false;
  // A tap passes everything on: promiscuous and multicast modes are as the guest wants them already.
  if (header.command_class == kReceiveClass) return header.command <= kLastReceiveCommand;
  std::uint16_t pairs = 0;
  if (header.command_class != kMultiQueueClass || header.command != kPairsSet ||
      !command.read_object(pairs)) {
    return false;
  }
  if (pairs == 0 || pairs > pairs_.size() || (accepted_features() & kMultiQueue) == 0) return false;
  pairs_in_use_.store(pairs);
  apply_pairs();
  return true;
}

void Net::deactivate() noexcept {
  ServedDevice::deactivate();
  pairs_in_use_.store(1);
}

void Net::set_link(bool up) noexcept {
  if (link_up_.exchange(up) == up) return;
  if (DeviceHost* const listener = host(); listener != nullptr) listener->signal_configuration();
}

void Net::restore(const NetState& state) noexcept {
  link_up_.store(state.link_up);
  pairs_in_use_.store(std::clamp<std::uint16_t>(state.pairs, 1, static_cast<std::uint16_t>(pairs_.size())));
}

void Net::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("link_up", link_up_.load());
  node.add("pairs_in_use", std::uint64_t{pairs_in_use_.load()});
  node.add("received", counters_.receive_packets.load());
  node.add("transmitted", counters_.transmit_packets.load());
  node.add("receive_drops", counters_.receive_drops.load());
  node.add("transmit_errors", counters_.transmit_errors.load());
}

}  // namespace warren::vmm::virtio
