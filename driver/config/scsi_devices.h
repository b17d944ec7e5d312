// SCSI controllers and what is on them: their XML, and the places that disks get by their names.
// Implementation header.
#pragma once

#include "driver/config/domain_definition.h"
#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

// <wwn>, which a SATA disk has too, <vendor> and <product>.
void parse_disk_identity(XmlElement& element, Disk& disk);
void format_disk_identity(XmlWriter& writer, const Disk& disk);
// What a SCSI disk has not, or has of its controller.
void check_scsi_disk(XmlElement& element, const Disk& disk);
// model= and <driver>.
void parse_scsi_controller(XmlElement& element, Controller& controller);
void format_controller_driver(XmlWriter& writer, const ControllerDriver& driver);

// Every SCSI disk has its place, and every controller up to the last one that a disk needs is there. Throws
// Error.
void place_scsi_disks(Devices& devices);
// Of a running domain, into which `disk` is to be plugged: its place, which is free. Throws Error.
void place_hot_plugged_scsi(const Devices& devices, Disk& disk);
bool has_scsi_controller(const Devices& devices, std::uint32_t index);

}  // namespace warren::driver::config
