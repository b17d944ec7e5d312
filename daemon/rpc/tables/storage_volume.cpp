// clang-format off: one line per procedure
#include "daemon/rpc/handlers_storage_volume.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::storage_pool_num_of_volumes>(91, "STORAGE_POOL_NUM_OF_VOLUMES", kHigh, "storage_pool:search_storage_vols", Part::storage),
    served<&handlers::storage_pool_list_volumes>(92, "STORAGE_POOL_LIST_VOLUMES", kHigh, "storage_pool:search_storage_vols", Part::storage),
    served<&handlers::storage_vol_create_xml>(93, "STORAGE_VOL_CREATE_XML", kLow | kWrite, "storage_vol:create", Part::storage),
    served<&handlers::storage_vol_delete>(94, "STORAGE_VOL_DELETE", kLow | kWrite, "storage_vol:delete", Part::storage),
    served<&handlers::storage_vol_lookup_by_name>(95, "STORAGE_VOL_LOOKUP_BY_NAME", kHigh, "storage_vol:getattr", Part::storage),
    served<&handlers::storage_vol_lookup_by_key>(96, "STORAGE_VOL_LOOKUP_BY_KEY", kHigh, "storage_vol:getattr", Part::storage),
    served<&handlers::storage_vol_lookup_by_path>(97, "STORAGE_VOL_LOOKUP_BY_PATH", kHigh, "storage_vol:getattr", Part::storage),
    served<&handlers::storage_vol_get_info>(98, "STORAGE_VOL_GET_INFO", kHigh, "storage_vol:read", Part::storage),
    served<&handlers::storage_vol_get_xml_desc>(99, "STORAGE_VOL_GET_XML_DESC", kHigh, "storage_vol:read", Part::storage),
    served<&handlers::storage_vol_get_path>(100, "STORAGE_VOL_GET_PATH", kHigh, "storage_vol:read", Part::storage),
    served<&handlers::storage_vol_create_xml_from>(125, "STORAGE_VOL_CREATE_XML_FROM", kLow | kWrite, "storage_vol:create", Part::storage),
    served<&handlers::storage_vol_wipe>(165, "STORAGE_VOL_WIPE", kLow | kWrite, "storage_vol:format", Part::storage),
    served<&handlers::storage_vol_wipe_pattern>(259, "STORAGE_VOL_WIPE_PATTERN", kLow | kWrite, "storage_vol:format", Part::storage),
    served<&handlers::storage_vol_resize>(260, "STORAGE_VOL_RESIZE", kLow | kWrite, "storage_vol:resize", Part::storage),
    served<&handlers::storage_pool_list_all_volumes>(282, "STORAGE_POOL_LIST_ALL_VOLUMES", kHigh, "storage_pool:search_storage_vols", Part::storage),
    served<&handlers::storage_vol_get_info_flags>(378, "STORAGE_VOL_GET_INFO_FLAGS", kHigh, "storage_vol:read", Part::storage),
};

}  // namespace

std::span<const Procedure> storage_volume_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
