// The parts parse_interface() and format_interface() are made of. Implementation header.
#pragma once

#include <string>
#include <string_view>

#include "driver/config/domain_xml_parts.h"
#include "driver/config/interface.h"
#include "driver/config/xml_tree.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

// interface.cpp: the name of a link, which the kernel would take.
std::string require_interface_name(XmlElement& element, std::string_view attribute);

// interface_backend.cpp
InterfaceBackend parse_interface_backend(XmlElement& element);
// What of it has no effect on the interface, and what on one without a link, is refused by name.
void check_interface_backend(XmlElement& element, const Interface& interface);
void check_without_link(XmlElement& element, const Interface& interface);
void format_interface_backend(XmlWriter& writer, const InterfaceBackend& backend);
UserNetwork parse_user_network(XmlElement& element);
void format_user_source(XmlWriter& writer, const UserNetwork& user);
void format_user_network(XmlWriter& writer, const UserNetwork& user);
VhostUserSource parse_vhost_user_interface(XmlElement& element);
void format_vhost_user_interface(XmlWriter& writer, const VhostUserSource& source);

}  // namespace warren::driver::config
