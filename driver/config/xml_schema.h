// Validation against a RELAX NG grammar of xml-schemas/, which is compiled into the daemon.
//
// Any thread. The document is hostile: the limits of XmlDocument are checked first.
#pragma once

#include <string_view>

#include "driver/config/xml_tree.h"

namespace warren::driver::config {

struct XmlGrammar {
  std::string_view text;      // of static storage
  std::string_view document;  // names the document in messages: "domain_definition"
  std::string_view root;      // its root element
};

// Throws driver::Error: XML_INVALID_SCHEMA naming line and element, and whatever XmlDocument throws.
void validate_against(const XmlGrammar& grammar, std::string_view xml, const XmlLimits& limits);

}  // namespace warren::driver::config
