// <driver> below a disk: its XML, and what a disk's bus and use leave of it. Implementation header; what it
// means is in disk.h.
#pragma once

#include <string_view>

#include "driver/config/disk.h"
#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

DiskDriver parse_disk_driver(XmlElement& element);
void format_disk_driver(XmlWriter& writer, const Disk& disk);

// What the rest of `disk`, which `element` is, is in the way of. Throws Error naming the attribute.
void check_disk_driver(XmlElement& element, const Disk& disk);
// What only a virtio disk has; `advice` follows the refusal of an IOThread.
void check_driver_without_queues(XmlElement& element, const Disk& disk, std::string_view bus,
                                 std::string_view advice = {});

}  // namespace warren::driver::config
