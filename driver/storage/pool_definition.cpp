#include "driver/storage/pool_definition.h"

#include <algorithm>

#include <fmt/format.h>

#include "driver/config/xml_schema.h"
#include "driver/config/xml_values.h"
#include "driver/storage/definition_parts.h"
#include "driver/storage/pool_schema_text.h"
#include "driver/storage/pool_source.h"

namespace warren::driver::storage {

namespace {

using config::XmlElement;

constexpr config::XmlLimits kLimits{.bytes = 1u << 20, .depth = 16, .nodes = 8192};
constexpr std::size_t kMostOptions = 256;

const PoolTraits& parse_type(XmlElement& root) {
  const std::string type = config::require_text(root, "type");
  if (const PoolTraits* traits = find_traits(type)) return *traits;
  const auto all = all_pool_types();
  if (std::ranges::find(all, type) != all.end())
    throw root.unsupported_attribute("type", fmt::format("Warren has no pools of type '{}'", type));
  throw root.malformed_attribute("type", fmt::format("'{}' is no type of a pool", type.substr(0, 64)));
}

void parse_target(XmlElement& root, const PoolTraits& traits, PoolDefinition& definition) {
  XmlElement* target = root.child("target");
  XmlElement* path = target == nullptr ? nullptr : target->child("path");
  if (path != nullptr) {
    config::check_absolute_path(*path, path->text());
    check_name(*path, path->text());
  }
  if (target != nullptr) definition.permissions = parse_permissions(target->child("permissions"));
  if (!traits.has_target) {
    definition.permissions = {};
    return;
  }
  if (traits.type == PoolType::logical) {
    definition.target_path = "/dev/" + definition.source.name;
  } else if (traits.type == PoolType::zfs) {
    definition.target_path = "/dev/zvol/" + definition.source.name;
  } else if (path == nullptr) {
    throw root.malformed("missing storage pool target path");
  } else {
    definition.target_path = sanitized_path(path->text());
  }
}

void check_source(XmlElement& root, const PoolTraits& traits, PoolDefinition& definition) {
  PoolSource& source = definition.source;
  if (traits.has_host && source.hosts.empty()) throw root.malformed("missing storage pool source host name");
  if (traits.has_directory && source.directory.empty())
    throw root.malformed("missing storage pool source path");
  if (traits.has_name && source.name.empty()) source.name = definition.name;
  if (traits.has_adapter && source.adapter.type.empty())
    throw root.malformed("missing storage pool source adapter");
  // Where a device is all there is to say where the volumes come from, one is needed.
  const bool only_device = traits.has_device && !traits.has_host && !traits.has_name;
  if (only_device && source.devices.empty()) throw root.malformed("missing storage pool source device name");
  if (traits.type == PoolType::iscsi_direct && source.initiator.empty())
    throw root.malformed("missing initiator IQN");
  if (traits.type == PoolType::netfs && source.directory.front() != '/' && source.format != "glusterfs" &&
      source.format != "cifs")
    throw root.malformed("the directory of an NFS server is to be an absolute path");
}

void parse_options(XmlElement& root, PoolDefinition& definition) {
  if (XmlElement* options = root.child("fs:mount_opts")) {
    if (definition.type != PoolType::fs && definition.type != PoolType::netfs)
      throw options->unsupported("only pools of types 'fs' and 'netfs' are mounted");
    for (XmlElement* option : options->children("fs:option")) {
      if (definition.mount_options.size() == kMostOptions) throw option->malformed("too many of them");
      definition.mount_options.push_back(config::require_text(*option, "name"));
      if (definition.mount_options.back().find(',') != std::string::npos)
        throw option->malformed_attribute("name", "one option for each element: it has a ','");
      check_name(*option, definition.mount_options.back());
    }
  }
  if (XmlElement* options = root.child("rbd:config_opts")) {
    if (definition.type != PoolType::rbd) throw options->unsupported("only pools of type 'rbd' have them");
    for (XmlElement* option : options->children("rbd:option")) {
      if (definition.config_options.size() == kMostOptions) throw option->malformed("too many of them");
      definition.config_options.push_back(
          {config::require_text(*option, "name"), config::require_text(*option, "value")});
    }
  }
}

void parse_features(XmlElement& root, PoolDefinition& definition) {
  XmlElement* features = root.child("features");
  XmlElement* cow = features == nullptr ? nullptr : features->child("cow");
  if (cow == nullptr) return;
  definition.cow = config::read_yes_no(*cow, "state");
  if (definition.cow && definition.type != PoolType::fs && definition.type != PoolType::dir) {
    throw Error(VIR_ERR_NO_SUPPORT, "cow feature may only be used for 'fs' and 'dir' pools",
                VIR_FROM_STORAGE);
  }
}

PoolDefinition parse(std::string_view xml, bool validate) {
  if (validate) {
    config::validate_against({.text = std::string_view(kPoolSchema, sizeof kPoolSchema - 1),
                              .document = "storage_pool_definition",
                              .root = "pool"},
                             xml, kLimits);
  }
  config::XmlDocument document(xml, "storage_pool_definition", kLimits);
  XmlElement& root = document.root();
  check_root(root, "pool");
  PoolDefinition definition;
  const PoolTraits& traits = parse_type(root);
  definition.type = traits.type;
  definition.source.format = traits.default_source_format;
  if (XmlElement* source = root.child("source")) definition.source = parse_source_element(*source, traits);
  XmlElement* name = root.child("name");
  if (name != nullptr) {
    definition.name = name->text();
    check_name(*name, definition.name);
  } else if (traits.has_name) {
    definition.name = definition.source.name;
  }
  if (definition.name.empty()) throw root.malformed("missing pool source name element");
  if (definition.name.find('/') != std::string::npos)
    throw root.malformed(fmt::format("name {} cannot contain '/'", definition.name.substr(0, 64)));
  if (XmlElement* uuid = root.child("uuid")) {
    const std::optional<Uuid> value = Uuid::parse(uuid->text());
    if (!value) throw uuid->malformed("malformed uuid element");
    definition.uuid = *value;
  } else {
    definition.uuid = Uuid::random();
  }
  // Found by a refresh; what a document says of them is for its reader.
  for (const char* found : {"capacity", "allocation", "available"})
    if (XmlElement* element = root.child(found)) {
      element->attribute("unit");
      element->text();
    }
  parse_features(root, definition);
  check_source(root, traits, definition);
  parse_target(root, traits, definition);
  if (XmlElement* refresh = root.child("refresh"))
    if (XmlElement* volume = refresh->child("volume")) {
      definition.refresh_allocation = config::require_text(*volume, "allocation");
      if (definition.refresh_allocation != "default" && definition.refresh_allocation != "capacity")
        throw volume->unsupported_attribute("allocation", "it is neither 'default' nor 'capacity'");
    }
  parse_options(root, definition);
  root.refuse_unread();
  return definition;
}

void format_options(config::XmlWriter& writer, const PoolDefinition& definition) {
  if (!definition.mount_options.empty()) {
    writer.begin("fs:mount_opts");
    for (const std::string& option : definition.mount_options) {
      writer.begin("fs:option");
      writer.attribute("name", option);
      writer.end();
    }
    writer.end();
  }
  if (!definition.config_options.empty()) {
    writer.begin("rbd:config_opts");
    for (const NamedValue& option : definition.config_options) {
      writer.begin("rbd:option");
      writer.attribute("name", option.name);
      writer.attribute("value", option.value);
      writer.end();
    }
    writer.end();
  }
}

}  // namespace

PoolDefinition parse_pool(std::string_view xml, bool validate) {
  return as_storage_error([&] { return parse(xml, validate); });
}

PoolSource parse_pool_source(std::string_view xml, PoolType type) {
  return as_storage_error([&] {
    config::XmlDocument document(xml, "storage_source", kLimits);
    XmlElement& root = document.root();
    if (root.name() != "source") throw root.malformed("root element was not source");
    PoolSource source = parse_source_element(root, traits_of(type));
    root.refuse_unread();
    return source;
  });
}

std::string format_pool(const PoolDefinition& definition) {
  const PoolTraits& traits = traits_of(definition.type);
  config::XmlWriter writer(1024);
  writer.begin("pool");
  writer.attribute("type", traits.name);
  if (!definition.mount_options.empty())
    writer.attribute("xmlns:fs", "http://libvirt.org/schemas/storagepool/fs/1.0");
  if (!definition.config_options.empty())
    writer.attribute("xmlns:rbd", "http://libvirt.org/schemas/storagepool/rbd/1.0");
  writer.element("name", definition.name);
  writer.element("uuid", definition.uuid.to_string());
  format_bytes(writer, "capacity", definition.capacity);
  format_bytes(writer, "allocation", definition.allocation);
  format_bytes(writer, "available", definition.available);
  if (definition.cow) {
    writer.begin("features");
    writer.begin("cow");
    writer.attribute("state", *definition.cow ? "yes" : "no");
    writer.end();
    writer.end();
  }
  format_source(writer, traits, definition.source);
  if (traits.has_target) {
    writer.begin("target");
    writer.element("path", definition.target_path);
    format_permissions(writer, definition.permissions);
    writer.end();
  }
  if (!definition.refresh_allocation.empty()) {
    writer.begin("refresh");
    writer.begin("volume");
    writer.attribute("allocation", definition.refresh_allocation);
    writer.end();
    writer.end();
  }
  format_options(writer, definition);
  writer.end();
  return writer.take();
}

std::string format_pool_sources(PoolType type, std::span<const PoolSource> sources) {
  config::XmlWriter writer(1024);
  writer.begin("sources");
  writer.content();
  for (const PoolSource& source : sources) format_source(writer, traits_of(type), source);
  writer.end();
  return writer.take();
}

std::string sanitized_path(std::string_view path) {
  std::string clean;
  for (const char c : path)
    if (c != '/' || clean.empty() || clean.back() != '/') clean += c;
  if (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  return clean;
}

}  // namespace warren::driver::storage
