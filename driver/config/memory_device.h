// Memory that comes besides <memory> at boot: <devices><memory>, and the room that <maxMemory> keeps for it.
//
// Format: libvirt's formatdomain, "Memory devices". Values only, and pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/config/cpu_set.h"
#include "driver/config/device_address.h"

namespace warren::driver::config {

enum class MemoryModel { dimm, virtio_mem };

// <address type='dimm' slot= base=/>
struct DimmAddress {
  std::uint32_t slot = 0;
  std::uint64_t base = 0;  // guest-physical; 0: chosen at the start
  bool operator==(const DimmAddress&) const = default;
};

// <memory model='dimm'> and <memory model='virtio-mem'>. Sizes in KiB.
struct MemoryDevice {
  MemoryModel model = MemoryModel::dimm;
  bool shared = false;                // access='shared': as guest memory always is
  std::optional<bool> discard;        // its pages always are
  CpuSet source_nodes;                // <source><nodemask>; empty: as the domain's
  std::uint64_t page_kib = 0;         // <source><pagesize>; 0: as the domain's
  std::uint64_t size_kib = 0;         // a multiple of 2 MiB
  std::optional<std::uint32_t> node;  // of the guest
  std::uint64_t block_kib = 0;        // virtio-mem: a power of two from 2 MiB on
  std::uint64_t requested_kib = 0;    // virtio-mem: in whole blocks
  std::uint64_t current_kib = 0;      // virtio-mem of a running domain: what the guest has of it
  std::optional<DimmAddress> dimm;    // of a DIMM; a running domain's always
  DeviceInfo info;                    // with a PCI address for virtio-mem
  bool operator==(const MemoryDevice&) const = default;
};

std::string_view model_name(MemoryModel model);

struct DomainDefinition;

// What the guest has at boot, devices left out.
std::uint64_t initial_memory_kib(const DomainDefinition& definition);
// Of all virtio-mem devices: what they can have, and what the guest of a running domain has of them.
std::uint64_t virtio_memory_kib(const DomainDefinition& definition);
std::uint64_t current_virtio_memory_kib(const DomainDefinition& definition);

// Throws VIR_ERR_CONFIG_UNSUPPORTED as libvirt does for devices without <maxMemory>, without a NUMA cell,
// with no slot or more memory than there is room for. `added` is one that is to come to a running domain, or
// null.
void check_memory_devices(const DomainDefinition& definition, const MemoryDevice* added = nullptr);

// Of a running domain: the slot of a DIMM, where it names none. Throws VIR_ERR_CONFIG_UNSUPPORTED.
void assign_dimm_slot(const DomainDefinition& definition, MemoryDevice& device);

}  // namespace warren::driver::config
