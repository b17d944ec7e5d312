#include "daemon/rpc/handlers_secret.h"

#include <algorithm>

#include <fmt/format.h>

#include "daemon/rpc/codec.h"
#include "daemon/rpc/completion.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// Procedures of the messages (server to client).
constexpr std::uint32_t kLifecycle = 382;
constexpr std::uint32_t kValueChanged = 383;

protocol::Secret to_protocol(const driver::SecretHandle& handle) {
  return {.uuid = handle.uuid.bytes, .usage_type = handle.usage_type, .usage_id = handle.usage_id};
}

template <class Message>
void send(Session& session, std::uint32_t procedure, const Message& message) {
  session.send_event(
      procedure, [](Encoder& to, const void* value) { encode(to, *static_cast<const Message*>(value)); },
      &message);
}

void send_secret_event(Session& session, std::int32_t callback_id, const driver::SecretEvent& event) {
  if (event.id == VIR_SECRET_EVENT_ID_VALUE_CHANGED) {
    send(session, kValueChanged, SecretEventValueChangedMsg{callback_id, to_protocol(event.secret)});
    return;
  }
  send(session, kLifecycle,
       SecretEventLifecycleMsg{
           .callback_id = callback_id, .secret = to_protocol(event.secret), .event = event.event});
}

}  // namespace

ConnectNumOfSecretsResult connect_num_of_secrets(Call& call, const Nothing&) {
  Session& session = call.session();
  return {.num = static_cast<std::int32_t>(session.secrets().list(session.caller(), 0).size())};
}

ConnectListSecretsResult connect_list_secrets(Call& call, const ConnectListSecretsArgs& arguments) {
  Session& session = call.session();
  auto handles = session.secrets().list(session.caller(), 0);
  std::size_t most = static_cast<std::size_t>(std::max(arguments.maxuuids, 0));
  ConnectListSecretsResult result;
  for (const driver::SecretHandle& handle : handles) {
    if (result.uuids.size() == most) break;
    result.uuids.push_back(handle.uuid.to_string());
  }
  return result;
}

ConnectListAllSecretsResult connect_list_all_secrets(Call& call, const ConnectListAllSecretsArgs& arguments) {
  Session& session = call.session();
  auto handles = session.secrets().list(session.caller(), arguments.flags);
  ConnectListAllSecretsResult result{.ret = static_cast<std::uint32_t>(handles.size())};
  if (arguments.need_results != 0)
    for (const driver::SecretHandle& handle : handles) result.secrets.push_back(to_protocol(handle));
  return result;
}

SecretLookupByUuidResult secret_lookup_by_uuid(Call& call, const SecretLookupByUuidArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.secrets().lookup_by_uuid(session.caller(), to_driver(arguments.uuid)))};
}

SecretLookupByUsageResult secret_lookup_by_usage(Call& call, const SecretLookupByUsageArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(
      session.secrets().lookup_by_usage(session.caller(), arguments.usage_type, arguments.usage_id))};
}

SecretGetXmlDescResult secret_get_xml_desc(Call& call, const SecretGetXmlDescArgs& arguments) {
  Session& session = call.session();
  return {session.secrets().xml(session.caller(), to_driver(arguments.secret.uuid), arguments.flags)};
}

SecretGetValueResult secret_get_value(Call& call, const SecretGetValueArgs& arguments) {
  Session& session = call.session();
  driver::SecretValue value =
      session.secrets().value(session.caller(), to_driver(arguments.secret.uuid), arguments.flags);
  SecretGetValueResult result;
  result.value.assign(value.bytes().begin(), value.bytes().end());
  return result;
}

void secret_define_xml(Call& call, const SecretDefineXmlArgs& arguments, Reply<SecretDefineXmlResult> reply) {
  Session& session = call.session();
  session.secrets().define(session.caller(), arguments.xml, arguments.flags,
                           when_done<SecretDefineXmlResult, driver::SecretHandle>(
                               std::move(reply), [](const driver::SecretHandle& handle) {
                                 return SecretDefineXmlResult{to_protocol(handle)};
                               }));
}

void secret_set_value(Call& call, const SecretSetValueArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.secrets().set_value(session.caller(), to_driver(arguments.secret.uuid),
                              driver::SecretValue(arguments.value), arguments.flags,
                              when_done(std::move(reply)));
}

void secret_undefine(Call& call, const SecretUndefineArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.secrets().undefine(session.caller(), to_driver(arguments.secret.uuid), when_done(std::move(reply)));
}

ConnectSecretEventRegisterAnyResult connect_secret_event_register_any(
    Call& call, const ConnectSecretEventRegisterAnyArgs& arguments) {
  Session& session = call.session();
  std::optional<driver::Uuid> secret;
  if (arguments.secret) secret = to_driver(arguments.secret->uuid);
  return {.callback_id = session.subscribe(Session::EventKind::secret, [&](std::int32_t callback_id) {
    driver::SecretDriver& secrets = session.secrets();
    auto id = secrets.subscribe(arguments.event_id, secret,
                                [&session, callback_id](const driver::SecretEvent& event) {
                                  send_secret_event(session, callback_id, event);
                                });
    return [&secrets, id] { secrets.unsubscribe(id); };
  })};
}

void connect_secret_event_deregister_any(Call& call, const ConnectSecretEventDeregisterAnyArgs& arguments) {
  if (!call.session().unsubscribe(Session::EventKind::secret, arguments.callback_id)) {
    throw driver::Error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("secret event callback {} not registered", arguments.callback_id),
                        VIR_FROM_RPC);
  }
}

}  // namespace warren::daemon::rpc::handlers
