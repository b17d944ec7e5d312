// <volume>: what is in a pool, and what is to be made in it.
//
// Format: libvirt's formatstorage. Pure functions; the document is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/storage/pool_definition.h"

namespace warren::driver::storage {

struct Timestamp {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  bool operator==(const Timestamp&) const = default;
};

struct Timestamps {
  Timestamp access, modification, change;
  std::optional<Timestamp> birth;
  bool operator==(const Timestamps&) const = default;
};

// An image and where it is: the volume itself, or what it is backed by.
struct Image {
  std::string path;
  std::string format;  // empty: this type of pool has none
  Permissions permissions;
  std::optional<Timestamps> timestamps;
  std::string encryption;         // "luks", "qcow"; empty: none
  std::string encryption_secret;  // UUID
  std::string compatibility;      // of qcow2: "0.10", "1.1"
  bool no_cow = false;
  std::uint64_t cluster_bytes = 0;
  std::optional<std::vector<std::string>> features;  // of qcow2 1.1: "lazy_refcounts", "extended_l2"
  bool operator==(const Image&) const = default;
};

// Of a device of the pool's source, in bytes.
struct VolumeExtent {
  std::string device;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool operator==(const VolumeExtent&) const = default;
};

struct VolumeDefinition {
  int type = VIR_STORAGE_VOL_FILE;  // virStorageVolType
  std::string name;
  std::string key;
  std::vector<VolumeExtent> extents;
  std::uint64_t capacity = 0;    // bytes
  std::uint64_t allocation = 0;  // bytes; when it is to be made, how many at once
  std::uint64_t physical = 0;    // bytes; 0: not known
  bool allocation_given = false;
  Image target;
  std::optional<Image> backing;
  bool operator==(const VolumeDefinition&) const = default;
};

// Of a document that says what is to be made, or that describes what is there.
enum class CapacityRule {
  required,
  optional_with_backing,  // else that of the backing image
  optional,               // else that of what it is made from
};

// Throws driver::Error (domain STORAGE) as parse_pool() does.
VolumeDefinition parse_volume(std::string_view xml, PoolType pool, CapacityRule rule, bool validate = false);
std::string format_volume(const VolumeDefinition& definition);

}  // namespace warren::driver::storage
