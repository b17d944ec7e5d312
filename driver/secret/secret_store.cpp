#include "driver/secret/secret_store.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <sodium.h>

#include "driver/config/xml_tree.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::secret {

namespace {

constexpr int kBase64 = sodium_base64_VARIANT_ORIGINAL;

std::string format_value(const Uuid& secret, const SealedValue& value) {
  std::string text(sodium_base64_encoded_len(value.bytes.size(), kBase64), '\0');
  sodium_bin2base64(text.data(), text.size(), value.bytes.data(), value.bytes.size(), kBase64);
  text.pop_back();  // its NUL
  config::XmlWriter writer(text.size() + 256);
  writer.begin("sealedValue");
  writer.attribute("secret", secret.to_string());
  writer.attribute("key", value.key_id);
  writer.text(text);
  writer.end();
  return writer.take();
}

std::pair<Uuid, SealedValue> parse_value(std::string_view xml) {
  config::XmlDocument document(xml, "sealed value", {.bytes = 256u << 10, .depth = 4, .nodes = 16});
  config::XmlElement& root = document.root();
  if (root.name() != "sealedValue") throw root.malformed("it is no sealed value");
  const auto uuid = Uuid::parse(config::require_text(root, "secret"));
  if (!uuid) throw root.malformed_attribute("secret", "it is no UUID");
  SealedValue value{.key_id = config::require_text(root, "key")};
  const std::string_view text = root.text();
  value.bytes.resize(text.size());
  std::size_t size = 0;
  if (sodium_base642bin(value.bytes.data(), value.bytes.size(), text.data(), text.size(), "\n ", &size,
                        nullptr, kBase64) != 0)
    throw root.malformed("it is no base64");
  value.bytes.resize(size);
  root.refuse_unread();
  return {*uuid, std::move(value)};
}

void report(const store::LoadReport& loaded, std::string_view what, std::vector<std::string>& broken) {
  for (const store::BrokenDocument& document : loaded.broken) {
    broken.push_back(fmt::format("{} {} is broken: {}{}", what, document.file, document.reason,
                                 document.set_aside.empty() ? "" : "; kept as " + document.set_aside));
  }
}

}  // namespace

void SecretStore::write_definition(const SecretDefinition& definition) {
  definitions_.write(definition.uuid.to_string(), format_secret(definition));
}

void SecretStore::write_value(const Uuid& secret, const SealedValue& value) {
  values_.write(secret.to_string(), format_value(secret, value));
}

void SecretStore::remove(const Uuid& secret) {
  // In this order a crash between the two leaves a value that belongs to nothing, and not half a secret.
  definitions_.remove(secret.to_string());
  values_.remove(secret.to_string());
}

std::vector<StoredSecret> SecretStore::load_all(std::vector<std::string>& broken) {
  store::LoadReport values =
      values_.load_all([](std::string_view text) { return parse_value(text).first.to_string(); });
  store::LoadReport definitions =
      definitions_.load_all([](std::string_view text) { return parse_secret(text).uuid.to_string(); });
  report(definitions, "secret", broken);
  report(values, "value", broken);
  std::map<Uuid, SealedValue> sealed;
  for (const store::StoredDocument& document : values.documents) sealed.insert(parse_value(document.text));
  std::vector<StoredSecret> secrets;
  for (const store::StoredDocument& document : definitions.documents) {
    StoredSecret secret{.definition = parse_secret(document.text)};
    if (auto value = sealed.extract(secret.definition.uuid)) secret.value = std::move(value.mapped());
    secrets.push_back(std::move(secret));
  }
  // A definition that was set aside may be mended: its value stays.
  if (definitions.broken.empty())
    for (const auto& [uuid, value] : sealed) values_.remove(uuid.to_string());
  return secrets;
}

}  // namespace warren::driver::secret
