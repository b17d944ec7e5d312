#include "driver/config/caged_disk.h"

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/vhost_user_disk.h"
#include "driver/config/xml_values.h"

namespace warren::driver::config {

namespace {

// libvirt's formatstorageencryption.
Uuid parse_encryption(XmlElement& element) {
  accept_only(element, "format", "luks");
  accept_only(element, "engine", "qemu");
  XmlElement* secret = element.child("secret");
  if (!secret) throw element.malformed("<secret type='passphrase' uuid='…'/> is missing");
  accept_only(*secret, "type", "passphrase");
  const std::string text = require_text(*secret, "uuid");
  const auto uuid = Uuid::parse(text);
  if (!uuid) throw secret->malformed_attribute("uuid", "it is no UUID");
  return *uuid;
}

}  // namespace

bool is_caged_disk(XmlElement& disk) {
  XmlElement* driver = disk.child("driver");
  return driver != nullptr && driver->attribute("name") == kCagedDriver;
}

void parse_caged_image(XmlElement& element, Disk& disk, bool is_removal) {
  CagedImage& image = disk.caged.emplace();
  image.format = require_enum(*element.child("driver"), "type", names::kCagedFormat);
  XmlElement* source = element.child("source");
  if (!source) {
    if (is_removal) return;
    throw element.malformed("<source> is missing");
  }
  const bool is_file = disk.source_type == DiskSourceType::file;
  image.path = require_absolute_path(*source, is_file ? "file" : "dev");
  const bool may_be_encrypted = image.format == CagedFormat::raw || image.format == CagedFormat::qcow2;
  XmlElement* encryption = source->child("encryption");
  if (encryption != nullptr && !may_be_encrypted)
    throw encryption->unsupported("LUKS is in a raw or qcow2 image");
  if (encryption == nullptr && may_be_encrypted) {
    throw element.child("driver")->unsupported_attribute(
        "name",
        fmt::format("'{}': Warren serves a {} image that is not encrypted itself: give name='qemu', or "
                    "leave it out",
                    kCagedDriver, names::kCagedFormat.name(image.format)));
  }
  if (encryption != nullptr) image.passphrase = parse_encryption(*encryption);
}

void format_caged_source(XmlWriter& writer, const Disk& disk) {
  writer.begin("source");
  writer.attribute(disk.source_type == DiskSourceType::file ? "file" : "dev", disk.caged->path);
  if (disk.caged->passphrase) {
    writer.begin("encryption");
    writer.attribute("format", "luks");
    writer.begin("secret");
    writer.attribute("type", "passphrase");
    writer.attribute("uuid", disk.caged->passphrase->to_string());
    writer.end();
    writer.end();
  }
  writer.end();
}

void check_caged_disk(XmlElement& element, const Disk& disk) {
  if (disk.device != DiskDevice::disk)
    throw element.unsupported_attribute("device", "a disk of a storage daemon is device='disk'");
  if (disk.bus != DiskBus::virtio)
    throw element.child("target")->unsupported_attribute("bus",
                                                         "a disk of a storage daemon has only virtio bus");
  refuse_what_others_decide(element, disk.driver, "it has no effect on a disk that a storage daemon serves");
}

}  // namespace warren::driver::config
