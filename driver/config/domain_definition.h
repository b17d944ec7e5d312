// A libvirt domain as typed data: what <domain> says, no more and no less.
//
// A definition is a plain value: copy it to change it, publish it as shared_ptr<const DomainDefinition>. It
// comes from parse_domain() (domain_xml.h), is completed by fill_defaults() (domain_defaults.h) and, when the
// domain starts, by assign_live(). Any thread. Format: libvirt's formatdomain.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/character_device.h"
#include "driver/config/controller.h"
#include "driver/config/cpu.h"
#include "driver/config/device.h"
#include "driver/config/disk.h"
#include "driver/config/host_device.h"
#include "driver/config/identity.h"
#include "driver/config/interface.h"
#include "driver/config/memory_backing.h"
#include "driver/config/memory_device.h"
#include "driver/config/operating_system.h"
#include "driver/config/small_devices.h"
#include "driver/config/system_information.h"
#include "driver/config/tuning.h"

namespace warren::driver::config {

struct Memory {
  std::uint64_t maximum_kib = 0;  // <memory>: with all of the memory devices
  std::uint64_t current_kib = 0;  // <currentMemory>: at most maximum_kib
  std::uint64_t limit_kib = 0;    // <maxMemory>: up to which memory devices may come; 0: none
  std::uint32_t slots = 0;        // <maxMemory slots=>: how many there may be
  bool operator==(const Memory&) const = default;
};

// By which a guest sees that it is another one than it was: a copy, or one that was set back.
struct GenerationId {
  std::optional<Uuid> id;  // always set after fill_defaults
  bool operator==(const GenerationId&) const = default;
};

struct Devices {
  std::string emulator;  // absolute path; the worker's, always set after fill_defaults
  std::vector<Disk> disks;
  std::vector<Controller> controllers;
  std::vector<Interface> interfaces;
  std::vector<SerialPort> serials;
  std::vector<Console> consoles;
  std::vector<Channel> channels;
  std::vector<Input> inputs;
  std::vector<Rng> rngs;
  std::vector<Watchdog> watchdogs;              // one of each model at most, all with one action
  std::optional<MemoryBalloon> memory_balloon;  // always set after fill_defaults
  std::optional<PanicDevice> panic;
  std::vector<MemoryDevice> memories;
  std::vector<Vsock> vsocks;  // one at most
  std::vector<HostDevice> host_devices;
  bool operator==(const Devices&) const = default;

  // Null when there is none, which model 'none' says.
  const MemoryBalloon* balloon() const noexcept {
    return memory_balloon && memory_balloon->model != BalloonModel::none ? &*memory_balloon : nullptr;
  }
};

struct DomainDefinition {
  std::optional<std::int32_t> id;  // of a running domain
  std::string name;
  std::optional<Uuid> uuid;                   // always set after fill_defaults
  std::optional<GenerationId> generation_id;  // <genid>
  std::string title;
  std::string description;
  std::vector<MetadataElement> metadata;
  Memory memory;
  MemoryBacking memory_backing;
  VcpuCount vcpu;
  std::optional<SystemInformation> sysinfo;
  BlkioTuning blkio_tuning;
  MemoryTuning memory_tuning;
  CpuTuning cpu_tuning;
  NumaTuning numa_tuning;
  std::vector<IoThread> iothreads;
  PerfEvents perf;
  OperatingSystem os;
  Features features;
  std::optional<Cpu> cpu;  // always set after fill_defaults
  Clock clock;
  LifecycleActions lifecycle;
  PowerManagement pm;
  Devices devices;
  bool seclabel_none = false;  // <seclabel type='none' model='none'/> was given
  bool operator==(const DomainDefinition&) const = default;
};

}  // namespace warren::driver::config
