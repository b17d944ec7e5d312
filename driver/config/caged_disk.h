// <disk><driver name='storage-daemon' …/>: a virtio disk on an image that Warren does not read itself, but
// has qemu-storage-daemon serve out of a cage. Implementation header.
//
// The driver's name and the formats beyond libvirt's are Warren's own; all else is libvirt's formatdomain,
// "Hard drives", with <encryption format='luks'> below <source>. What would have no effect is refused by
// name.
#pragma once

#include "driver/config/domain_definition.h"
#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

bool is_caged_disk(XmlElement& disk);

// <driver type=/> and <source>; of a disk that is to be removed there need not be a source.
void parse_caged_image(XmlElement& element, Disk& disk, bool is_removal);
void format_caged_source(XmlWriter& writer, const Disk& disk);
// What has no effect on such a disk.
void check_caged_disk(XmlElement& element, const Disk& disk);

}  // namespace warren::driver::config
