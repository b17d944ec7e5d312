// Validation against xml-schemas/domain.rng.
#include "driver/config/domain_schema_text.h"
#include "driver/config/domain_xml.h"
#include "driver/config/xml_schema.h"

namespace warren::driver::config {

void validate_domain_schema(std::string_view xml) {
  validate_against({.text = std::string_view(kDomainSchema, sizeof kDomainSchema - 1),
                    .document = "domain_definition",
                    .root = "domain"},
                   xml,
                   {.bytes = kMaximumDocumentBytes,
                    .depth = kMaximumDocumentDepth + kMaximumBackingImages,
                    .nodes = kMaximumDocumentNodes});
}

}  // namespace warren::driver::config
