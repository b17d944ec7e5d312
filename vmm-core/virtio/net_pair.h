// One wire, a tap queue mostly, with its receive and transmit virtqueues, where the worker itself moves the
// packets. Of net.cpp alone.
//
// Packets go between the kernel and the guest's buffers without a stop: the tap is read into the chains that
// are next, and written from where the guest's packet lies. Only what is looked at is copied first, so that
// the guest cannot change it afterwards (class T3): the header of a packet that is sent, and the beginning of
// one that is received.
//
// How long a packet is the tap says only when it is read. So it is read into as many chains as the packets
// before it took, and what is behind them comes into a buffer of our own, from where it goes to more chains.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "vmm-core/virtio/net.h"

namespace warren::vmm::virtio {

class Net::Pair {
 public:
  Pair(Net& device, std::uint16_t index, std::unique_ptr<net::Wire> wire);

  net::Wire& wire() noexcept { return *wire_; }

  // On the receive queue's thread.
  Served receive() noexcept;
  void start_receiving() noexcept;
  void stop_receiving() noexcept;

  // On the transmit queue's thread.
  Served transmit() noexcept;
  void start_transmitting() noexcept;
  void stop_transmitting() noexcept;

  // Nobody waits for it any more, until it is started again.
  void leave_wire() noexcept;

 private:
  struct Input final : EventHandler {
    explicit Input(Pair& owner) : pair(owner) {}
    void on_event(std::uint32_t events) noexcept override;
    Pair& pair;
  };
  struct Output final : EventHandler {
    explicit Output(Pair& owner) : pair(owner) {}
    void on_event(std::uint32_t events) noexcept override;
    Pair& pair;
  };
  // A chain that was taken and is not yet returned.
  struct Held {
    Ticket ticket;
    std::size_t ranges = 0;
    std::uint64_t bytes = 0;
  };
  enum class Delivered { yes, dropped, short_of_buffers, later };

  void wait_for_packets(bool wait) noexcept;
  bool discard() noexcept;
  bool fetch() noexcept;
  void wait_for_room() noexcept;
  bool is_wanted() noexcept;
  bool gather(std::uint64_t bytes) noexcept;
  bool has_room() noexcept;
  Delivered deliver() noexcept;
  void fill(std::uint64_t offset, std::span<const std::byte> bytes) noexcept;
  void return_chains(std::size_t count) noexcept;
  bool send(Chain& chain) noexcept;
  void count_malformed(const Queue& queue, std::uint64_t& seen) noexcept;

  // How many chains one packet may be spread over: the longest packet in buffers of 64 bytes.
  static constexpr std::size_t kMostHeld = 1024;
  // Ranges of all chains that are held: of the longest chain there is, and of as many before it.
  static constexpr std::size_t kMostRanges = 2 * 2 * std::size_t{kMaximumQueueSize};
  // How many of them the tap is read into; the rest of a packet comes by way of overflow_.
  static constexpr std::size_t kDirectRanges = 128;
  // What is read of every packet before the guest may see it: its headers up to a VLAN tag.
  static constexpr std::size_t kHeadBytes =
      sizeof(net_layout::Header) + net_layout::kEthernetHeader + net_layout::kVlanTag;
  static constexpr std::size_t kMostWritten = 1024;  // iovecs the kernel takes (IOV_MAX)

  Net& device_;
  const std::uint16_t receive_queue_, transmit_queue_;
  const std::unique_ptr<net::Wire> wire_;

  std::vector<Held> held_;
  std::vector<iovec> ranges_;  // of those, in order
  std::uint64_t held_bytes_ = 0;
  std::uint64_t expected_bytes_ = 0;  // of the next packet
  unsigned refused_ = 0;              // chains, in this turn
  std::array<std::byte, kHeadBytes> head_{};
  std::vector<std::byte> overflow_;
  std::uint64_t direct_bytes_ = 0;  // of the packet: in head_ and the chains
  std::size_t packet_size_ = 0;     // received, not yet delivered

  ReceiveFilter filter_;
  std::uint32_t filter_version_ = ~std::uint32_t{0};

  std::array<iovec, kMostWritten> written_;
  std::uint64_t receive_malformed_ = 0, transmit_malformed_ = 0;
  bool waits_ = false;
  Input input_;
  Output output_;
};

}  // namespace warren::vmm::virtio
