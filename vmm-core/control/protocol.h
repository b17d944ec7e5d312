// The control protocol between the daemon and a worker: what is asked, answered and told.
//
// Framing is QMP's: one JSON object a line over a unix stream socket, {"execute", "arguments", "id"} answered
// by
// {"return", "id"} or {"error": {"class", "desc"}, "id"}; {"event", "data"} at any time. A message that
// carries descriptors says how many in "descriptors"; they travel by SCM_RIGHTS with its first byte. A worker
// greets each connection with the event `hello`. Requests are answered in order. Versioned and additive:
// members and commands are added, never changed; Hello tells which revision a peer speaks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "vmm-core/control/block_jobs.h"
#include "vmm-core/control/machine_specification.h"

namespace warren::vmm::control {

inline constexpr std::uint32_t kProtocolRevision = 1;
inline constexpr std::size_t kMaximumMessageBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaximumDescriptorsPerMessage = 200;  // the kernel's SCM_MAX_FD is 253

// The life of a worker's machine. A machine that is shut_down or crashed stays so until `quit`, so that a
// daemon that was away learns of it. One that is suspended is in S3 until something wakes its guest.
enum class MachineState { unconfigured, prepared, running, paused, shut_down, crashed, suspended };
BOOST_DESCRIBE_ENUM(MachineState, unconfigured, prepared, running, paused, shut_down, crashed, suspended)

// Why it came to that state: by a command, or by the guest's or the host's doing. guest_wakeup is what is not
// `wake`: the guest's own alarm, or the power button.
enum class StateCause {
  command,
  guest_shutdown,
  guest_reset,
  crash,
  host_error,
  watchdog,
  guest_suspend,
  guest_hibernation,  // shut_down by S4
  guest_wakeup,
};
BOOST_DESCRIBE_ENUM(StateCause, command, guest_shutdown, guest_reset, crash, host_error, watchdog,
                    guest_suspend, guest_hibernation, guest_wakeup)

// Event `hello`: first line on every connection. Also the answer to `status`.
struct Status {
  std::uint32_t revision = kProtocolRevision;
  std::string version;  // of the worker's program
  std::string uuid;     // empty before configure
  MachineState state = MachineState::unconfigured;
  StateCause cause = StateCause::command;  // of that state
  std::string detail;                      // why it crashed
  std::uint64_t resets = 0;  // guest resets so far, so that a returning daemon sees that it missed some
  std::vector<StalledDisk> stalled_disks;
  std::vector<std::string> open_ports;  // ids of the console ports that the guest has open
  std::vector<std::string> open_trays;  // ids of the CD/DVD drives that stand open
  // The ids of all PCI devices there are, and of what is on SCSI; not told by workers that have no hot plug.
  std::optional<std::vector<std::string>> devices;
  // The vCPUs there are; not told by workers whose vCPUs do not come and go.
  std::optional<std::vector<std::uint32_t>> vcpus;
  // As devices, of all console ports.
  std::optional<std::vector<std::string>> ports;
  // All memory devices; not told by workers that have none.
  std::optional<std::vector<MemoryDeviceStatus>> memory_devices;
  // Block jobs, ended ones that nobody has dismissed too; not told by workers that know of none.
  std::optional<std::vector<BlockJob>> block_jobs;
  // The ids of interfaces whose streams are lost; not told by workers that have none.
  std::optional<std::vector<std::string>> lost_interfaces;
};
BOOST_DESCRIBE_STRUCT(Status, (),
                      (revision, version, uuid, state, cause, detail, resets, stalled_disks, open_ports,
                       devices, open_trays, vcpus, ports, memory_devices, block_jobs, lost_interfaces))

struct AddDescriptors {
  std::vector<std::string> names;  // in the order of the descriptors that come with the message
};
BOOST_DESCRIBE_STRUCT(AddDescriptors, (), (names))

struct Configure {
  MachineSpecification machine;
};
BOOST_DESCRIBE_STRUCT(Configure, (), (machine))

struct Start {
  bool paused = false;
};
BOOST_DESCRIBE_STRUCT(Start, (), (paused))

struct Nothing {};
BOOST_DESCRIBE_STRUCT(Nothing, (), ())

// Commands: add_descriptors(AddDescriptors) configure(Configure) start(Start) pause resume reset power_button
// ctrl_alt_del wake status→Status inspect→tree counters→(one descriptor: CountersPage) quit; and
// those of block_jobs.h, probes.h, disks.h, hot_plug.h, media.h, memory_devices.h, memory_failure.h,
// small_devices.h, vcpus.h and vsock.h. Events: hello(Status), state_changed(StateChanged) after each change,
// whoever caused it, port_changed(PortChanged); and those of the same headers.
struct StateChanged {
  MachineState state = MachineState::running;  // after the change; running after a reset
  StateCause cause = StateCause::command;
  std::string detail;
};
BOOST_DESCRIBE_STRUCT(StateChanged, (), (state, cause, detail))

// The guest has opened or closed a console port (virtio 1.2 §5.3.6).
struct PortChanged {
  std::string id;
  bool open = false;
};
BOOST_DESCRIBE_STRUCT(PortChanged, (), (id, open))

}  // namespace warren::vmm::control
