// <source> of a pool: parser and writer. Implementation header (driver/config's XML).
#pragma once

#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"
#include "driver/storage/pool_definition.h"

namespace warren::driver::storage {

PoolSource parse_source_element(config::XmlElement& element, const PoolTraits& traits);
void format_source(config::XmlWriter& writer, const PoolTraits& traits, const PoolSource& source);

}  // namespace warren::driver::storage
