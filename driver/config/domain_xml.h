// libvirt domain XML to DomainDefinition and back.
//
// Pure functions: no I/O, no state; any thread. The text is hostile: its size, depth and number of nodes are
// limited, a document type or an entity declaration is refused, nothing is ever loaded. Failures are
// driver::Error: VIR_ERR_XML_ERROR for what is malformed, duplicate or contradictory,
// VIR_ERR_CONFIG_UNSUPPORTED for every element, attribute or value that asks for what Warren cannot do, each
// with the element's path and line. Nothing is ignored but comments and the parts of live XML that say what
// is so now (id, the pty of a serial port, aliases not beginning with "ua-") when `inactive` is asked.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "driver/config/domain_definition.h"

namespace warren::driver::config {

inline constexpr std::size_t kMaximumDocumentBytes = 4u << 20;
inline constexpr std::size_t kMaximumDocumentDepth = 64;
inline constexpr std::size_t kMaximumDocumentNodes = 50'000;

struct ParseOptions {
  bool inactive = true;   // drop what belongs to a running domain
  bool validate = false;  // check against our schema first: VIR_ERR_XML_INVALID_SCHEMA
};

struct FormatOptions {
  bool inactive = false;    // a persistent definition: no id, aliases, ptys, generated tap names
  bool secure = false;      // VIR_DOMAIN_XML_SECURE; nothing secret is in a definition yet
  bool migratable = false;  // VIR_DOMAIN_XML_MIGRATABLE: implies inactive; without what any host fills in
};

DomainDefinition parse_domain(std::string_view xml, const ParseOptions& options = {});

// Indented by two, as libvirt prints it, with a newline at the end.
std::string format_domain(const DomainDefinition& definition, const FormatOptions& options = {});

// Throws what parse_domain() would throw for the text of `definition`. For changes that did not come as a
// document (a new name, title or metadata): what could not be read back when the daemon starts again must not
// be stored.
void check_readable(const DomainDefinition& definition);

// Throws VIR_ERR_XML_INVALID_SCHEMA naming element and line if `xml` is not of the language of
// xml-schemas/domain.rng.
void validate_domain_schema(std::string_view xml);

}  // namespace warren::driver::config
