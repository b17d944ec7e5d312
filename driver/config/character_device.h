// <serial> and <console>: 16550 ports and virtio consoles, and where their bytes go on the host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/config/device_address.h"

namespace warren::driver::config {

enum class CharacterBackendType { pty, file, null };

struct CharacterBackend {
  CharacterBackendType type = CharacterBackendType::pty;
  std::string path;            // pty: the slave, in live XML only; file: absolute path
  std::optional<bool> append;  // file
  std::string log_file;        // <log file=…>: gets a copy of all output
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

}  // namespace warren::driver::config
