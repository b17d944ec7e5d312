// Devices of the host that domains have: which is whose, and what was done to the host so that a domain could
// have it, to be undone when the domain has it no more.
//
// A device that the host's driver gave up is noted in the domain's status before it does, and struck out
// after it is back: a daemon that dies in between leaves what the next one needs (failure class T14).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "driver/config/host_device.h"
#include "driver/config/identity.h"
#include "driver/link/virtual_function.h"
#include "vmm-core/control/host_devices.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::host {
class PciBus;
}

namespace warren::driver::domain {

// A device that was taken from a driver of the host, which is to have it back. Empty: it had none.
struct BoundDevice {
  config::PciAddress address;
  std::string driver;
  // Of an interface: what its physical function had it have before, and is to have it have again.
  std::optional<link::FunctionSettings> function;
  bool operator==(const BoundDevice&) const = default;
};

// How virtual functions are set; tests put one here that knows no network device.
struct FunctionControl {
  std::function<link::FunctionSettings(const std::string&, std::uint32_t)> read = link::read_function;
  std::function<void(const std::string&, std::uint32_t, const link::FunctionSettings&)> set =
      link::set_function;
};

// Which devices are whose among this driver's domains. Any thread.
class HostDeviceTable {
 public:
  struct Owner {
    Uuid domain;
    std::string name;
    std::uint32_t group = 0;
  };
  // Throws VIR_ERR_OPERATION_INVALID naming the domain that has the device, or another of its group. A domain
  // that has it keeps it.
  void claim(const config::PciAddress& address, const Owner& owner);
  void release(const config::PciAddress& address, const Uuid& domain) noexcept;

 private:
  std::mutex mutex_;
  std::map<std::string, Owner> owners_;  // by address
};

// What a machine opens its host devices from, in the order of the devices.
struct HostAccess {
  std::vector<std::uint32_t> groups;  // one each
  vmm::control::HostAccessSpecification specification;
};

// The devices of one domain. Calls block, one at a time, on pool threads; bound() is for any.
class HeldHostDevices {
 public:
  // `before`: what an earlier start, or an earlier daemon, had taken for the same domain. The others outlive
  // it.
  HeldHostDevices(host::PciBus& bus, HostDeviceTable& table, const FunctionControl& functions, Uuid domain,
                  std::string name, std::vector<BoundDevice> before = {});
  HeldHostDevices(const HeldHostDevices&) = delete;
  HeldHostDevices& operator=(const HeldHostDevices&) = delete;
  // Gives back what was taken since, unless keep() was called.
  ~HeldHostDevices();

  // Checks and claims one more device; the host is not changed yet. Throws Error as libvirt's qemu driver.
  void take(const config::HostDevice& device);
  // As take(), of one that an earlier daemon gave to a machine that runs; never throws.
  void take_over(const config::HostDevice& device) noexcept;
  // All that were taken come to vfio-pci, and nothing of their groups is in the host's use. Throws Error.
  void bind();
  // What the devices, all of them taken, are opened from; groups that the machine has already are left out.
  HostAccess open(std::span<const config::HostDevice> devices, std::vector<std::string>& names,
                  std::vector<vmm::FileDescriptor>& descriptors);
  // They are the domain's from now on.
  void keep() noexcept { is_kept_ = true; }

  // All but these go back to the host. Returns what could not be done.
  std::vector<std::string> give_back_but(std::span<const config::HostDevice> rest);

  // What a status has to say.
  std::vector<BoundDevice> bound() const;

 private:
  struct Held {
    config::PciAddress address;
    std::uint32_t group = 0;
    bool is_open = false;  // in a machine, or about to be
    std::optional<config::NetworkFunction> network;
  };
  void note(const config::HostDevice& device, const std::string& driver);
  void set_function(const Held& held) const;
  void give_back(const BoundDevice& device);
  void check_group(std::uint32_t group) const;

  host::PciBus& bus_;
  HostDeviceTable& table_;
  const FunctionControl& functions_;
  const Uuid domain_;
  const std::string name_;
  std::vector<Held> held_;
  mutable std::mutex mutex_;  // of bound_
  std::vector<BoundDevice> bound_;
  bool is_kept_ = false;
};

// How much memory a worker may lock: a device of the host needs all of the guest's memory where it is. What
// this daemon may not raise stays as it is; the worker refuses then.
void allow_locked_memory(pid_t worker, std::uint64_t guest_kib);

// As a status writes them: "0000:01:00.0=nvme 0000:02:00.0= 0000:03:10.0=igbvf,MAC,VLAN,PRIORITY", and back.
// Throws Error.
std::string format_bound(std::span<const BoundDevice> devices);
std::vector<BoundDevice> parse_bound(std::string_view text);

}  // namespace warren::driver::domain
