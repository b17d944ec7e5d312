// Arguments and results of the calls for storage volumes.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct StoragePoolNumOfVolumesArgs {
  StoragePool pool;
};

struct StoragePoolNumOfVolumesResult {
  std::int32_t num = 0;
};

struct StoragePoolListVolumesArgs {
  StoragePool pool;
  std::int32_t maxnames = 0;
};

struct StoragePoolListVolumesResult {
  Array<std::string, kStorageVolListMax> names;
};

struct StorageVolCreateXmlArgs {
  StoragePool pool;
  std::string xml;
  std::uint32_t flags = 0;
};

struct StorageVolCreateXmlResult {
  StorageVol vol;
};

struct StorageVolDeleteArgs {
  StorageVol vol;
  std::uint32_t flags = 0;
};

struct StorageVolLookupByNameArgs {
  StoragePool pool;
  std::string name;
};

struct StorageVolLookupByNameResult {
  StorageVol vol;
};

struct StorageVolLookupByKeyArgs {
  std::string key;
};

struct StorageVolLookupByKeyResult {
  StorageVol vol;
};

struct StorageVolLookupByPathArgs {
  std::string path;
};

struct StorageVolLookupByPathResult {
  StorageVol vol;
};

struct StorageVolGetInfoArgs {
  StorageVol vol;
};

struct StorageVolGetInfoResult {
  std::int8_t type = 0;
  std::uint64_t capacity = 0;
  std::uint64_t allocation = 0;
};

struct StorageVolGetXmlDescArgs {
  StorageVol vol;
  std::uint32_t flags = 0;
};

struct StorageVolGetXmlDescResult {
  std::string xml;
};

struct StorageVolGetPathArgs {
  StorageVol vol;
};

struct StorageVolGetPathResult {
  std::string name;
};

struct StorageVolCreateXmlFromArgs {
  StoragePool pool;
  std::string xml;
  StorageVol clonevol;
  std::uint32_t flags = 0;
};

struct StorageVolCreateXmlFromResult {
  StorageVol vol;
};

struct StorageVolWipeArgs {
  StorageVol vol;
  std::uint32_t flags = 0;
};

struct StorageVolWipePatternArgs {
  StorageVol vol;
  std::uint32_t algorithm = 0;
  std::uint32_t flags = 0;
};

struct StorageVolResizeArgs {
  StorageVol vol;
  std::uint64_t capacity = 0;
  std::uint32_t flags = 0;
};

struct StoragePoolListAllVolumesArgs {
  StoragePool pool;
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct StoragePoolListAllVolumesResult {
  Array<StorageVol, kStorageVolListMax> vols;
  std::uint32_t ret = 0;
};

struct StorageVolGetInfoFlagsArgs {
  StorageVol vol;
  std::uint32_t flags = 0;
};

struct StorageVolGetInfoFlagsResult {
  std::int8_t type = 0;
  std::uint64_t capacity = 0;
  std::uint64_t allocation = 0;
};

}  // namespace warren::daemon::rpc::protocol
