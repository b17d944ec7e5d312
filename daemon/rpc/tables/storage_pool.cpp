// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/storage_pool.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<Nothing, ConnectNumOfStoragePoolsResult>(71, "CONNECT_NUM_OF_STORAGE_POOLS", kHigh, "connect:search_storage_pools"),
    missing<ConnectListStoragePoolsArgs, ConnectListStoragePoolsResult>(72, "CONNECT_LIST_STORAGE_POOLS", kHigh, "connect:search_storage_pools"),
    missing<Nothing, ConnectNumOfDefinedStoragePoolsResult>(73, "CONNECT_NUM_OF_DEFINED_STORAGE_POOLS", kHigh, "connect:search_storage_pools"),
    missing<ConnectListDefinedStoragePoolsArgs, ConnectListDefinedStoragePoolsResult>(74, "CONNECT_LIST_DEFINED_STORAGE_POOLS", kHigh, "connect:search_storage_pools"),
    missing<ConnectFindStoragePoolSourcesArgs, ConnectFindStoragePoolSourcesResult>(75, "CONNECT_FIND_STORAGE_POOL_SOURCES", kLow | kWrite, "connect:detect_storage_pools"),
    missing<StoragePoolCreateXmlArgs, StoragePoolCreateXmlResult>(76, "STORAGE_POOL_CREATE_XML", kLow | kWrite, "storage_pool:start storage_pool:write"),
    missing<StoragePoolDefineXmlArgs, StoragePoolDefineXmlResult>(77, "STORAGE_POOL_DEFINE_XML", kHigh | kWrite, "storage_pool:write storage_pool:save"),
    missing<StoragePoolCreateArgs, Nothing>(78, "STORAGE_POOL_CREATE", kLow | kWrite, "storage_pool:start"),
    missing<StoragePoolBuildArgs, Nothing>(79, "STORAGE_POOL_BUILD", kLow | kWrite, "storage_pool:format"),
    missing<StoragePoolDestroyArgs, Nothing>(80, "STORAGE_POOL_DESTROY", kHigh | kWrite, "storage_pool:stop"),
    missing<StoragePoolDeleteArgs, Nothing>(81, "STORAGE_POOL_DELETE", kLow | kWrite, "storage_pool:format"),
    missing<StoragePoolUndefineArgs, Nothing>(82, "STORAGE_POOL_UNDEFINE", kHigh | kWrite, "storage_pool:delete"),
    missing<StoragePoolRefreshArgs, Nothing>(83, "STORAGE_POOL_REFRESH", kLow | kWrite, "storage_pool:refresh"),
    missing<StoragePoolLookupByNameArgs, StoragePoolLookupByNameResult>(84, "STORAGE_POOL_LOOKUP_BY_NAME", kHigh, "storage_pool:getattr"),
    missing<StoragePoolLookupByUuidArgs, StoragePoolLookupByUuidResult>(85, "STORAGE_POOL_LOOKUP_BY_UUID", kHigh, "storage_pool:getattr"),
    missing<StoragePoolLookupByVolumeArgs, StoragePoolLookupByVolumeResult>(86, "STORAGE_POOL_LOOKUP_BY_VOLUME", kHigh, "storage_pool:getattr"),
    missing<StoragePoolGetInfoArgs, StoragePoolGetInfoResult>(87, "STORAGE_POOL_GET_INFO", kHigh, "storage_pool:read"),
    missing<StoragePoolGetXmlDescArgs, StoragePoolGetXmlDescResult>(88, "STORAGE_POOL_GET_XML_DESC", kHigh, "storage_pool:read"),
    missing<StoragePoolGetAutostartArgs, StoragePoolGetAutostartResult>(89, "STORAGE_POOL_GET_AUTOSTART", kHigh, "storage_pool:read"),
    missing<StoragePoolSetAutostartArgs, Nothing>(90, "STORAGE_POOL_SET_AUTOSTART", kHigh | kWrite, "storage_pool:write"),
    missing<StoragePoolIsActiveArgs, StoragePoolIsActiveResult>(154, "STORAGE_POOL_IS_ACTIVE", kHigh, "storage_pool:read"),
    missing<StoragePoolIsPersistentArgs, StoragePoolIsPersistentResult>(155, "STORAGE_POOL_IS_PERSISTENT", kHigh, "storage_pool:read"),
    missing<ConnectListAllStoragePoolsArgs, ConnectListAllStoragePoolsResult>(281, "CONNECT_LIST_ALL_STORAGE_POOLS", kHigh, "connect:search_storage_pools"),
    missing<StoragePoolLookupByTargetPathArgs, StoragePoolLookupByTargetPathResult>(391, "STORAGE_POOL_LOOKUP_BY_TARGET_PATH", kHigh, "storage_pool:getattr"),
    missing<ConnectGetStoragePoolCapabilitiesArgs, ConnectGetStoragePoolCapabilitiesResult>(403, "CONNECT_GET_STORAGE_POOL_CAPABILITIES", kLow, "connect:read"),
};

}  // namespace

std::span<const Procedure> storage_pool_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
