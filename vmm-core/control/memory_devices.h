// Memory devices: memory that comes to and goes from a running machine.
//
// Commands of the control protocol (protocol.h): request_memory(RequestMemory), plug_dimm(PlugDimm),
// unplug_dimm(UnplugDimm). Events: memory_resized(MemoryResized), device_kept(DeviceName), and of a DIMM that
// is gone device_unplugged(DeviceName). A virtio memory device comes and goes as any device (hot_plug.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

namespace warren::vmm::control {

// What the memory of one device is made of; as MemorySpecification.
struct DeviceMemorySpecification {
  std::uint64_t bytes = 0;
  std::uint64_t huge_page_bytes = 0;
  bool populate = false;                  // all of it, or each block that is plugged, at once
  std::vector<std::uint32_t> host_nodes;  // NUMA nodes of the host it is taken from; empty: any
};
BOOST_DESCRIBE_STRUCT(DeviceMemorySpecification, (), (bytes, huge_page_bytes, populate, host_nodes))

// A memory module that ACPI tells of (ACPI 6.5 §9.11).
struct DimmSpecification {
  std::string id;
  std::uint32_t slot = 0;     // below MachineSpecification::memory_slots
  std::uint64_t address = 0;  // guest-physical; 0: the worker chooses
  std::uint32_t node = 0;     // of the guest
  DeviceMemorySpecification memory;
};
BOOST_DESCRIBE_STRUCT(DimmSpecification, (), (id, slot, address, node, memory))

struct PlugDimm {
  DimmSpecification dimm;
};
BOOST_DESCRIBE_STRUCT(PlugDimm, (), (dimm))

struct UnplugDimm {
  std::string id;
};
BOOST_DESCRIBE_STRUCT(UnplugDimm, (), (id))

// How much of a virtio memory device the guest is asked to have; what it has it tells by itself.
struct RequestMemory {
  std::string id;
  std::uint64_t bytes = 0;  // a multiple of the device's blocks
};
BOOST_DESCRIBE_STRUCT(RequestMemory, (), (id, bytes))

// What the guest has of a device now. At most one a second for each; the last one is true.
struct MemoryResized {
  std::string id;
  std::uint64_t bytes = 0;
};
BOOST_DESCRIBE_STRUCT(MemoryResized, (), (id, bytes))

// A memory device as it is.
struct MemoryDeviceStatus {
  std::string id;
  std::uint64_t address = 0;          // guest-physical
  std::uint64_t bytes = 0;            // what the guest has of it
  std::uint64_t requested_bytes = 0;  // what it is asked to have
};
BOOST_DESCRIBE_STRUCT(MemoryDeviceStatus, (), (id, address, bytes, requested_bytes))

// Throws vmm::Error naming the member that is out of its limits.
void validate(const RequestMemory& command);
void validate(const PlugDimm& command);
void validate_memory(const DeviceMemorySpecification& memory, const std::string& member);
void validate_dimm(const DimmSpecification& dimm, const std::string& member);

// As Commands (server.h): each runs to its end before it returns; what cannot be done throws Error.
class MemoryCommands {
 public:
  virtual void request_memory(const RequestMemory& command) = 0;
  virtual void plug_dimm(const PlugDimm& command) = 0;
  // Asks the guest, which may take its time; device_unplugged tells that it is gone, device_kept that the
  // guest refuses. May be asked again.
  virtual void unplug_dimm(const UnplugDimm& command) = 0;

 protected:
  ~MemoryCommands() = default;
};

}  // namespace warren::vmm::control
