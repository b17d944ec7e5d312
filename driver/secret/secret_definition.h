// <secret>: what a secret is for and who may see it; never its value.
//
// Format: libvirt's formatsecret. Pure functions; the document is hostile.
#pragma once

#include <string>
#include <string_view>

#include "driver/contract/secrets.h"

namespace warren::driver::secret {

struct SecretDefinition {
  Uuid uuid;
  bool is_ephemeral = false;  // never stored on disk
  bool is_private = false;    // its value is never given to a client
  std::string description;
  int usage_type = VIR_SECRET_USAGE_TYPE_NONE;
  std::string usage_id;

  SecretHandle handle() const { return {uuid, usage_type, usage_id}; }
  bool operator==(const SecretDefinition&) const = default;
};

// A secret without <uuid> gets one. Throws driver::Error (domain SECRET): XML_ERROR for what is malformed,
// CONFIG_UNSUPPORTED for what Warren does not know, XML_INVALID_SCHEMA if it was to be validated.
SecretDefinition parse_secret(std::string_view xml, bool validate = false);
std::string format_secret(const SecretDefinition& definition);

}  // namespace warren::driver::secret
