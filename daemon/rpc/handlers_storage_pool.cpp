#include "daemon/rpc/handlers_storage_pool.h"

#include <fmt/format.h>

#include "daemon/rpc/codec.h"
#include "daemon/rpc/completion.h"
#include "daemon/rpc/list.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// Procedures of the messages (server to client).
constexpr std::uint32_t kLifecycle = 370;
constexpr std::uint32_t kRefresh = 373;

protocol::StoragePool to_protocol(const driver::PoolHandle& handle) {
  return {.name = handle.name, .uuid = handle.uuid.bytes};
}

template <class Message>
void send(Session& session, std::uint32_t procedure, const Message& message) {
  session.send_event(
      procedure, [](Encoder& to, const void* value) { encode(to, *static_cast<const Message*>(value)); },
      &message);
}

void send_pool_event(Session& session, std::int32_t callback_id, const driver::PoolEvent& event) {
  if (event.id == VIR_STORAGE_POOL_EVENT_ID_REFRESH) {
    send(session, kRefresh, StoragePoolEventRefreshMsg{callback_id, to_protocol(event.pool)});
    return;
  }
  send(session, kLifecycle,
       StoragePoolEventLifecycleMsg{
           .callback_id = callback_id, .pool = to_protocol(event.pool), .event = event.event});
}

}  // namespace

ConnectNumOfStoragePoolsResult connect_num_of_storage_pools(Call& call, const Nothing&) {
  Session& session = call.session();
  auto handles = session.storage().list_pools(session.caller(), VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE);
  return {.num = static_cast<std::int32_t>(handles.size())};
}

ConnectListStoragePoolsResult connect_list_storage_pools(Call& call,
                                                         const ConnectListStoragePoolsArgs& arguments) {
  Session& session = call.session();
  ConnectListStoragePoolsResult result;
  take_names(session.storage().list_pools(session.caller(), VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE),
             arguments.maxnames, result.names);
  return result;
}

ConnectNumOfDefinedStoragePoolsResult connect_num_of_defined_storage_pools(Call& call, const Nothing&) {
  Session& session = call.session();
  auto handles = session.storage().list_pools(session.caller(), VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE);
  return {.num = static_cast<std::int32_t>(handles.size())};
}

ConnectListDefinedStoragePoolsResult connect_list_defined_storage_pools(
    Call& call, const ConnectListDefinedStoragePoolsArgs& arguments) {
  Session& session = call.session();
  ConnectListDefinedStoragePoolsResult result;
  take_names(session.storage().list_pools(session.caller(), VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE),
             arguments.maxnames, result.names);
  return result;
}

ConnectListAllStoragePoolsResult connect_list_all_storage_pools(
    Call& call, const ConnectListAllStoragePoolsArgs& arguments) {
  Session& session = call.session();
  return list_all(session.storage().list_pools(session.caller(), arguments.flags), arguments.need_results,
                  &ConnectListAllStoragePoolsResult::pools, &to_protocol, "storage pools");
}

ConnectGetStoragePoolCapabilitiesResult connect_get_storage_pool_capabilities(
    Call& call, const ConnectGetStoragePoolCapabilitiesArgs& arguments) {
  Session& session = call.session();
  return {session.storage().pool_capabilities(session.caller(), arguments.flags)};
}

void connect_find_storage_pool_sources(Call& call, const ConnectFindStoragePoolSourcesArgs& arguments,
                                       Reply<ConnectFindStoragePoolSourcesResult> reply) {
  Session& session = call.session();
  session.storage().find_pool_sources(
      session.caller(), arguments.type, arguments.src_spec, arguments.flags,
      when_done<ConnectFindStoragePoolSourcesResult, std::string>(
          std::move(reply), [](const std::string& xml) { return ConnectFindStoragePoolSourcesResult{xml}; }));
}

StoragePoolLookupByNameResult storage_pool_lookup_by_name(Call& call,
                                                          const StoragePoolLookupByNameArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.storage().pool_by_name(session.caller(), arguments.name))};
}

StoragePoolLookupByUuidResult storage_pool_lookup_by_uuid(Call& call,
                                                          const StoragePoolLookupByUuidArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.storage().pool_by_uuid(session.caller(), to_driver(arguments.uuid)))};
}

StoragePoolLookupByVolumeResult storage_pool_lookup_by_volume(
    Call& call, const StoragePoolLookupByVolumeArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.storage().pool_by_name(session.caller(), arguments.vol.pool))};
}

StoragePoolLookupByTargetPathResult storage_pool_lookup_by_target_path(
    Call& call, const StoragePoolLookupByTargetPathArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.storage().pool_by_target_path(session.caller(), arguments.path))};
}

StoragePoolGetInfoResult storage_pool_get_info(Call& call, const StoragePoolGetInfoArgs& arguments) {
  Session& session = call.session();
  auto info = session.storage().pool_info(session.caller(), to_driver(arguments.pool.uuid));
  return {.state = static_cast<std::uint8_t>(info.state),
          .capacity = info.capacity,
          .allocation = info.allocation,
          .available = info.available};
}

StoragePoolGetXmlDescResult storage_pool_get_xml_desc(Call& call,
                                                      const StoragePoolGetXmlDescArgs& arguments) {
  Session& session = call.session();
  return {session.storage().pool_xml(session.caller(), to_driver(arguments.pool.uuid), arguments.flags)};
}

StoragePoolGetAutostartResult storage_pool_get_autostart(Call& call,
                                                         const StoragePoolGetAutostartArgs& arguments) {
  Session& session = call.session();
  return {session.storage().pool_autostart(session.caller(), to_driver(arguments.pool.uuid)) ? 1 : 0};
}

StoragePoolIsActiveResult storage_pool_is_active(Call& call, const StoragePoolIsActiveArgs& arguments) {
  Session& session = call.session();
  return {session.storage().pool_is_active(session.caller(), to_driver(arguments.pool.uuid)) ? 1 : 0};
}

StoragePoolIsPersistentResult storage_pool_is_persistent(Call& call,
                                                         const StoragePoolIsPersistentArgs& arguments) {
  Session& session = call.session();
  return {session.storage().pool_is_persistent(session.caller(), to_driver(arguments.pool.uuid)) ? 1 : 0};
}

void storage_pool_create_xml(Call& call, const StoragePoolCreateXmlArgs& arguments,
                             Reply<StoragePoolCreateXmlResult> reply) {
  Session& session = call.session();
  session.storage().create_pool(session.caller(), arguments.xml, arguments.flags,
                                when_done<StoragePoolCreateXmlResult, driver::PoolHandle>(
                                    std::move(reply), [](const driver::PoolHandle& handle) {
                                      return StoragePoolCreateXmlResult{to_protocol(handle)};
                                    }));
}

void storage_pool_define_xml(Call& call, const StoragePoolDefineXmlArgs& arguments,
                             Reply<StoragePoolDefineXmlResult> reply) {
  Session& session = call.session();
  session.storage().define_pool(session.caller(), arguments.xml, arguments.flags,
                                when_done<StoragePoolDefineXmlResult, driver::PoolHandle>(
                                    std::move(reply), [](const driver::PoolHandle& handle) {
                                      return StoragePoolDefineXmlResult{to_protocol(handle)};
                                    }));
}

void storage_pool_create(Call& call, const StoragePoolCreateArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().start_pool(session.caller(), to_driver(arguments.pool.uuid), arguments.flags,
                               when_done(std::move(reply)));
}

void storage_pool_build(Call& call, const StoragePoolBuildArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().build_pool(session.caller(), to_driver(arguments.pool.uuid), arguments.flags,
                               when_done(std::move(reply)));
}

void storage_pool_destroy(Call& call, const StoragePoolDestroyArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().stop_pool(session.caller(), to_driver(arguments.pool.uuid), when_done(std::move(reply)));
}

void storage_pool_delete(Call& call, const StoragePoolDeleteArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().delete_pool(session.caller(), to_driver(arguments.pool.uuid), arguments.flags,
                                when_done(std::move(reply)));
}

void storage_pool_undefine(Call& call, const StoragePoolUndefineArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().undefine_pool(session.caller(), to_driver(arguments.pool.uuid),
                                  when_done(std::move(reply)));
}

void storage_pool_refresh(Call& call, const StoragePoolRefreshArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().refresh_pool(session.caller(), to_driver(arguments.pool.uuid), arguments.flags,
                                 when_done(std::move(reply)));
}

void storage_pool_set_autostart(Call& call, const StoragePoolSetAutostartArgs& arguments,
                                Reply<Nothing> reply) {
  Session& session = call.session();
  session.storage().set_pool_autostart(session.caller(), to_driver(arguments.pool.uuid),
                                       arguments.autostart != 0, when_done(std::move(reply)));
}

ConnectStoragePoolEventRegisterAnyResult connect_storage_pool_event_register_any(
    Call& call, const ConnectStoragePoolEventRegisterAnyArgs& arguments) {
  Session& session = call.session();
  std::optional<driver::Uuid> pool;
  if (arguments.pool) pool = to_driver(arguments.pool->uuid);
  return {.callback_id = session.subscribe(Session::EventKind::storage_pool, [&](std::int32_t callback_id) {
    driver::StorageDriver& storage = session.storage();
    auto id =
        storage.subscribe(arguments.event_id, pool, [&session, callback_id](const driver::PoolEvent& event) {
          send_pool_event(session, callback_id, event);
        });
    return [&storage, id] { storage.unsubscribe(id); };
  })};
}

void connect_storage_pool_event_deregister_any(Call& call,
                                               const ConnectStoragePoolEventDeregisterAnyArgs& arguments) {
  if (!call.session().unsubscribe(Session::EventKind::storage_pool, arguments.callback_id)) {
    throw driver::Error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("storage pool event callback {} not registered", arguments.callback_id),
                        VIR_FROM_RPC);
  }
}

}  // namespace warren::daemon::rpc::handlers
