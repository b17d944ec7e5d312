// Calls about storage volumes, and the streams of their data.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/storage_volume.h"
#include "daemon/rpc/protocol/stream.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

StoragePoolNumOfVolumesResult storage_pool_num_of_volumes(Call& call,
                                                          const StoragePoolNumOfVolumesArgs& arguments);
StoragePoolListVolumesResult storage_pool_list_volumes(Call& call,
                                                       const StoragePoolListVolumesArgs& arguments);
StoragePoolListAllVolumesResult storage_pool_list_all_volumes(Call& call,
                                                              const StoragePoolListAllVolumesArgs& arguments);
StorageVolLookupByNameResult storage_vol_lookup_by_name(Call& call,
                                                        const StorageVolLookupByNameArgs& arguments);
StorageVolLookupByKeyResult storage_vol_lookup_by_key(Call& call, const StorageVolLookupByKeyArgs& arguments);
StorageVolLookupByPathResult storage_vol_lookup_by_path(Call& call,
                                                        const StorageVolLookupByPathArgs& arguments);
StorageVolGetInfoResult storage_vol_get_info(Call& call, const StorageVolGetInfoArgs& arguments);
StorageVolGetInfoFlagsResult storage_vol_get_info_flags(Call& call,
                                                        const StorageVolGetInfoFlagsArgs& arguments);
StorageVolGetXmlDescResult storage_vol_get_xml_desc(Call& call, const StorageVolGetXmlDescArgs& arguments);
StorageVolGetPathResult storage_vol_get_path(Call& call, const StorageVolGetPathArgs& arguments);

void storage_vol_create_xml(Call& call, const StorageVolCreateXmlArgs& arguments,
                            Reply<StorageVolCreateXmlResult> reply);
void storage_vol_create_xml_from(Call& call, const StorageVolCreateXmlFromArgs& arguments,
                                 Reply<StorageVolCreateXmlFromResult> reply);
void storage_vol_delete(Call& call, const StorageVolDeleteArgs& arguments, Reply<Nothing> reply);
void storage_vol_wipe(Call& call, const StorageVolWipeArgs& arguments, Reply<Nothing> reply);
void storage_vol_wipe_pattern(Call& call, const StorageVolWipePatternArgs& arguments, Reply<Nothing> reply);
void storage_vol_resize(Call& call, const StorageVolResizeArgs& arguments, Reply<Nothing> reply);
void storage_vol_upload(Call& call, const StorageVolUploadArgs& arguments);
void storage_vol_download(Call& call, const StorageVolDownloadArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
