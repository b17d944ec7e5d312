// clang-format off: one line per procedure
#include "daemon/rpc/handlers_storage_pool.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::connect_num_of_storage_pools>(71, "CONNECT_NUM_OF_STORAGE_POOLS", kHigh, "connect:search_storage_pools", Part::storage),
    served<&handlers::connect_list_storage_pools>(72, "CONNECT_LIST_STORAGE_POOLS", kHigh, "connect:search_storage_pools", Part::storage),
    served<&handlers::connect_num_of_defined_storage_pools>(73, "CONNECT_NUM_OF_DEFINED_STORAGE_POOLS", kHigh, "connect:search_storage_pools", Part::storage),
    served<&handlers::connect_list_defined_storage_pools>(74, "CONNECT_LIST_DEFINED_STORAGE_POOLS", kHigh, "connect:search_storage_pools", Part::storage),
    served<&handlers::connect_find_storage_pool_sources>(75, "CONNECT_FIND_STORAGE_POOL_SOURCES", kLow | kWrite, "connect:detect_storage_pools", Part::storage),
    served<&handlers::storage_pool_create_xml>(76, "STORAGE_POOL_CREATE_XML", kLow | kWrite, "storage_pool:start storage_pool:write", Part::storage),
    served<&handlers::storage_pool_define_xml>(77, "STORAGE_POOL_DEFINE_XML", kHigh | kWrite, "storage_pool:write storage_pool:save", Part::storage),
    served<&handlers::storage_pool_create>(78, "STORAGE_POOL_CREATE", kLow | kWrite, "storage_pool:start", Part::storage),
    served<&handlers::storage_pool_build>(79, "STORAGE_POOL_BUILD", kLow | kWrite, "storage_pool:format", Part::storage),
    served<&handlers::storage_pool_destroy>(80, "STORAGE_POOL_DESTROY", kHigh | kWrite, "storage_pool:stop", Part::storage),
    served<&handlers::storage_pool_delete>(81, "STORAGE_POOL_DELETE", kLow | kWrite, "storage_pool:format", Part::storage),
    served<&handlers::storage_pool_undefine>(82, "STORAGE_POOL_UNDEFINE", kHigh | kWrite, "storage_pool:delete", Part::storage),
    served<&handlers::storage_pool_refresh>(83, "STORAGE_POOL_REFRESH", kLow | kWrite, "storage_pool:refresh", Part::storage),
    served<&handlers::storage_pool_lookup_by_name>(84, "STORAGE_POOL_LOOKUP_BY_NAME", kHigh, "storage_pool:getattr", Part::storage),
    served<&handlers::storage_pool_lookup_by_uuid>(85, "STORAGE_POOL_LOOKUP_BY_UUID", kHigh, "storage_pool:getattr", Part::storage),
    served<&handlers::storage_pool_lookup_by_volume>(86, "STORAGE_POOL_LOOKUP_BY_VOLUME", kHigh, "storage_pool:getattr", Part::storage),
    served<&handlers::storage_pool_get_info>(87, "STORAGE_POOL_GET_INFO", kHigh, "storage_pool:read", Part::storage),
    served<&handlers::storage_pool_get_xml_desc>(88, "STORAGE_POOL_GET_XML_DESC", kHigh, "storage_pool:read", Part::storage),
    served<&handlers::storage_pool_get_autostart>(89, "STORAGE_POOL_GET_AUTOSTART", kHigh, "storage_pool:read", Part::storage),
    served<&handlers::storage_pool_set_autostart>(90, "STORAGE_POOL_SET_AUTOSTART", kHigh | kWrite, "storage_pool:write", Part::storage),
    served<&handlers::storage_pool_is_active>(154, "STORAGE_POOL_IS_ACTIVE", kHigh, "storage_pool:read", Part::storage),
    served<&handlers::storage_pool_is_persistent>(155, "STORAGE_POOL_IS_PERSISTENT", kHigh, "storage_pool:read", Part::storage),
    served<&handlers::connect_list_all_storage_pools>(281, "CONNECT_LIST_ALL_STORAGE_POOLS", kHigh, "connect:search_storage_pools", Part::storage),
    served<&handlers::storage_pool_lookup_by_target_path>(391, "STORAGE_POOL_LOOKUP_BY_TARGET_PATH", kHigh, "storage_pool:getattr", Part::storage),
    served<&handlers::connect_get_storage_pool_capabilities>(403, "CONNECT_GET_STORAGE_POOL_CAPABILITIES", kLow, "connect:read", Part::storage),
};

}  // namespace

std::span<const Procedure> storage_pool_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
