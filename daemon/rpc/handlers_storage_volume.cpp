#include "daemon/rpc/handlers_storage_volume.h"

#include "daemon/rpc/codec.h"
#include "daemon/rpc/completion.h"
#include "daemon/rpc/list.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

protocol::StorageVol to_protocol(const driver::VolumeHandle& handle) {
  return {.pool = handle.pool, .name = handle.name, .key = handle.key};
}

driver::VolumeHandle to_driver(const protocol::StorageVol& volume) {
  return {.pool = volume.pool, .name = volume.name, .key = volume.key};
}

}  // namespace

StoragePoolNumOfVolumesResult storage_pool_num_of_volumes(Call& call,
                                                          const StoragePoolNumOfVolumesArgs& arguments) {
  Session& session = call.session();
  auto volumes = session.storage().list_volumes(session.caller(), rpc::to_driver(arguments.pool.uuid), 0);
  return {.num = static_cast<std::int32_t>(volumes.size())};
}

StoragePoolListVolumesResult storage_pool_list_volumes(Call& call,
                                                       const StoragePoolListVolumesArgs& arguments) {
  Session& session = call.session();
  auto volumes = session.storage().list_volumes(session.caller(), rpc::to_driver(arguments.pool.uuid), 0);
  StoragePoolListVolumesResult result;
  take_names(volumes, arguments.maxnames, result.names);
  return result;
}

StoragePoolListAllVolumesResult storage_pool_list_all_volumes(
    Call& call, const StoragePoolListAllVolumesArgs& arguments) {
  Session& session = call.session();
  auto volumes =
      session.storage().list_volumes(session.caller(), rpc::to_driver(arguments.pool.uuid), arguments.flags);
  return list_all(volumes, arguments.need_results, &StoragePoolListAllVolumesResult::vols, &to_protocol,
                  "storage volumes");
}

StorageVolLookupByNameResult storage_vol_lookup_by_name(Call& call,
                                                        const StorageVolLookupByNameArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.storage().volume_by_name(session.caller(), rpc::to_driver(arguments.pool.uuid),
                                                       arguments.name))};
}

StorageVolLookupByKeyResult storage_vol_lookup_by_key(Call& call,
                                                      const StorageVolLookupByKeyArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.storage().volume_by_key(session.caller(), arguments.key))};
}

StorageVolLookupByPathResult storage_vol_lookup_by_path(Call& call,
                                                        const StorageVolLookupByPathArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.storage().volume_by_path(session.caller(), arguments.path))};
}

StorageVolGetInfoResult storage_vol_get_info(Call& call, const StorageVolGetInfoArgs& arguments) {
  Session& session = call.session();
  auto info = session.storage().volume_info(session.caller(), to_driver(arguments.vol), 0);
  return {
      .type = static_cast<std::int8_t>(info.type), .capacity = info.capacity, .allocation = info.allocation};
}

StorageVolGetInfoFlagsResult storage_vol_get_info_flags(Call& call,
                                                        const StorageVolGetInfoFlagsArgs& arguments) {
  Session& session = call.session();
  auto info = session.storage().volume_info(session.caller(), to_driver(arguments.vol), arguments.flags);
  return {
      .type = static_cast<std::int8_t>(info.type), .capacity = info.capacity, .allocation = info.allocation};
}

StorageVolGetXmlDescResult storage_vol_get_xml_desc(Call& call, const StorageVolGetXmlDescArgs& arguments) {
  Session& session = call.session();
  return {session.storage().volume_xml(session.caller(), to_driver(arguments.vol), arguments.flags)};
}

StorageVolGetPathResult storage_vol_get_path(Call& call, const StorageVolGetPathArgs& arguments) {
  Session& session = call.session();
  return {session.storage().volume_path(session.caller(), to_driver(arguments.vol))};
}

void storage_vol_create_xml(Call& call, const StorageVolCreateXmlArgs& arguments,
                            Reply<StorageVolCreateXmlResult> reply) {
  Session& session = call.session();
  session.storage().create_volume(
      session.caller(), rpc::to_driver(arguments.pool.uuid), arguments.xml, arguments.flags,
      when_done<StorageVolCreateXmlResult, driver::VolumeHandle>(
          std::move(reply),
          [](const driver::VolumeHandle& handle) { return StorageVolCreateXmlResult{to_protocol(handle)}; }));
}

void storage_vol_create_xml_from(Call& call, const StorageVolCreateXmlFromArgs& arguments,
                                 Reply<StorageVolCreateXmlFromResult> reply) {
  Session& session = call.session();
  session.storage().clone_volume(session.caller(), rpc::to_driver(arguments.pool.uuid), arguments.xml,
                                 to_driver(arguments.clonevol), arguments.flags,
                                 when_done<StorageVolCreateXmlFromResult, driver::VolumeHandle>(
                                     std::move(reply), [](const driver::VolumeHandle& handle) {
                                       return StorageVolCreateXmlFromResult{to_protocol(handle)};
                                     }));
}

void storage_vol_delete(Call& call, const StorageVolDeleteArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().delete_volume(session.caller(), to_driver(arguments.vol), arguments.flags,
                                  when_done(std::move(reply)));
}

void storage_vol_wipe(Call& call, const StorageVolWipeArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().wipe_volume(session.caller(), to_driver(arguments.vol), VIR_STORAGE_VOL_WIPE_ALG_ZERO,
                                arguments.flags, when_done(std::move(reply)));
}

void storage_vol_wipe_pattern(Call& call, const StorageVolWipePatternArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().wipe_volume(session.caller(), to_driver(arguments.vol), arguments.algorithm,
                                arguments.flags, when_done(std::move(reply)));
}

void storage_vol_resize(Call& call, const StorageVolResizeArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().resize_volume(session.caller(), to_driver(arguments.vol), arguments.capacity,
                                  arguments.flags, when_done(std::move(reply)));
}

void storage_vol_upload(Call& call, const StorageVolUploadArgs& arguments) {
  Session& session = call.session();
  call.open_stream(session.storage().upload_volume(session.caller(), to_driver(arguments.vol),
                                                   arguments.offset, arguments.length, arguments.flags));
}

void storage_vol_download(Call& call, const StorageVolDownloadArgs& arguments) {
  Session& session = call.session();
  call.open_stream(session.storage().download_volume(session.caller(), to_driver(arguments.vol),
                                                     arguments.offset, arguments.length, arguments.flags));
}

}  // namespace warren::daemon::rpc::handlers
