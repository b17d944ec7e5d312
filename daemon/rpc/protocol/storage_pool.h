// Arguments and results of the calls for storage pools.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct ConnectNumOfStoragePoolsResult {
  std::int32_t num = 0;
};

struct ConnectListStoragePoolsArgs {
  std::int32_t maxnames = 0;
};

struct ConnectListStoragePoolsResult {
  Array<std::string, kStoragePoolListMax> names;
};

struct ConnectNumOfDefinedStoragePoolsResult {
  std::int32_t num = 0;
};

struct ConnectListDefinedStoragePoolsArgs {
  std::int32_t maxnames = 0;
};

struct ConnectListDefinedStoragePoolsResult {
  Array<std::string, kStoragePoolListMax> names;
};

struct ConnectFindStoragePoolSourcesArgs {
  std::string type;
  std::optional<std::string> src_spec;
  std::uint32_t flags = 0;
};

struct ConnectFindStoragePoolSourcesResult {
  std::string xml;
};

struct StoragePoolCreateXmlArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct StoragePoolCreateXmlResult {
  StoragePool pool;
};

struct StoragePoolDefineXmlArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct StoragePoolDefineXmlResult {
  StoragePool pool;
};

struct StoragePoolCreateArgs {
  StoragePool pool;
  std::uint32_t flags = 0;
};

struct StoragePoolBuildArgs {
  StoragePool pool;
  std::uint32_t flags = 0;
};

struct StoragePoolDestroyArgs {
  StoragePool pool;
};

struct StoragePoolDeleteArgs {
  StoragePool pool;
  std::uint32_t flags = 0;
};

struct StoragePoolUndefineArgs {
  StoragePool pool;
};

struct StoragePoolRefreshArgs {
  StoragePool pool;
  std::uint32_t flags = 0;
};

struct StoragePoolLookupByNameArgs {
  std::string name;
};

struct StoragePoolLookupByNameResult {
  StoragePool pool;
};

struct StoragePoolLookupByUuidArgs {
  Uuid uuid{};
};

struct StoragePoolLookupByUuidResult {
  StoragePool pool;
};

struct StoragePoolLookupByVolumeArgs {
  StorageVol vol;
};

struct StoragePoolLookupByVolumeResult {
  StoragePool pool;
};

struct StoragePoolGetInfoArgs {
  StoragePool pool;
};

struct StoragePoolGetInfoResult {
  std::uint8_t state = 0;
  std::uint64_t capacity = 0;
  std::uint64_t allocation = 0;
  std::uint64_t available = 0;
};

struct StoragePoolGetXmlDescArgs {
  StoragePool pool;
  std::uint32_t flags = 0;
};

struct StoragePoolGetXmlDescResult {
  std::string xml;
};

struct StoragePoolGetAutostartArgs {
  StoragePool pool;
};

struct StoragePoolGetAutostartResult {
  std::int32_t autostart = 0;
};

struct StoragePoolSetAutostartArgs {
  StoragePool pool;
  std::int32_t autostart = 0;
};

struct StoragePoolIsActiveArgs {
  StoragePool pool;
};

struct StoragePoolIsActiveResult {
  std::int32_t active = 0;
};

struct StoragePoolIsPersistentArgs {
  StoragePool pool;
};

struct StoragePoolIsPersistentResult {
  std::int32_t persistent = 0;
};

struct ConnectListAllStoragePoolsArgs {
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectListAllStoragePoolsResult {
  Array<StoragePool, kStoragePoolListMax> pools;
  std::uint32_t ret = 0;
};

struct StoragePoolLookupByTargetPathArgs {
  std::string path;
};

struct StoragePoolLookupByTargetPathResult {
  StoragePool pool;
};

struct ConnectGetStoragePoolCapabilitiesArgs {
  std::uint32_t flags = 0;
};

struct ConnectGetStoragePoolCapabilitiesResult {
  std::string capabilities;
};

}  // namespace warren::daemon::rpc::protocol
