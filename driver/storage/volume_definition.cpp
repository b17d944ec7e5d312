#include "driver/storage/volume_definition.h"

#include <algorithm>

#include <fmt/format.h>

#include "driver/config/xml_schema.h"
#include "driver/config/xml_values.h"
#include "driver/storage/definition_parts.h"
#include "driver/storage/image_formats.h"
#include "driver/storage/volume_schema_text.h"

namespace warren::driver::storage {

namespace {

using config::XmlElement;
using config::XmlWriter;

constexpr config::XmlLimits kLimits{.bytes = 256u << 10, .depth = 16, .nodes = 2048};

// In the order of virStorageVolType.
constexpr std::string_view kTypes[] = {"file", "block", "dir", "network", "netdir", "ploop"};
constexpr std::string_view kFeatures[] = {"lazy_refcounts", "extended_l2"};

std::string parse_format(XmlElement& element, PoolType pool) {
  const PoolTraits& traits = traits_of(pool);
  XmlElement* format = element.child("format");
  if (format == nullptr) return std::string(traits.default_volume_format);
  const std::string type = config::require_text(*format, "type");
  if (traits.volume_formats.empty()) return {};
  const bool is_file = traits.volume_formats.data() == static_cast<const std::string_view*>(kImageFormats);
  if (!is_one_of(type, traits.volume_formats) || (is_file && type == "none"))
    throw format->unsupported_attribute("type", fmt::format("unknown volume format type {}", type));
  return type;
}

// What vol-dumpxml shows of times comes back with a creation, and is not used.
void skip_timestamps(XmlElement* element) {
  if (element == nullptr) return;
  for (const char* name : {"atime", "mtime", "ctime", "btime"})
    if (XmlElement* time = element->child(name)) time->text();
}

void parse_encryption(XmlElement& element, Image& image) {
  image.encryption = config::require_text(element, "format");
  if (image.encryption != "luks" && image.encryption != "qcow" && image.encryption != "default")
    throw element.unsupported_attribute(
        "format", fmt::format("unknown volume encryption format type {}", image.encryption.substr(0, 64)));
  for (XmlElement* secret : element.children("secret")) {
    if (config::require_text(*secret, "type") != "passphrase")
      throw secret->unsupported_attribute("type", "it is to be 'passphrase'");
    if (const auto uuid = secret->attribute("uuid")) {
      const auto parsed = Uuid::parse(*uuid);
      if (!parsed) throw secret->malformed_attribute("uuid", "malformed volume encryption uuid");
      image.encryption_secret = parsed->to_string();
    }
  }
}

void parse_features(XmlElement* element, Image& image) {
  if (element == nullptr) return;
  if (image.compatibility.empty()) image.compatibility = "1.1";
  image.features.emplace();
  for (const XmlElement* child : element->all_children()) {
    if (!is_one_of(child->name(), kFeatures))
      throw child->unsupported(fmt::format("unsupported feature {}", child->name().substr(0, 64)));
  }
  for (std::string_view feature : kFeatures)
    if (element->child(feature) != nullptr) image.features->emplace_back(feature);
}

Image parse_image(XmlElement& element, PoolType pool) {
  Image image;
  if (XmlElement* path = element.child("path")) {
    image.path = path->text();
    check_name(*path, image.path);
  }
  image.format = parse_format(element, pool);
  image.permissions = parse_permissions(element.child("permissions"));
  skip_timestamps(element.child("timestamps"));
  if (XmlElement* encryption = element.child("encryption")) parse_encryption(*encryption, image);
  if (XmlElement* compat = element.child("compat")) {
    image.compatibility = compat->text();
    if (image.compatibility != "0.10" && image.compatibility != "1.1")
      throw compat->malformed("forbidden characters in 'compat' attribute: it is '0.10' or '1.1'");
  }
  image.no_cow = element.child("nocow") != nullptr;
  if (XmlElement* size = element.child("clusterSize")) {
    image.cluster_bytes = parse_size(size).value_or(0);
    if (image.cluster_bytes < 512 || image.cluster_bytes > 2u << 20 ||
        (image.cluster_bytes & (image.cluster_bytes - 1)) != 0)
      throw size->malformed("it is to be a power of two between 512 bytes and 2 MiB");
  }
  parse_features(element.child("features"), image);
  return image;
}

VolumeDefinition parse(std::string_view xml, PoolType pool, CapacityRule rule, bool validate) {
  if (validate) {
    config::validate_against({.text = std::string_view(kVolumeSchema, sizeof kVolumeSchema - 1),
                              .document = "storage_volume_definition",
                              .root = "volume"},
                             xml, kLimits);
  }
  config::XmlDocument document(xml, "storage_volume_definition", kLimits);
  XmlElement& root = document.root();
  check_root(root, "volume");
  VolumeDefinition definition;
  if (const auto type = root.attribute("type")) {
    const auto found = std::ranges::find(kTypes, *type);
    if (found == std::end(kTypes))
      throw root.unsupported_attribute("type", fmt::format("unknown volume type '{}'", type->substr(0, 64)));
    definition.type = static_cast<int>(found - std::begin(kTypes));
  }
  XmlElement* name = root.child("name");
  if (name == nullptr) throw root.malformed("missing volume name element");
  definition.name = name->text();
  check_name(*name, definition.name);
  // Made by the pool; what a document says of them is for its reader.
  child_text(root, "key");
  if (XmlElement* source = root.child("source")) {
    for (XmlElement* device : source->children("device")) {
      device->attribute("path");
      for (XmlElement* extent : device->children("extent")) {
        extent->attribute("start");
        extent->attribute("end");
      }
    }
  }
  if (XmlElement* physical = root.child("physical")) parse_size(physical);
  definition.target.format = traits_of(pool).default_volume_format;
  if (XmlElement* target = root.child("target")) definition.target = parse_image(*target, pool);
  if (XmlElement* backing = root.child("backingStore")) {
    // Without a path there is none, whatever else is said of it.
    Image image = parse_image(*backing, pool);
    if (!image.path.empty()) definition.backing = std::move(image);
  }
  const auto capacity = parse_size(root.child("capacity"));
  if (!capacity && (rule == CapacityRule::required ||
                    (rule == CapacityRule::optional_with_backing && !definition.backing)))
    throw root.malformed("missing capacity element");
  definition.capacity = capacity.value_or(0);
  const auto allocation = parse_size(root.child("allocation"));
  definition.allocation_given = allocation.has_value();
  definition.allocation = allocation.value_or(definition.capacity);
  root.refuse_unread();
  return definition;
}

void format_time(XmlWriter& writer, std::string_view name, const Timestamp& time) {
  writer.element(name, time.nanoseconds == 0 ? fmt::format("{}", time.seconds)
                                             : fmt::format("{}.{:09}", time.seconds, time.nanoseconds));
}

void format_image(XmlWriter& writer, std::string_view element, const Image& image) {
  writer.begin(element);
  writer.content();
  if (!image.path.empty()) writer.element("path", image.path);
  if (!image.format.empty()) {
    writer.begin("format");
    writer.attribute("type", image.format);
    writer.end();
  }
  format_permissions(writer, image.permissions);
  if (image.timestamps) {
    writer.begin("timestamps");
    format_time(writer, "atime", image.timestamps->access);
    format_time(writer, "mtime", image.timestamps->modification);
    format_time(writer, "ctime", image.timestamps->change);
    if (image.timestamps->birth) format_time(writer, "btime", *image.timestamps->birth);
    writer.end();
  }
  if (!image.encryption.empty()) {
    writer.begin("encryption");
    writer.attribute("format", image.encryption);
    if (!image.encryption_secret.empty()) {
      writer.begin("secret");
      writer.attribute("type", "passphrase");
      writer.attribute("uuid", image.encryption_secret);
      writer.end();
    }
    writer.end();
  }
  if (!image.compatibility.empty()) writer.element("compat", image.compatibility);
  if (image.cluster_bytes > 0) {
    writer.begin("clusterSize");
    writer.attribute("unit", "B");
    writer.text(std::to_string(image.cluster_bytes));
    writer.end();
  }
  if (image.features) {
    writer.begin("features");
    for (const std::string& feature : *image.features) writer.empty(feature);
    writer.end();
  }
  writer.end();
}

// One <device> for each that has extents, as they follow each other.
void format_extents(XmlWriter& writer, const std::vector<VolumeExtent>& extents) {
  writer.begin("source");
  std::string_view device;
  for (const VolumeExtent& extent : extents) {
    if (device != extent.device) {
      if (!device.empty()) writer.end();
      device = extent.device;
      writer.begin("device");
      writer.attribute("path", device);
    }
    writer.begin("extent");
    writer.attribute("start", extent.start);
    writer.attribute("end", extent.end);
    writer.end();
  }
  if (!device.empty()) writer.end();
  writer.end();
}

}  // namespace

VolumeDefinition parse_volume(std::string_view xml, PoolType pool, CapacityRule rule, bool validate) {
  return as_storage_error([&] { return parse(xml, pool, rule, validate); });
}

std::string format_volume(const VolumeDefinition& definition) {
  XmlWriter writer(1024);
  writer.begin("volume");
  const auto type = static_cast<std::size_t>(definition.type);
  writer.attribute("type", type < std::size(kTypes) ? kTypes[type] : kTypes[0]);
  writer.element("name", definition.name);
  if (!definition.key.empty()) writer.element("key", definition.key);
  if (!definition.extents.empty()) format_extents(writer, definition.extents);
  format_bytes(writer, "capacity", definition.capacity);
  format_bytes(writer, "allocation", definition.allocation);
  if (definition.physical != 0) format_bytes(writer, "physical", definition.physical);
  format_image(writer, "target", definition.target);
  if (definition.backing) format_image(writer, "backingStore", *definition.backing);
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::storage
