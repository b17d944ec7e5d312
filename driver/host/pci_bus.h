// PCI devices of this host, as far as they can be given to guests: their IOMMU groups, and which driver has
// them (kernel: Documentation/driver-api/vfio.rst, ABI/testing/sysfs-bus-pci).
//
// Reads and writes sysfs, which can take as long as a driver needs to let go: pool threads only. Throws
// Error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "driver/config/device_address.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::host {

// The driver that hands devices to user space.
inline constexpr const char* kVfioDriver = "vfio-pci";

struct PciDevice {
  config::PciAddress address;
  std::uint32_t group = 0;  // of the IOMMU
  std::string driver;       // empty: none
  bool is_bridge = false;
};

// A virtual function, as its physical one knows it (SR-IOV).
struct VirtualFunction {
  std::string device;       // the physical function's link
  std::uint32_t index = 0;  // which of its functions
};

class PciBus {
 public:
  // Everything is below `root` ("/" but for tests).
  explicit PciBus(std::filesystem::path root = "/");
  PciBus(const PciBus&) = delete;
  PciBus& operator=(const PciBus&) = delete;
  virtual ~PciBus();

  // Throws VIR_ERR_CONFIG_UNSUPPORTED, naming what is missing, on a host that cannot assign devices.
  void require_assignment() const;
  // Throws VIR_ERR_SYSTEM_ERROR for one that is not there, VIR_ERR_CONFIG_UNSUPPORTED for one that is in no
  // group.
  PciDevice look(const config::PciAddress& address) const;
  // Throws VIR_ERR_CONFIG_UNSUPPORTED for what is no virtual function of a network device.
  VirtualFunction virtual_function(const config::PciAddress& address) const;
  // All devices of a group.
  std::vector<PciDevice> members(std::uint32_t group) const;

  // From whatever driver has it to vfio-pci. A device that does not come back to vfio-pci is given back.
  void bind_to_vfio(const PciDevice& device);
  // From vfio-pci to the host, and to `driver` unless that is empty. Nothing happens when it is so already.
  void give_back(const config::PciAddress& address, const std::string& driver);

  // /dev/vfio/GROUP and /dev/vfio/vfio.
  vmm::FileDescriptor open_group(std::uint32_t group) const;
  vmm::FileDescriptor open_container() const;

 protected:
  // A write to an attribute of sysfs; tests do what the kernel would.
  virtual void write(const std::filesystem::path& attribute, const std::string& text);
  virtual void load_module(const std::string& name) const;

 private:
  std::filesystem::path device(const config::PciAddress& address) const;
  std::string driver_of(const std::filesystem::path& device) const;
  vmm::FileDescriptor open(const std::string& name) const;

  const std::filesystem::path root_;
};

}  // namespace warren::driver::host
