// What the driver knows of the host it runs on: CPUs, memory, NUMA cells, KVM.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/identity.h"

namespace warren::driver::config {

// One answer of the CPUID instruction.
struct CpuidLeaf {
  std::uint32_t leaf = 0;
  std::uint32_t subleaf = 0;
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  bool operator==(const CpuidLeaf&) const = default;
};

struct HostCpu {
  std::uint32_t id = 0;
  std::uint32_t socket = 0;
  std::uint32_t die = 0;
  std::uint32_t core = 0;
  std::string siblings;  // list format of the kernel: "0-1,4"
};

struct HostPages {
  std::uint64_t size_kib = 4;
  std::uint64_t count = 0;
};

struct NumaCell {
  std::uint32_t id = 0;
  std::uint64_t memory_kib = 0;
  std::vector<HostPages> pages;
  std::vector<std::uint32_t> distances;  // to each cell, by position; empty: not known
  std::vector<HostCpu> cpus;
};

// A cache that CPUs share.
struct HostCache {
  std::uint32_t id = 0;  // among those of its level
  std::uint32_t level = 3;
  std::string_view type = "both";  // "data", "code" or "both"
  std::uint64_t size_kib = 0;
  std::string cpus;  // list format of the kernel
};

struct HostFacts {
  std::string architecture = "x86_64";
  std::optional<Uuid> uuid;             // of the board; none if the firmware has none
  std::vector<CpuidLeaf> host_cpuid;    // what the CPU itself answers
  std::vector<CpuidLeaf> kvm_cpuid;     // KVM_GET_SUPPORTED_CPUID; empty without KVM
  std::vector<CpuidLeaf> hyperv_cpuid;  // KVM_GET_SUPPORTED_HV_CPUID; empty where KVM has no such interface
  bool kvm = false;                     // /dev/kvm opens
  std::uint32_t kvm_maximum_vcpus = 0;  // KVM_CAP_MAX_VCPUS
  std::uint32_t microcode = 0;
  std::uint64_t tsc_frequency_hz = 0;  // 0: not known
  bool tsc_scaling = false;
  std::uint32_t sockets = 1, dies = 1, cores = 1, threads = 1;  // per level; sockets of one cell
  std::uint64_t memory_kib = 0;
  std::vector<NumaCell> cells;
  std::vector<HostCache> caches;  // of the third level and above
  bool iommu = false;             // devices are in IOMMU groups
  std::string emulator;           // absolute path of warren-vmm
};

// Runs one leaf of CPUID on the caller's CPU.
using CpuidReader = std::function<CpuidLeaf(std::uint32_t leaf, std::uint32_t subleaf)>;
CpuidLeaf read_cpuid(std::uint32_t leaf, std::uint32_t subleaf);

// Reads /proc, /sys and /dev/kvm below `root` ("/" but for tests). What cannot be read keeps its default; it
// never throws for a strange host. Blocks for some milliseconds: call it once at start.
HostFacts gather_host_facts(const std::filesystem::path& root = "/", const CpuidReader& cpuid = read_cpuid);

}  // namespace warren::driver::config
