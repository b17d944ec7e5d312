// What the daemon does to a running machine beyond its life cycle: keys, NMIs, a look at memory, a core dump.
//
// Commands of the control protocol (protocol.h), each with one of the structs below as its arguments or
// answer: inject_nmi, send_keys(SendKeys), send_input(SendInput), set_reset_action(SetResetAction),
// read_memory(ReadMemory) → MemoryBytes, dump(BeginDump), dump_status → DumpStatus, abort_dump,
// add_iothread(IoThreadName), delete_iothread(IoThreadName), start_dirty_rate(StartDirtyRate), dirty_rate →
// DirtyRateStatus, kvm_statistics → KvmStatisticsNames (descriptors: KVM's files for the machine and for each
// of these vCPUs; none where it has none). Event: clock_set(ClockSet), when the guest has set its real-time
// clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "vmm-core/control/machine_specification.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::control {

inline constexpr std::size_t kMaximumKeys = 16;
inline constexpr std::uint32_t kMaximumHoldMilliseconds = 60'000;
inline constexpr std::uint32_t kMaximumPeekBytes = 65'536;

// All of them down, in this order; up again, in the other order, after `hold_ms` milliseconds.
struct SendKeys {
  std::vector<std::uint16_t> codes;  // AT set 1 make codes, 0xe0 in the high byte for extended keys
  std::uint32_t hold_ms = 0;
  // The same as codes of Linux's input events, for a virtio keyboard; none: the PS/2 keyboard has them.
  std::vector<std::uint16_t> linux_codes = {};
};
BOOST_DESCRIBE_STRUCT(SendKeys, (), (codes, hold_ms, linux_codes))

inline constexpr std::size_t kMaximumInputEvents = 64;

// An event of Linux's input layer; a button or key with value 1 goes down, with 0 up.
struct InputEventSpecification {
  std::uint16_t type = 0;  // EV_KEY, EV_REL or EV_ABS
  std::uint16_t code = 0;
  std::int32_t value = 0;
  std::uint16_t at_code = 0;  // of a key that the PS/2 keyboard has: as SendKeys::codes; else 0
};
BOOST_DESCRIBE_STRUCT(InputEventSpecification, (), (type, code, value, at_code))

// What happens at once, each to the keyboard or pointer that has such a thing and whose driver came last.
struct SendInput {
  std::vector<InputEventSpecification> events;
};
BOOST_DESCRIBE_STRUCT(SendInput, (), (events))

struct SetResetAction {
  GuestAction action = GuestAction::reset;
};
BOOST_DESCRIBE_STRUCT(SetResetAction, (), (action))

struct ReadMemory {
  std::uint64_t address = 0;
  std::uint32_t size = 0;   // at most kMaximumPeekBytes
  bool is_virtual = false;  // as vCPU 0 translates it now; else guest-physical
};
BOOST_DESCRIBE_STRUCT(ReadMemory, (), (address, size, is_virtual))

struct MemoryBytes {
  std::string hexadecimal;
};
BOOST_DESCRIBE_STRUCT(MemoryBytes, (), (hexadecimal))

// An ELF core of the guest's memory and vCPUs, written from the beginning of the descriptor that comes with
// the message.
struct BeginDump {
  bool live = false;  // the guest runs on while its memory is written
};
BOOST_DESCRIBE_STRUCT(BeginDump, (), (live))

enum class DumpState { none, active, complete, failed, aborted };
BOOST_DESCRIBE_ENUM(DumpState, none, active, complete, failed, aborted)

struct DumpStatus {
  DumpState state = DumpState::none;
  std::uint64_t total_bytes = 0, written_bytes = 0;
  std::string error;
};
BOOST_DESCRIBE_STRUCT(DumpStatus, (), (state, total_bytes, written_bytes, error))

struct StartDirtyRate {
  std::uint32_t seconds = 1;  // 1 to 60
};
BOOST_DESCRIBE_STRUCT(StartDirtyRate, (), (seconds))

struct DirtyRateStatus {
  bool is_measuring = false;
  std::uint64_t dirty_bytes = 0;  // written in the last measurement
  std::uint32_t seconds = 0;      // its length; 0: there was none
};
BOOST_DESCRIBE_STRUCT(DirtyRateStatus, (), (is_measuring, dirty_bytes, seconds))

struct KvmStatisticsNames {
  std::vector<std::uint32_t> vcpus;  // not told by workers whose vCPUs do not come and go: 0 and so on
};
BOOST_DESCRIBE_STRUCT(KvmStatisticsNames, (), (vcpus))

struct KvmStatisticsFiles {
  std::vector<FileDescriptor> files;  // the machine's first; none where KVM counts nothing
  KvmStatisticsNames names;           // of the others
};

struct IoThreadName {
  std::uint32_t id = 0;
};
BOOST_DESCRIBE_STRUCT(IoThreadName, (), (id))

struct ClockSet {
  std::int64_t offset_seconds = 0;  // what it shows minus host UTC
};
BOOST_DESCRIBE_STRUCT(ClockSet, (), (offset_seconds))

// As Commands (server.h): each runs to its end before it returns; what cannot be done throws Error.
class Probes {
 public:
  virtual void inject_nmi() = 0;
  virtual void send_keys(const SendKeys& keys) = 0;
  virtual void send_input(const SendInput& input) = 0;
  virtual void set_reset_action(GuestAction action) = 0;
  virtual std::vector<std::byte> read_memory(const ReadMemory& range) = 0;
  // Returns when the dump has begun.
  virtual void dump(const BeginDump& how, FileDescriptor file) = 0;
  virtual DumpStatus dump_status() const = 0;
  virtual void abort_dump() = 0;
  virtual void add_iothread(std::uint32_t id) = 0;
  virtual void delete_iothread(std::uint32_t id) = 0;
  virtual void start_dirty_rate(std::uint32_t seconds) = 0;
  virtual DirtyRateStatus dirty_rate() const = 0;
  virtual KvmStatisticsFiles kvm_statistics() = 0;

 protected:
  ~Probes() = default;
};

}  // namespace warren::vmm::control
