// What identifies a domain and what people and tools write on it: MAC address, metadata.
//
// Values only; any thread. Format: libvirt's formatdomain, "General metadata".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/contract/uuid.h"

namespace warren::driver::config {

using MacAddress = std::array<std::uint8_t, 6>;

// Six pairs of hexadecimal digits parted by colons; a multicast address is not one an interface can have,
// but parses.
std::optional<MacAddress> parse_mac_address(std::string_view text);
std::string format_mac_address(const MacAddress& address);
bool is_multicast(const MacAddress& address);

// One child of <metadata>: its namespace, and the element as text with every namespace it uses declared.
struct MetadataElement {
  std::string namespace_uri;
  std::string xml;
  bool operator==(const MetadataElement&) const = default;
};

// An application's element as MetadataElement: as virDomainSetMetadata takes it, without a namespace; every
// element in it that has none gets `namespace_uri`, under `prefix`. Throws Error (VIR_ERR_XML_DETAIL,
// VIR_ERR_XML_ERROR) if `xml` is not one well-formed element or `prefix` is no XML name.
MetadataElement parse_metadata_element(std::string_view xml, std::string_view prefix,
                                       std::string_view namespace_uri);

// The way back: the element as virDomainGetMetadata gives it, without its own namespace.
std::string metadata_content(const MetadataElement& element);

}  // namespace warren::driver::config
