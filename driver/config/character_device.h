// <serial>, <console> and <channel>: 16550 ports and ports of virtio-serial controllers, and where their
// bytes go on the host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/config/device_address.h"

namespace warren::driver::config {

enum class CharacterBackendType { pty, file, null, unix_socket };
enum class SocketMode { bind, connect };

struct CharacterBackend {
  CharacterBackendType type = CharacterBackendType::pty;
  // pty: the slave, in live XML only; file: absolute path; unix: the socket, chosen by the start if empty,
  // which it can be for a channel only
  std::string path;
  std::optional<SocketMode> socket_mode;  // unix; always set where there is a path
  std::optional<bool> append;             // file
  std::string log_file;                   // <log file=…>: gets a copy of all output
  std::optional<bool> log_append;
  bool operator==(const CharacterBackend&) const = default;
};

// A 16550 on the ISA bus: port 0 is COM1.
struct SerialPort {
  CharacterBackend backend;
  std::optional<std::uint32_t> port;  // 0..3, unique; always set after fill_defaults
  bool target_given = false;          // <target type='isa-serial'> and its model were given or filled in
  DeviceInfo info;                    // no PCI address
  bool operator==(const SerialPort&) const = default;
};

enum class ConsoleTarget {
  serial,  // the first serial port under its other name: no device of its own
  virtio,  // a port of a virtio-serial controller
};

struct Console {
  CharacterBackend backend;
  ConsoleTarget target = ConsoleTarget::serial;
  bool target_given = false;
  std::optional<std::uint32_t> port;
  std::string tty;                             // live XML: the pty's path again, on <console>
  std::optional<VirtioSerialAddress> address;  // target virtio
  DeviceInfo info;                             // no PCI address: that is the controller's
  bool operator==(const Console&) const = default;
};

// <channel>: a port for programs in the guest, who find it by its name.
struct Channel {
  CharacterBackend backend;
  std::string name;               // <target type='virtio' name=…/>
  std::optional<bool> connected;  // live XML: whether the guest has it open, state=…
  std::optional<VirtioSerialAddress> address;
  DeviceInfo info;  // no PCI address: that is the controller's
  bool operator==(const Channel&) const = default;
};

// What a controller has unless <controller ports=…> says otherwise, and the most it can have.
inline constexpr std::uint32_t kSerialControllerPorts = 31;
inline constexpr std::uint32_t kMaximumSerialControllerPorts = 64;
// As many a running domain's has at least, so that channels can come: each port is two queues of the guest's.
inline constexpr std::uint32_t kRunningSerialControllerPorts = 8;

// Where a start puts the socket of a channel that names none, and whether `path` is such a place: in a
// definition it says nothing.
std::string generated_channel_path(const std::string& domain_directory, const std::string& name);
bool is_generated_channel_path(const std::string& path, const std::string& name);

}  // namespace warren::driver::config
