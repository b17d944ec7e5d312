// How a domain boots, what its clock shows, which platform features it has and what follows when it ends.
//
// Format: libvirt's formatdomain, "Operating system booting", "Hypervisor features", "Time keeping",
// "Events configuration", "Power Management".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/hyperv.h"
#include "driver/config/system_information.h"

namespace warren::driver::config {

// <os>. Architecture is x86_64 and the type hvm, always; `machine` is canonical ("q35") once parsed.
enum class BootDevice { hd, cdrom, network, fd };

struct OperatingSystem {
  std::string machine = "q35";
  std::string kernel;                    // absolute path; never empty in a definition that parse() returned
  std::string initrd;                    // absolute path or empty
  std::string command_line;              // at most 2047 bytes
  std::vector<BootDevice> boot_devices;  // <boot dev=…/>: kept for clients; the kernel is what boots
  std::optional<SmbiosMode> smbios;
  bool operator==(const OperatingSystem&) const = default;
};

// <features>. What is not here Warren does not have; <acpi/> is always on and printed.
struct Features {
  bool acpi = false;
  bool apic = false;
  std::optional<bool> apic_eoi;
  bool pae = false;
  std::optional<bool> vmport;  // only "off" is accepted
  std::optional<bool> smm;     // only "off" is accepted
  bool ioapic_kvm = false;     // <ioapic driver='kvm'/>
  std::optional<Hyperv> hyperv;
  bool operator==(const Features&) const = default;
};

enum class ClockOffset { utc, localtime, timezone, variable, absolute };
enum class ClockBasis { utc, localtime };

enum class TimerName { rtc, pit, hpet, kvmclock, hypervclock };

// What becomes of ticks the guest missed: they come later at the usual rate, faster until none is owed, or
// never.
enum class TimerTickPolicy { delay, catchup, discard };

// <timer>; parse() refuses combinations the worker does not have.
struct Timer {
  TimerName name = TimerName::rtc;
  std::optional<bool> present;
  std::optional<TimerTickPolicy> tick_policy;
  bool operator==(const Timer&) const = default;
};

// <clock>
struct Clock {
  ClockOffset offset = ClockOffset::utc;
  std::string timezone;                 // offset timezone: a name of the tz database
  std::int64_t adjustment_seconds = 0;  // offset variable
  std::optional<ClockBasis> basis;      // offset variable
  std::uint64_t start_seconds = 0;      // offset absolute: what it shows at a start, seconds since 1970
  std::vector<Timer> timers;
  bool operator==(const Clock&) const = default;
};

// The last two are for crashes, after a core of the guest was written.
enum class LifecycleAction { destroy, restart, preserve, coredump_destroy, coredump_restart };

// <on_poweroff>, <on_reboot>, <on_crash>; empty until fill_defaults.
struct LifecycleActions {
  std::optional<LifecycleAction> on_poweroff;  // destroy
  std::optional<LifecycleAction> on_reboot;    // restart
  std::optional<LifecycleAction> on_crash;     // destroy
  bool operator==(const LifecycleActions&) const = default;
};

// <pm>: the sleep states S3 and S4, which the guest has unless this says that it has not.
struct PowerManagement {
  std::optional<bool> suspend_to_mem;
  std::optional<bool> suspend_to_disk;
  bool operator==(const PowerManagement&) const = default;
};

}  // namespace warren::driver::config
