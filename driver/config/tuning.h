// What the host gives a domain: <cputune>, <memtune>, <blkiotune>, <numatune>, <iothreads>, <perf>, and the
// <bandwidth> of an interface.
//
// Plain values. Format: libvirt's formatdomain, "CPU Tuning", "Memory Tuning", "Block I/O Tuning", "NUMA Node
// Tuning", "IOThreads Allocation", "Performance monitoring events", "Quality of service".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/cpu_set.h"

namespace warren::driver::config {

// A share of time in each period, both in microseconds; a negative quota means no limit, 0 and an absent
// period mean that nothing was said.
struct CpuBandwidth {
  std::optional<std::uint64_t> period_us;  // 1000..1,000,000
  std::optional<std::int64_t> quota_us;    // -1 or 1000..kMaximumQuotaMicroseconds
  bool operator==(const CpuBandwidth&) const = default;
};

inline constexpr std::uint64_t kMinimumPeriodMicroseconds = 1000;
inline constexpr std::uint64_t kMaximumPeriodMicroseconds = 1'000'000;
inline constexpr std::int64_t kMinimumQuotaMicroseconds = 1000;
inline constexpr std::int64_t kMaximumQuotaMicroseconds = 17'592'186'044'415;

struct CpuTuning {
  std::optional<std::uint64_t> shares;  // 1..10000: the weight of cgroup v2
  CpuBandwidth vcpu, global, emulator, iothread;
  std::map<std::uint32_t, CpuSet> vcpu_pins;
  CpuSet emulator_pin;  // empty: not given
  std::map<std::uint32_t, CpuSet> iothread_pins;
  bool operator==(const CpuTuning&) const = default;
};

inline constexpr std::uint64_t kUnlimitedKib = 9007199254740991;  // VIR_DOMAIN_MEMORY_PARAM_UNLIMITED

struct MemoryTuning {
  std::optional<std::uint64_t> hard_limit_kib, soft_limit_kib, swap_hard_limit_kib;
  bool operator==(const MemoryTuning&) const = default;
};

// Limits of one block device of the host; 0 means none.
struct BlkioDevice {
  std::string path;
  std::uint32_t weight = 0;
  std::uint32_t read_iops = 0, write_iops = 0;
  std::uint64_t read_bytes = 0, write_bytes = 0;
  bool operator==(const BlkioDevice&) const = default;
};

struct BlkioTuning {
  std::uint32_t weight = 0;  // 0: not given; else 10..1000
  std::vector<BlkioDevice> devices;
  bool operator==(const BlkioTuning&) const = default;
};

// The values are those of virDomainNumatuneMemMode.
enum class NumaMemoryMode { strict = 0, preferred = 1, interleave = 2, restrictive = 3 };

// <numatune><memory mode=… nodeset=…/></numatune>
struct NumaTuning {
  std::optional<NumaMemoryMode> mode;
  CpuSet nodes;  // empty: not given
  bool operator==(const NumaTuning&) const = default;
};

struct IoThread {
  std::uint32_t id = 1;  // from 1
  // <poll max=…/> in nanoseconds; what the worker does not have is refused when it is to be used.
  bool operator==(const IoThread&) const = default;
};

// <perf><event name=… enabled=…/></perf>; the names are kept in the order of VIR_PERF_PARAM_*.
struct PerfEvents {
  std::map<std::string, bool> enabled;
  bool operator==(const PerfEvents&) const = default;
};

// One direction, in KiB a second and KiB; 0 means not given.
struct BandwidthRate {
  std::uint64_t average = 0, peak = 0, burst = 0;
  std::uint64_t floor = 0;  // guaranteed; only inbound, and only on a virtual network
  bool operator==(const BandwidthRate&) const = default;
};

// <bandwidth>: seen from the guest.
struct Bandwidth {
  std::optional<BandwidthRate> inbound, outbound;
  bool operator==(const Bandwidth&) const = default;
};

}  // namespace warren::driver::config
