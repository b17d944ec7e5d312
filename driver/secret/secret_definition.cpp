#include "driver/secret/secret_definition.h"

#include <optional>

#include <fmt/format.h>

#include "driver/config/xml_schema.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"
#include "driver/secret/secret_schema_text.h"

namespace warren::driver::secret {

namespace {

constexpr config::XmlLimits kLimits{.bytes = 256u << 10, .depth = 8, .nodes = 64};

// Each usage, and the element that holds its id.
struct Usage {
  std::string_view name;
  int type;
  std::string_view element;
};
constexpr Usage kUsages[] = {
    {"none", VIR_SECRET_USAGE_TYPE_NONE, ""},     {"volume", VIR_SECRET_USAGE_TYPE_VOLUME, "volume"},
    {"ceph", VIR_SECRET_USAGE_TYPE_CEPH, "name"}, {"iscsi", VIR_SECRET_USAGE_TYPE_ISCSI, "target"},
    {"tls", VIR_SECRET_USAGE_TYPE_TLS, "name"},   {"vtpm", VIR_SECRET_USAGE_TYPE_VTPM, "name"},
};

void parse_usage(config::XmlElement* element, SecretDefinition& definition) {
  if (element == nullptr) return;
  const std::string type = config::require_text(*element, "type");
  for (const Usage& usage : kUsages) {
    if (usage.name != type) continue;
    definition.usage_type = usage.type;
    if (usage.element.empty()) return;
    config::XmlElement* id = element->child(usage.element);
    if (id != nullptr) definition.usage_id = id->text();
    if (definition.usage_id.empty())
      throw element->malformed(fmt::format("a usage of type '{}' needs <{}>", type, usage.element));
    return;
  }
  throw element->malformed_attribute("type", fmt::format("'{}' is no usage of a secret", type.substr(0, 64)));
}

SecretDefinition parse(std::string_view xml, bool validate) {
  if (validate) {
    config::validate_against({.text = std::string_view(kSecretSchema, sizeof kSecretSchema - 1),
                              .document = "secret_definition",
                              .root = "secret"},
                             xml, kLimits);
  }
  config::XmlDocument document(xml, "secret_definition", kLimits);
  config::XmlElement& root = document.root();
  if (root.name() != "secret")
    throw root.malformed(fmt::format("the document is to be <secret>, not <{}>", root.name().substr(0, 64)));
  SecretDefinition definition;
  definition.is_ephemeral = config::read_yes_no(root, "ephemeral").value_or(false);
  definition.is_private = config::read_yes_no(root, "private").value_or(false);
  if (config::XmlElement* uuid = root.child("uuid")) {
    const std::optional<Uuid> value = Uuid::parse(uuid->text());
    if (!value) throw uuid->malformed("it is no UUID");
    definition.uuid = *value;
  } else {
    definition.uuid = Uuid::random();
  }
  if (config::XmlElement* description = root.child("description"))
    definition.description = description->text();
  parse_usage(root.child("usage"), definition);
  root.refuse_unread();
  return definition;
}

}  // namespace

SecretDefinition parse_secret(std::string_view xml, bool validate) {
  try {
    return parse(xml, validate);
  } catch (const Error& error) {
    if (error.domain() != VIR_FROM_DOMAIN) throw;
    throw Error(error.code(), error.detail(), VIR_FROM_SECRET);
  }
}

std::string format_secret(const SecretDefinition& definition) {
  config::XmlWriter writer(512);
  writer.begin("secret");
  writer.attribute("ephemeral", definition.is_ephemeral ? "yes" : "no");
  writer.attribute("private", definition.is_private ? "yes" : "no");
  writer.element("uuid", definition.uuid.to_string());
  if (!definition.description.empty()) writer.element("description", definition.description);
  for (const Usage& usage : kUsages) {
    if (usage.type != definition.usage_type || usage.element.empty()) continue;
    writer.begin("usage");
    writer.attribute("type", usage.name);
    writer.element(usage.element, definition.usage_id);
    writer.end();
  }
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::secret
