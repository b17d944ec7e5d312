// <source> of a pool.
#include "driver/storage/pool_source.h"

#include <fmt/format.h>

#include "driver/config/xml_values.h"
#include "driver/storage/definition_parts.h"
#include "driver/storage/image_formats.h"

namespace warren::driver::storage {

namespace {

using config::XmlElement;
using config::XmlWriter;

constexpr std::size_t kMostHosts = 256;
constexpr std::size_t kMostDevices = 1024;

SourceAuthentication parse_authentication(XmlElement& element) {
  SourceAuthentication authentication;
  authentication.type = config::require_text(element, "type");
  if (authentication.type != "chap" && authentication.type != "ceph")
    throw element.unsupported_attribute("type", "it is neither 'chap' nor 'ceph'");
  authentication.username = config::require_text(element, "username");
  XmlElement* secret = element.child("secret");
  if (secret == nullptr) throw element.malformed("<secret> is missing");
  secret->attribute("type");
  if (const auto uuid = secret->attribute("uuid")) {
    const auto parsed = Uuid::parse(*uuid);
    if (!parsed) throw secret->malformed_attribute("uuid", "it is no UUID");
    authentication.secret_uuid = parsed->to_string();
  }
  if (const auto usage = secret->attribute("usage")) authentication.secret_usage = *usage;
  if (authentication.secret_uuid.empty() == authentication.secret_usage.empty())
    throw secret->malformed("it is to have either 'uuid' or 'usage'");
  return authentication;
}

SourceAdapter parse_adapter(XmlElement& element) {
  SourceAdapter adapter;
  adapter.type = element.attribute("type").value_or("scsi_host");
  if (adapter.type == "scsi_host") {
    if (element.child("parentaddr") != nullptr)
      throw element.child("parentaddr")->unsupported("name the adapter's host instead: name='host5'");
    adapter.name = config::require_text(element, "name");
  } else if (adapter.type == "fc_host") {
    adapter.parent = element.attribute("parent").value_or("");
    adapter.managed = config::read_yes_no(element, "managed");
    adapter.wwnn = config::require_text(element, "wwnn");
    adapter.wwpn = config::require_text(element, "wwpn");
  } else {
    throw element.malformed_attribute("type", "it is neither 'scsi_host' nor 'fc_host'");
  }
  return adapter;
}

void parse_devices(XmlElement& element, PoolSource& source) {
  for (XmlElement* device : element.children("device")) {
    if (source.devices.size() == kMostDevices) throw device->malformed("there are too many of them");
    SourceDevice& added = source.devices.emplace_back();
    added.path = config::require_text(*device, "path");
    check_name(*device, added.path);
    if (added.path.front() == '-') throw device->malformed_attribute("path", "it begins with '-'");
    added.part_separator = config::read_yes_no(*device, "part_separator");
    // What pool-dumpxml shows comes back with pool-define, and is found anew.
    for (XmlElement* extent : device->children("freeExtent")) {
      extent->attribute("start");
      extent->attribute("end");
    }
  }
}

void parse_hosts(XmlElement& element, PoolSource& source) {
  for (XmlElement* host : element.children("host")) {
    if (source.hosts.size() == kMostHosts) throw host->malformed("there are too many of them");
    SourceHost& added = source.hosts.emplace_back();
    added.name = config::require_text(*host, "name");
    check_name(*host, added.name);
    if (added.name.front() == '-') throw host->malformed_attribute("name", "it begins with '-'");
    added.port = static_cast<std::uint16_t>(config::read_number(*host, "port", 0, 65535).value_or(0));
  }
}

void format_authentication(XmlWriter& writer, const SourceAuthentication& authentication) {
  if (authentication.type.empty()) return;
  writer.begin("auth");
  writer.attribute("type", authentication.type);
  writer.attribute("username", authentication.username);
  writer.begin("secret");
  if (!authentication.secret_uuid.empty()) writer.attribute("uuid", authentication.secret_uuid);
  if (!authentication.secret_usage.empty()) writer.attribute("usage", authentication.secret_usage);
  writer.end();
  writer.end();
}

void format_devices(XmlWriter& writer, const PoolSource& source) {
  for (const SourceDevice& device : source.devices) {
    writer.begin("device");
    writer.attribute("path", device.path);
    if (device.part_separator) writer.attribute("part_separator", *device.part_separator ? "yes" : "no");
    for (const FreeExtent& extent : device.free_extents) {
      writer.begin("freeExtent");
      writer.attribute("start", extent.start);
      writer.attribute("end", extent.end);
      writer.end();
    }
    writer.end();
  }
}

void format_adapter(XmlWriter& writer, const SourceAdapter& adapter) {
  if (adapter.type.empty()) return;
  writer.begin("adapter");
  writer.attribute("type", adapter.type);
  if (!adapter.name.empty()) writer.attribute("name", adapter.name);
  if (!adapter.parent.empty()) writer.attribute("parent", adapter.parent);
  if (adapter.managed) writer.attribute("managed", *adapter.managed ? "yes" : "no");
  if (!adapter.wwnn.empty()) writer.attribute("wwnn", adapter.wwnn);
  if (!adapter.wwpn.empty()) writer.attribute("wwpn", adapter.wwpn);
  writer.end();
}

}  // namespace

PoolSource parse_source_element(XmlElement& element, const PoolTraits& traits) {
  PoolSource source;
  source.format = traits.default_source_format;
  if (XmlElement* name = element.child("name")) {
    source.name = name->text();
    check_name(*name, source.name);
    // It becomes part of a path, and an argument of tools.
    if (source.name.front() == '-' || source.name.find("..") != std::string::npos)
      throw name->malformed("it begins with '-' or has '..' in it");
  }
  if (XmlElement* format = element.child("format")) {
    const std::string type = config::require_text(*format, "type");
    if (!traits.source_formats.empty()) {
      if (!is_one_of(type, traits.source_formats))
        throw format->unsupported_attribute("type", fmt::format("unknown pool format type {}", type));
      source.format = type;
    }
  }
  parse_hosts(element, source);
  parse_devices(element, source);
  if (XmlElement* initiator = element.child("initiator"))
    if (XmlElement* iqn = initiator->child("iqn")) source.initiator = config::require_text(*iqn, "name");
  if (XmlElement* directory = element.child("dir"))
    source.directory = sanitized_path(config::require_text(*directory, "path"));
  if (XmlElement* adapter = element.child("adapter")) source.adapter = parse_adapter(*adapter);
  if (XmlElement* authentication = element.child("auth"))
    source.authentication = parse_authentication(*authentication);
  if (XmlElement* protocol = element.child("protocol")) {
    source.protocol_version = config::require_text(*protocol, "ver");
    if (source.format != "nfs" && source.format != "auto")
      throw protocol->unsupported("storage pool protocol ver is for NFS alone");
    if (source.protocol_version.find_first_not_of("0123456789.") != std::string::npos)
      throw protocol->malformed_attribute("ver", "it is no version, which is digits and dots");
  }
  if (XmlElement* vendor = element.child("vendor")) source.vendor = config::require_text(*vendor, "name");
  if (XmlElement* product = element.child("product")) source.product = config::require_text(*product, "name");
  return source;
}

void format_source(XmlWriter& writer, const PoolTraits& traits, const PoolSource& source) {
  writer.begin("source");
  writer.content();
  if (traits.has_host) {
    for (const SourceHost& host : source.hosts) {
      writer.begin("host");
      writer.attribute("name", host.name);
      if (host.port != 0) writer.attribute("port", host.port);
      writer.end();
    }
  }
  if (traits.has_device) format_devices(writer, source);
  if (traits.has_directory) {
    writer.begin("dir");
    writer.attribute("path", source.directory);
    writer.end();
  }
  if (traits.has_adapter) format_adapter(writer, source.adapter);
  if (traits.has_name && !source.name.empty()) writer.element("name", source.name);
  if (traits.has_initiator && !source.initiator.empty()) {
    writer.begin("initiator");
    writer.begin("iqn");
    writer.attribute("name", source.initiator);
    writer.end();
    writer.end();
  }
  const auto with_attribute = [&](std::string_view name, std::string_view attribute,
                                  const std::string& value) {
    if (value.empty()) return;
    writer.begin(name);
    writer.attribute(attribute, value);
    writer.end();
  };
  with_attribute("format", "type", source.format);
  format_authentication(writer, source.authentication);
  with_attribute("protocol", "ver", source.protocol_version);
  with_attribute("vendor", "name", source.vendor);
  with_attribute("product", "name", source.product);
  writer.end();
}

}  // namespace warren::driver::storage
