// What <pool> and <volume> have in common. Implementation header (driver/config's XML).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"
#include "driver/storage/pool_definition.h"

namespace warren::driver::storage {

// Runs `parse` and gives what it throws the error domain of storage.
template <typename Parse>
auto as_storage_error(Parse parse) {
  try {
    return parse();
  } catch (const Error& error) {
    // A violated grammar is of the XML itself.
    if (error.domain() == VIR_FROM_XML || error.domain() == VIR_FROM_STORAGE) throw;
    throw Error(error.code(), error.detail(), VIR_FROM_STORAGE);
  }
}

// The document is to be <`name`>. Throws XML_ERROR of the XML itself.
void check_root(const config::XmlElement& root, std::string_view name);
// The text of a child; empty if it is not there.
std::string child_text(config::XmlElement& parent, std::string_view name);
// A name that can be a file's or an entry's: no control characters.
void check_name(const config::XmlElement& element, std::string_view name);
Permissions parse_permissions(config::XmlElement* element);
void format_permissions(config::XmlWriter& writer, const Permissions& permissions);
// A number with a unit, bytes without one. Throws XML_ERROR, OVERFLOW.
std::optional<std::uint64_t> parse_size(config::XmlElement* element);
void format_bytes(config::XmlWriter& writer, std::string_view name, std::uint64_t bytes);

}  // namespace warren::driver::storage
