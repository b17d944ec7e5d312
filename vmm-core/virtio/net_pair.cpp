#include "vmm-core/virtio/net_pair.h"

#include <cerrno>
#include <cstring>

#include <sys/epoll.h>

#include "vmm-core/memory/guest_bytes.h"
#include "vmm-core/os/error.h"
#include "vmm-core/virtio/net_header.h"

namespace warren::vmm::virtio {
namespace {

using namespace net_layout;

constexpr std::size_t kShortestPacket = sizeof(Header) + kEthernetHeader;
constexpr std::uint64_t kLongestFrame = net::Wire::kMaximumPacket - sizeof(Header);

void add(Counter& counter, std::uint64_t value) noexcept {
  counter.fetch_add(value, std::memory_order_relaxed);
}

}  // namespace

Net::Pair::Pair(Net& device, std::uint16_t index, std::unique_ptr<net::Wire> wire)
    : device_(device),
      receive_queue_(static_cast<std::uint16_t>(2 * index)),
      transmit_queue_(static_cast<std::uint16_t>(2 * index + 1)),
      wire_(std::move(wire)),
      overflow_(net::Wire::kMaximumPacket),
      input_(*this),
      output_(*this) {
  held_.reserve(kMostHeld);
  ranges_.reserve(kMostRanges);
}

// --- Receive
// ----------------------------------------------------------------------------------------------------

void Net::Pair::Input::on_event(std::uint32_t events) noexcept {
  // Errors are reported whatever one waits for: a tap that was deleted would call for ever.
  if ((events & EPOLLIN) == 0) pair.device_.thread_of(pair.receive_queue_).remove(pair.wire_->descriptor());
  pair.device_.work(pair.receive_queue_);
}

void Net::Pair::wait_for_packets(bool wait) noexcept {
  if (wait == waits_) return;
  device_.thread_of(receive_queue_).change(wire_->descriptor(), wait ? std::uint32_t{EPOLLIN} : 0);
  waits_ = wait;
}

void Net::Pair::start_receiving() noexcept {
  try {
    device_.thread_of(receive_queue_).add(wire_->descriptor(), EPOLLIN, input_);
    waits_ = true;
  } catch (const Error&) {
    device_.host()->request_reset();
  }
}

void Net::Pair::stop_receiving() noexcept {
  device_.thread_of(receive_queue_).remove(wire_->descriptor());
  packet_size_ = 0;
  expected_bytes_ = 0;
  Queue& queue = device_.queue(receive_queue_);
  while (!held_.empty()) {
    Chain chain;
    chain.ticket = std::move(held_.back().ticket);
    held_.pop_back();
    queue.push_back(chain);
  }
  ranges_.clear();
  held_bytes_ = 0;
}

ServedDevice::Served Net::Pair::receive() noexcept {
  refused_ = 0;
  for (unsigned served = 0; served < kShare; ++served) {
    if (!device_.has_link()) {
      packet_size_ = 0;
      if (discard()) continue;
      wait_for_packets(true);
      return Served::waiting;
    }
    if (packet_size_ == 0) {
      if (!gather(std::max<std::uint64_t>(expected_bytes_, 1))) return Served::more;
      if (held_.empty()) {
        // No buffers: the kernel's queue fills up, and drops when it is full.
        wait_for_packets(false);
        return Served::all;
      }
      if (!fetch()) {
        wait_for_packets(true);
        return Served::waiting;
      }
      if (!is_wanted()) continue;
    }
    const Delivered delivered = deliver();
    if (delivered == Delivered::later) return Served::more;
    if (delivered == Delivered::short_of_buffers) {
      wait_for_packets(false);
      return Served::all;
    }
  }
  return Served::more;
}

// Of an interface that is unplugged. False when there is nothing.
bool Net::Pair::discard() noexcept {
  const iovec whole{.iov_base = overflow_.data(), .iov_len = overflow_.size()};
  if (wire_->receive({&whole, 1}) < 0) return false;
  add(device_.counters_.receive_drops, 1);
  return true;
}

// As many chains as hold so much, or as there are. False when it has refused so many that others should have
// their turn.
bool Net::Pair::gather(std::uint64_t bytes) noexcept {
  Queue& queue = device_.queue(receive_queue_);
  const bool merges = device_.accepted(kMergeable);
  Chain chain;
  while (held_bytes_ < bytes && (merges || held_.empty()) && has_room() && refused_ < kShare &&
         queue.pop(chain)) {
    // Each has room for a header (§5.1.6.3.1).
    if (chain.writable_bytes < sizeof(Header)) {
      add(device_.counters_.malformed_chains, 1);
      chain.ticket.complete(0);
      ++refused_;
      continue;
    }
    ranges_.insert(ranges_.end(), chain.writable.begin(), chain.writable.end());
    held_bytes_ += chain.writable_bytes;
    held_.push_back({std::move(chain.ticket), chain.writable.size(), chain.writable_bytes});
  }
  count_malformed(queue, receive_malformed_);
  return refused_ < kShare;
}

// For one more chain, whatever it is made of. A queue all of whose descriptors are held gives no more.
bool Net::Pair::has_room() noexcept {
  return held_.size() < kMostHeld && ranges_.size() + kMostRanges / 2 <= ranges_.capacity() &&
         (held_.empty() || ranges_.size() < device_.queue(receive_queue_).configuration().size);
}

// False when there is no packet.
bool Net::Pair::fetch() noexcept {
  std::array<iovec, kDirectRanges + 2> buffers;
  for (;;) {
    std::size_t count = 0, skip = kHeadBytes;
    buffers[count++] = {head_.data(), kHeadBytes};
    direct_bytes_ = kHeadBytes;
    for (const iovec& range : ranges_) {
      if (count == kDirectRanges + 1) break;
      const std::size_t skipped = std::min(skip, range.iov_len);
      skip -= skipped;
      if (skipped == range.iov_len) continue;
      buffers[count++] = {static_cast<std::byte*>(range.iov_base) + skipped, range.iov_len - skipped};
      direct_bytes_ += range.iov_len - skipped;
    }
    buffers[count++] = {overflow_.data(), overflow_.size()};
    const std::ptrdiff_t got = wire_->receive(std::span(buffers).first(count));
    if (got < 0) {
      if (wire_->is_lost()) {
        device_.wire_lost(*this);
        // Which may have been waiting for room; now it drops.
        if (device_.is_running(transmit_queue_)) device_.work(transmit_queue_);
      }
      return false;
    }
    if (static_cast<std::size_t>(got) < kShortestPacket) continue;
    packet_size_ = static_cast<std::size_t>(got);
    // Long packets come in runs, and what was looked for in vain costs little.
    expected_bytes_ = std::max<std::uint64_t>(packet_size_, expected_bytes_ - expected_bytes_ / 8);
    return true;
  }
}

bool Net::Pair::is_wanted() noexcept {
  Header header;
  std::memcpy(&header, head_.data(), sizeof(header));
  if (!settle_receive_header(header, device_.accepted_features())) {
    packet_size_ = 0;
    add(device_.counters_.receive_drops, 1);
    return false;
  }
  std::memcpy(head_.data(), &header, sizeof(header));
  if (const auto version = device_.filter_version_.load(std::memory_order_acquire);
      version != filter_version_) {
    filter_ = device_.filter();
    filter_version_ = version;
  }
  const auto head = std::span<const std::byte>(head_).first(std::min(packet_size_, kHeadBytes));
  if (filter_.wants(head.subspan(sizeof(Header)), device_.accepted(kControlVlan))) return true;
  packet_size_ = 0;
  add(device_.counters_.receive_filtered, 1);
  return false;
}

// Spreads the packet over as many chains as it takes, if merging was negotiated.
Net::Pair::Delivered Net::Pair::deliver() noexcept {
  if (!gather(packet_size_)) return Delivered::later;
  if (held_bytes_ < packet_size_) {
    if (device_.accepted(kMergeable) && has_room()) return Delivered::short_of_buffers;
    // No number of buffers takes it.
    packet_size_ = 0;
    add(device_.counters_.receive_errors, 1);
    return Delivered::dropped;
  }
  std::size_t count = 0;
  for (std::uint64_t bytes = 0; bytes < packet_size_; ++count) bytes += held_[count].bytes;
  Header header;
  std::memcpy(&header, head_.data(), sizeof(header));
  header.buffers = static_cast<std::uint16_t>(count);
  std::memcpy(head_.data(), &header, sizeof(header));
  if (packet_size_ > direct_bytes_)
    fill(direct_bytes_, std::span<const std::byte>(overflow_).first(packet_size_ - direct_bytes_));
  fill(0, std::span<const std::byte>(head_).first(std::min(packet_size_, kHeadBytes)));
  // Before the guest has it: who sees a packet arrive finds it counted.
  add(device_.counters_.receive_packets, 1);
  add(device_.counters_.receive_bytes, packet_size_ - sizeof(Header));
  return_chains(count);
  packet_size_ = 0;
  return Delivered::yes;
}

// Copies to this place in what the chains hold together.
void Net::Pair::fill(std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
  for (const iovec& range : ranges_) {
    if (bytes.empty()) return;
    if (offset >= range.iov_len) {
      offset -= range.iov_len;
      continue;
    }
    const std::size_t piece = std::min<std::size_t>(bytes.size(), range.iov_len - offset);
    copy_guest_bytes(static_cast<std::byte*>(range.iov_base) + offset, bytes.data(), piece);
    bytes = bytes.subspan(piece);
    offset = 0;
  }
}

void Net::Pair::return_chains(std::size_t count) noexcept {
  std::uint64_t left = packet_size_;
  std::size_t ranges = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Held& held = held_[i];
    const std::uint64_t written = std::min(held.bytes, left);
    left -= written;
    held_bytes_ -= held.bytes;
    ranges += held.ranges;
    held.ticket.complete(static_cast<std::uint32_t>(written));
  }
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(count));
  ranges_.erase(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(ranges));
}

// --- Transmit
// ---------------------------------------------------------------------------------------------------

void Net::Pair::Output::on_event(std::uint32_t events) noexcept {
  EventThread& thread = pair.device_.thread_of(pair.transmit_queue_);
  if ((events & EPOLLOUT) == 0) {
    thread.remove(pair.wire_->output_descriptor());
  } else {
    thread.change(pair.wire_->output_descriptor(), 0);
  }
  pair.device_.work(pair.transmit_queue_);
}

void Net::Pair::start_transmitting() noexcept {
  try {
    device_.thread_of(transmit_queue_).add(wire_->output_descriptor(), 0, output_);
  } catch (const Error&) {
    device_.host()->request_reset();
  }
}

void Net::Pair::stop_transmitting() noexcept {
  device_.thread_of(transmit_queue_).remove(wire_->output_descriptor());
}

void Net::Pair::leave_wire() noexcept {
  device_.thread_of(receive_queue_).remove(wire_->descriptor());
  device_.thread_of(transmit_queue_).remove(wire_->output_descriptor());
}

void Net::Pair::wait_for_room() noexcept {
  device_.thread_of(transmit_queue_).change(wire_->output_descriptor(), EPOLLOUT);
}

ServedDevice::Served Net::Pair::transmit() noexcept {
  Queue& queue = device_.queue(transmit_queue_);
  Chain chain;
  unsigned served = 0;
  while (queue.pop(chain)) {
    if (served++ == kShare) {
      queue.push_back(chain);
      wire_->flush();
      return Served::more;
    }
    if (!send(chain)) {
      queue.push_back(chain);
      wait_for_room();
      return Served::waiting;
    }
  }
  count_malformed(queue, transmit_malformed_);
  if (!wire_->flush()) {
    wait_for_room();
    return Served::waiting;
  }
  if (wire_->is_lost()) device_.wire_lost(*this);
  return Served::all;
}

// False when the kernel has no room now.
bool Net::Pair::send(Chain& chain) noexcept {
  NetCounters& counters = device_.counters_;
  Header header;
  Reader reader(chain.readable);
  const std::uint64_t frame = chain.readable_bytes - std::min(chain.readable_bytes, sizeof(Header));
  if (frame < kEthernetHeader || frame > kLongestFrame || !reader.read_object(header)) {
    add(counters.malformed_chains, 1);
  } else if (!settle_transmit_header(header, device_.accepted_features(), frame)) {
    add(counters.transmit_malformed, 1);
  } else if (!device_.has_link()) {
    add(counters.transmit_drops, 1);
  } else {
    std::size_t count = 0;
    written_[0] = {&header, sizeof(header)};
    if (!reader.rest(std::span(written_).subspan(1), frame, count)) {
      add(counters.transmit_errors, 1);  // in more pieces than the kernel takes
    } else {
      const std::ptrdiff_t sent = wire_->send(std::span(written_).first(count + 1));
      if (sent == -EAGAIN) return false;
      if (sent < 0) {
        // Headers that do not go with the packet, an interface that is down: it is lost, as on a wire.
        add(counters.transmit_errors, 1);
      } else {
        add(counters.transmit_packets, 1);
        add(counters.transmit_bytes, frame);
      }
    }
  }
  chain.ticket.complete(0);
  return true;
}

void Net::Pair::count_malformed(const Queue& queue, std::uint64_t& seen) noexcept {
  if (queue.malformed_chains() == seen) return;
  add(device_.counters_.malformed_chains, queue.malformed_chains() - seen);
  seen = queue.malformed_chains();
}

}  // namespace warren::vmm::virtio
