// Counters that the daemon reads without asking: the layout of the page a worker shares with it.
//
// The worker owns a memfd of this layout and writes it with relaxed atomics; the daemon maps it read-only, so
// statistics cost no message and a hung worker cannot stall a reader. Additive: new counters are appended to
// a slot's reserve and `version` rises; a reader uses what it knows.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace warren::vmm {

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free);

struct BlockCounters {
  Counter read_requests, read_bytes, read_nanoseconds;
  Counter write_requests, write_bytes, write_nanoseconds;
  Counter flush_requests, flush_nanoseconds;
  Counter errors, malformed_chains;
  Counter highest_written;  // the end of the write that reached furthest, in bytes
  std::array<Counter, 4> reserved;
  Counter owner;  // counters_owner() of the device whose slot it is; 0: nobody's
};

struct NetCounters {
  Counter receive_bytes, receive_packets, receive_errors, receive_drops;
  Counter transmit_bytes, transmit_packets, transmit_errors, transmit_drops;
  Counter malformed_chains;
  Counter receive_filtered;    // packets the guest has not asked for
  Counter transmit_malformed;  // packets whose virtio header does not hold together
  std::array<Counter, 4> reserved;
  Counter owner;
};

struct VcpuCounters {
  Counter exits, port_exits, mmio_exits, halted;
  Counter thread_id;  // the host's thread id, for scheduling statistics
  std::array<Counter, 11> reserved;
};

// Of the one balloon there is.
struct BalloonCounters {
  Counter actual_bytes;  // what the guest has: its memory less the balloon; 0: there is no balloon
  Counter inflated_pages, deflated_pages, reported_bytes;  // since the machine started; pages of 4 KiB
  Counter malformed;
  Counter statistics_time;             // when they came, in seconds since 1970; 0: never
  Counter statistics_present;          // bit n: the guest gives the n-th
  std::array<Counter, 16> statistics;  // by tag (virtio 1.2 §5.5.6.4)
  std::array<Counter, 9> reserved;
};

inline constexpr std::uint64_t kCountersMagic = 0x5741'5252'454e'4354;  // "WARRENCT"
inline constexpr std::uint32_t kCountersVersion = 4;                    // below 3: no owners
inline constexpr std::size_t kMaximumCountedVcpus = 256;
inline constexpr std::size_t kMaximumCountedDisks = 64;
inline constexpr std::size_t kMaximumCountedInterfaces = 64;

// What a slot of a disk or interface says of the device it belongs to: FNV-1a of its id. Never 0.
constexpr std::uint64_t counters_owner(std::string_view id) noexcept {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3;
  return hash | 1;
}

// Slots of vCPUs are by position. Disks and interfaces come and go: each takes the first slot that is free.
struct CountersPage {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t size;  // bytes of the whole page
  std::array<VcpuCounters, kMaximumCountedVcpus> vcpus;
  std::array<BlockCounters, kMaximumCountedDisks> disks;
  std::array<NetCounters, kMaximumCountedInterfaces> interfaces;
  BalloonCounters balloon;  // from version 2 on
};

static_assert(sizeof(BlockCounters) == 16 * sizeof(Counter) && sizeof(NetCounters) == 16 * sizeof(Counter) &&
              sizeof(VcpuCounters) == 16 * sizeof(Counter) &&
              sizeof(BalloonCounters) == 32 * sizeof(Counter));

}  // namespace warren::vmm
