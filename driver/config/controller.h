// <controller>: the PCI hierarchy, the virtio-serial controllers that consoles are plugged into, SATA and
// SCSI.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/config/device_address.h"

namespace warren::driver::config {

enum class ControllerType { pci, virtio_serial, usb, sata, scsi };
enum class ControllerModel {
  unspecified,     // virtio-serial, sata
  pcie_root,       // pci, index 0
  pcie_root_port,  // pci: the bus of its index lies behind it and takes one device in slot 0
  usb_none,        // usb: the machine has no USB controller
  virtio_scsi,     // scsi; always set after fill_defaults
};

// <driver> below a SCSI controller.
struct ControllerDriver {
  std::optional<std::uint32_t> queues;             // 1..64
  std::optional<std::uint32_t> commands_per_unit;  // cmd_per_lun=, 1..1024
  std::optional<std::uint32_t> maximum_sectors;    // max_sectors=, from 1
  std::optional<std::uint32_t> iothread;           // the id of an IOThread of the domain
  bool operator==(const ControllerDriver&) const = default;
};

struct Controller {
  ControllerType type = ControllerType::pci;
  ControllerModel model = ControllerModel::unspecified;
  std::optional<std::uint32_t> index;    // pci: the bus number; always set after fill_defaults
  std::string model_name;                // pcie-root-port: <model name=…/>
  std::optional<std::uint32_t> chassis;  // pcie-root-port: <target chassis=… port=…/>
  std::optional<std::uint32_t> port;
  std::optional<bool> hotplug;         // pcie-root-port; none: on
  std::optional<std::uint32_t> ports;  // virtio-serial: how many there are room for
  ControllerDriver driver;             // scsi
  DeviceInfo info;
  bool operator==(const Controller&) const = default;
};

}  // namespace warren::driver::config
