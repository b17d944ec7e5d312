// Calls about storage pools, and registration for their events.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/event.h"
#include "daemon/rpc/protocol/storage_pool.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

ConnectNumOfStoragePoolsResult connect_num_of_storage_pools(Call& call, const Nothing&);
ConnectListStoragePoolsResult connect_list_storage_pools(Call& call,
                                                         const ConnectListStoragePoolsArgs& arguments);
ConnectNumOfDefinedStoragePoolsResult connect_num_of_defined_storage_pools(Call& call, const Nothing&);
ConnectListDefinedStoragePoolsResult connect_list_defined_storage_pools(
    Call& call, const ConnectListDefinedStoragePoolsArgs& arguments);
ConnectListAllStoragePoolsResult connect_list_all_storage_pools(
    Call& call, const ConnectListAllStoragePoolsArgs& arguments);
ConnectGetStoragePoolCapabilitiesResult connect_get_storage_pool_capabilities(
    Call& call, const ConnectGetStoragePoolCapabilitiesArgs& arguments);
void connect_find_storage_pool_sources(Call& call, const ConnectFindStoragePoolSourcesArgs& arguments,
                                       Reply<ConnectFindStoragePoolSourcesResult> reply);

StoragePoolLookupByNameResult storage_pool_lookup_by_name(Call& call,
                                                          const StoragePoolLookupByNameArgs& arguments);
StoragePoolLookupByUuidResult storage_pool_lookup_by_uuid(Call& call,
                                                          const StoragePoolLookupByUuidArgs& arguments);
StoragePoolLookupByVolumeResult storage_pool_lookup_by_volume(Call& call,
                                                              const StoragePoolLookupByVolumeArgs& arguments);
StoragePoolLookupByTargetPathResult storage_pool_lookup_by_target_path(
    Call& call, const StoragePoolLookupByTargetPathArgs& arguments);
StoragePoolGetInfoResult storage_pool_get_info(Call& call, const StoragePoolGetInfoArgs& arguments);
StoragePoolGetXmlDescResult storage_pool_get_xml_desc(Call& call, const StoragePoolGetXmlDescArgs& arguments);
StoragePoolGetAutostartResult storage_pool_get_autostart(Call& call,
                                                         const StoragePoolGetAutostartArgs& arguments);
StoragePoolIsActiveResult storage_pool_is_active(Call& call, const StoragePoolIsActiveArgs& arguments);
StoragePoolIsPersistentResult storage_pool_is_persistent(Call& call,
                                                         const StoragePoolIsPersistentArgs& arguments);

void storage_pool_create_xml(Call& call, const StoragePoolCreateXmlArgs& arguments,
                             Reply<StoragePoolCreateXmlResult> reply);
void storage_pool_define_xml(Call& call, const StoragePoolDefineXmlArgs& arguments,
                             Reply<StoragePoolDefineXmlResult> reply);
void storage_pool_create(Call& call, const StoragePoolCreateArgs& arguments, Reply<Nothing> reply);
void storage_pool_build(Call& call, const StoragePoolBuildArgs& arguments, Reply<Nothing> reply);
void storage_pool_destroy(Call& call, const StoragePoolDestroyArgs& arguments, Reply<Nothing> reply);
void storage_pool_delete(Call& call, const StoragePoolDeleteArgs& arguments, Reply<Nothing> reply);
void storage_pool_undefine(Call& call, const StoragePoolUndefineArgs& arguments, Reply<Nothing> reply);
void storage_pool_refresh(Call& call, const StoragePoolRefreshArgs& arguments, Reply<Nothing> reply);
void storage_pool_set_autostart(Call& call, const StoragePoolSetAutostartArgs& arguments,
                                Reply<Nothing> reply);

ConnectStoragePoolEventRegisterAnyResult connect_storage_pool_event_register_any(
    Call& call, const ConnectStoragePoolEventRegisterAnyArgs& arguments);
void connect_storage_pool_event_deregister_any(Call& call,
                                               const ConnectStoragePoolEventDeregisterAnyArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
