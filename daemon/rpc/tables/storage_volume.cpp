// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/storage_volume.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<StoragePoolNumOfVolumesArgs, StoragePoolNumOfVolumesResult>(91, "STORAGE_POOL_NUM_OF_VOLUMES", kHigh, "storage_pool:search_storage_vols"),
    missing<StoragePoolListVolumesArgs, StoragePoolListVolumesResult>(92, "STORAGE_POOL_LIST_VOLUMES", kHigh, "storage_pool:search_storage_vols"),
    missing<StorageVolCreateXmlArgs, StorageVolCreateXmlResult>(93, "STORAGE_VOL_CREATE_XML", kLow | kWrite, "storage_vol:create"),
    missing<StorageVolDeleteArgs, Nothing>(94, "STORAGE_VOL_DELETE", kLow | kWrite, "storage_vol:delete"),
    missing<StorageVolLookupByNameArgs, StorageVolLookupByNameResult>(95, "STORAGE_VOL_LOOKUP_BY_NAME", kHigh, "storage_vol:getattr"),
    missing<StorageVolLookupByKeyArgs, StorageVolLookupByKeyResult>(96, "STORAGE_VOL_LOOKUP_BY_KEY", kHigh, "storage_vol:getattr"),
    missing<StorageVolLookupByPathArgs, StorageVolLookupByPathResult>(97, "STORAGE_VOL_LOOKUP_BY_PATH", kHigh, "storage_vol:getattr"),
    missing<StorageVolGetInfoArgs, StorageVolGetInfoResult>(98, "STORAGE_VOL_GET_INFO", kHigh, "storage_vol:read"),
    missing<StorageVolGetXmlDescArgs, StorageVolGetXmlDescResult>(99, "STORAGE_VOL_GET_XML_DESC", kHigh, "storage_vol:read"),
    missing<StorageVolGetPathArgs, StorageVolGetPathResult>(100, "STORAGE_VOL_GET_PATH", kHigh, "storage_vol:read"),
    missing<StorageVolCreateXmlFromArgs, StorageVolCreateXmlFromResult>(125, "STORAGE_VOL_CREATE_XML_FROM", kLow | kWrite, "storage_vol:create"),
    missing<StorageVolWipeArgs, Nothing>(165, "STORAGE_VOL_WIPE", kLow | kWrite, "storage_vol:format"),
    missing<StorageVolWipePatternArgs, Nothing>(259, "STORAGE_VOL_WIPE_PATTERN", kLow | kWrite, "storage_vol:format"),
    missing<StorageVolResizeArgs, Nothing>(260, "STORAGE_VOL_RESIZE", kLow | kWrite, "storage_vol:resize"),
    missing<StoragePoolListAllVolumesArgs, StoragePoolListAllVolumesResult>(282, "STORAGE_POOL_LIST_ALL_VOLUMES", kHigh, "storage_pool:search_storage_vols"),
    missing<StorageVolGetInfoFlagsArgs, StorageVolGetInfoFlagsResult>(378, "STORAGE_VOL_GET_INFO_FLAGS", kHigh, "storage_vol:read"),
};

}  // namespace

std::span<const Procedure> storage_volume_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
