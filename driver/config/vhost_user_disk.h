// <disk type='vhostuser'>: a virtio disk that another program serves over a unix socket. Implementation
// header.
//
// Format: libvirt's formatdomain, "Hard drives". That program is the whole of the disk but its place in the
// machine, so there is little to say of it; what would have no effect is refused by name.
#pragma once

#include <string_view>

#include "driver/config/domain_definition.h"
#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

// <source type='unix' path=/>; of a disk that is to be removed there need not be one.
void parse_vhost_user_source(XmlElement& element, Disk& disk, bool is_removal);
void format_vhost_user_source(XmlWriter& writer, const Disk& disk);
// What has no effect on a disk that another program serves, in whichever way; `why` says so.
void refuse_what_others_decide(XmlElement& element, const DiskDriver& driver, std::string_view why);
// What has no effect on such a disk.
void check_vhost_user_disk(XmlElement& element, const Disk& disk);
// The other program is to find guest memory: as with libvirt, that is to be said.
void check_shared_memory(XmlElement& root, const DomainDefinition& definition);

}  // namespace warren::driver::config
