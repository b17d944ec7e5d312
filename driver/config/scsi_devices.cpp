#include "driver/config/scsi_devices.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include <fmt/format.h>

#include "driver/config/device_change.h"
#include "driver/config/disk_driver.h"
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

constexpr std::uint32_t kNamedUnits = 7;  // disks on a controller that get their place by name
constexpr std::uint32_t kLastController = 255;
constexpr std::size_t kVendorLength = 8, kProductLength = 16;

bool is_hexadecimal(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) != 0; });
}

std::string parse_name(XmlElement& child, std::size_t longest) {
  std::string text(child.text());
  if (!std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; }))
    throw child.malformed(fmt::format("disk {} is not printable string", child.name()));
  if (text.size() > longest)
    throw child.malformed(fmt::format("disk {} is more than {} characters", child.name(), longest));
  return text;
}

// The place that the disk's name gives it, as libvirt has it.
DriveAddress scsi_place(const Disk& disk) {
  const std::size_t number = disk_number(disk.target);
  return {.controller = static_cast<std::uint32_t>(number / kNamedUnits),
          .unit = static_cast<std::uint32_t>(number % kNamedUnits)};
}

Controller* find_scsi(Devices& devices, std::uint32_t index) {
  const auto found = std::ranges::find_if(devices.controllers, [index](const Controller& each) {
    return each.type == ControllerType::scsi && each.index == index;
  });
  return found == devices.controllers.end() ? nullptr : &*found;
}

}  // namespace

void parse_disk_identity(XmlElement& element, Disk& disk) {
  if (XmlElement* wwn = element.child("wwn")) {
    if (disk.bus == DiskBus::virtio)
      throw wwn->unsupported("only SATA and SCSI disks have a world wide name; use <serial>");
    disk.wwn = wwn->text();
    const std::string_view digits = std::string_view(disk.wwn).substr(disk.wwn.starts_with("0x") ? 2 : 0);
    if (digits.size() != 16 || !is_hexadecimal(digits))
      throw wwn->malformed(fmt::format("'{}' is not 16 hexadecimal digits", disk.wwn.substr(0, 64)));
  }
  for (const auto& [name, longest, text] : {std::tuple("vendor", kVendorLength, &disk.vendor),
                                            std::tuple("product", kProductLength, &disk.product)}) {
    XmlElement* child = element.child(name);
    if (!child) continue;
    if (disk.bus != DiskBus::scsi) throw child->unsupported("only SCSI disks have it");
    *text = parse_name(*child, longest);
  }
}

void format_disk_identity(XmlWriter& writer, const Disk& disk) {
  if (!disk.wwn.empty()) writer.element("wwn", disk.wwn);
  if (!disk.vendor.empty()) writer.element("vendor", disk.vendor);
  if (!disk.product.empty()) writer.element("product", disk.product);
}

void check_scsi_disk(XmlElement& element, const Disk& disk) {
  check_driver_without_queues(element, disk, "scsi", "; give its controller one");
  if (disk.device == DiskDevice::cdrom && disk.block_sizes != DiskBlockSizes{})
    throw element.child("blockio")->unsupported("the blocks of a CD/DVD drive are its own: 2048 bytes");
}

void parse_scsi_controller(XmlElement& element, Controller& controller) {
  if (element.attribute("model")) controller.model = require_enum(element, "model", names::kScsiModel);
  XmlElement* driver = element.child("driver");
  if (!driver) return;
  controller.driver.queues = read_number(*driver, "queues", 1, 64);
  controller.driver.commands_per_unit = read_number(*driver, "cmd_per_lun", 1, 1024);
  controller.driver.maximum_sectors = read_number(*driver, "max_sectors", 1);
  controller.driver.iothread = read_number(*driver, "iothread", 1, kMaximumTuned);
}

void format_controller_driver(XmlWriter& writer, const ControllerDriver& driver) {
  if (driver == ControllerDriver{}) return;
  writer.begin("driver");
  if (driver.queues) writer.attribute("queues", *driver.queues);
  if (driver.commands_per_unit) writer.attribute("cmd_per_lun", *driver.commands_per_unit);
  if (driver.maximum_sectors) writer.attribute("max_sectors", *driver.maximum_sectors);
  if (driver.iothread) writer.attribute("iothread", *driver.iothread);
  writer.end();
}

void place_scsi_disks(Devices& devices) {
  std::uint32_t needed = 0;  // controllers
  for (std::size_t i = 0; i < devices.disks.size(); ++i) {
    Disk& disk = devices.disks[i];
    if (disk.bus != DiskBus::scsi) continue;
    if (!disk.drive) disk.drive = scsi_place(disk);
    if (disk.drive->controller > kLastController) {
      throw config_unsupported(fmt::format("/domain/devices/disk[{}]/target", i + 1), 0,
                               fmt::format("'{}' is beyond the last SCSI controller", disk.target));
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (devices.disks[j].bus != disk.bus || devices.disks[j].drive != disk.drive) continue;
      throw xml_error(fmt::format("/domain/devices/disk[{}]", i + 1), 0,
                      fmt::format("Found duplicate drive address for disk with target name '{}' "
                                  "controller='{}' bus='0' target='{}' unit='{}'",
                                  disk.target, disk.drive->controller, disk.drive->target, disk.drive->unit));
    }
    needed = std::max(needed, disk.drive->controller + 1);
  }
  for (std::uint32_t index = 0; index < needed; ++index)
    if (!find_scsi(devices, index))
      devices.controllers.push_back({.type = ControllerType::scsi, .index = index});
  for (Controller& controller : devices.controllers)
    if (controller.type == ControllerType::scsi) controller.model = ControllerModel::virtio_scsi;
}

void place_hot_plugged_scsi(const Devices& devices, Disk& disk) {
  if (!disk.drive) disk.drive = scsi_place(disk);
  for (const Disk& other : devices.disks) {
    if (other.bus == disk.bus && other.drive == disk.drive)
      throw operation_failed(fmt::format(
          "Domain already contains a disk with that address: controller='{}' bus='0' target='{}' unit='{}'",
          disk.drive->controller, disk.drive->target, disk.drive->unit));
  }
}

std::vector<std::uint32_t> missing_scsi_controllers(const Devices& live, const Device& device) {
  std::vector<std::uint32_t> missing;
  const auto* disk = std::get_if<Disk>(&device);
  if (disk == nullptr || disk->bus != DiskBus::scsi) return missing;
  const std::uint32_t last = disk->drive.value_or(scsi_place(*disk)).controller;
  if (last > kLastController)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("'{}' is beyond the last SCSI controller", disk->target));
  for (std::uint32_t index = 0; index <= last; ++index)
    if (!has_scsi_controller(live, index)) missing.push_back(index);
  return missing;
}

bool has_scsi_controller(const Devices& devices, std::uint32_t index) {
  return std::ranges::any_of(devices.controllers, [index](const Controller& each) {
    return each.type == ControllerType::scsi && each.index == index;
  });
}

}  // namespace warren::driver::config
