// What each type of pool has, and the document that tells clients.
#include <algorithm>

#include "driver/config/xml_writer.h"
#include "driver/storage/image_formats.h"
#include "driver/storage/pool_definition.h"

namespace warren::driver::storage {

namespace {

using Names = std::span<const std::string_view>;

constexpr PoolTraits kTraits[] = {
    {PoolType::dir, "dir", false, false, false, false, false, false, true, {}, {}, kImageFormats, "raw"},
    {PoolType::fs, "fs", false, true, false, false, false, false, true, kFileSystems, "auto", kImageFormats,
     "raw"},
    {PoolType::netfs, "netfs", true, false, true, false, false, false, true, kNetworkFileSystems, "auto",
     kImageFormats, "raw"},
    {PoolType::logical,
     "logical",
     false,
     true,
     false,
     false,
     true,
     false,
     true,
     kVolumeManagers,
     "lvm2",
     {},
     {}},
    {PoolType::disk, "disk", false, true, false, false, false, false, true, kPartitionTables, "unknown",
     kPartitionKinds, "none"},
    {PoolType::iscsi, "iscsi", true, true, false, false, false, true, true, {}, {}, {}, {}},
    {PoolType::iscsi_direct, "iscsi-direct", true, true, false, false, false, true, false, {}, {}, {}, {}},
    {PoolType::scsi, "scsi", false, false, false, true, false, false, true, {}, {}, {}, {}},
    {PoolType::rbd, "rbd", true, false, false, false, true, false, false, {}, {}, kImageFormats, "raw"},
    {PoolType::zfs, "zfs", false, true, false, false, true, false, true, {}, {}, {}, {}},
};

constexpr std::string_view kAllTypes[] = {"dir",      "fs",           "netfs", "logical", "disk",
                                          "iscsi",    "iscsi-direct", "scsi",  "mpath",   "rbd",
                                          "sheepdog", "gluster",      "zfs",   "vstorage"};

void format_formats(config::XmlWriter& writer, std::string_view options, std::string_view list,
                    std::string_view chosen, Names names) {
  if (names.empty()) return;
  writer.begin(options);
  writer.begin("defaultFormat");
  writer.attribute("type", chosen);
  writer.end();
  writer.begin("enum");
  writer.attribute("name", list);
  for (std::string_view name : names) writer.element("value", name);
  writer.end();
  writer.end();
}

}  // namespace

const PoolTraits& traits_of(PoolType type) {
  return *std::ranges::find(kTraits, type, &PoolTraits::type);
}

const PoolTraits* find_traits(std::string_view name) {
  const auto* found = std::ranges::find(kTraits, name, &PoolTraits::name);
  return found == std::end(kTraits) ? nullptr : found;
}

std::span<const std::string_view> all_pool_types() {
  return kAllTypes;
}

std::string format_pool_capabilities() {
  config::XmlWriter writer;
  writer.begin("storagepoolCapabilities");
  for (std::string_view name : kAllTypes) {
    const PoolTraits* traits = find_traits(name);
    writer.begin("pool");
    writer.attribute("type", name);
    writer.attribute("supported", traits != nullptr ? "yes" : "no");
    if (traits != nullptr) {
      format_formats(writer, "poolOptions", "sourceFormatType", traits->default_source_format,
                     traits->source_formats);
      format_formats(writer, "volOptions", "targetFormatType", traits->default_volume_format,
                     traits->volume_formats);
    }
    writer.end();
  }
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::storage
