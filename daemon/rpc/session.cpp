#include "daemon/rpc/session.h"

#include <utility>

#include <fmt/format.h>

#include "daemon/rpc/api_name.h"
#include "daemon/rpc/codec.h"
#include "daemon/rpc/protocol/event.h"
#include "daemon/rpc/protocol/objects.h"

namespace warren::daemon::rpc {
namespace {

driver::Error rpc_error(std::string detail) {
  return {VIR_ERR_RPC, std::move(detail), VIR_FROM_RPC};
}

bool is_call(MessageType type) {
  return type == MessageType::call || type == MessageType::call_with_fds;
}

Header reply_header(const CallId& call) {
  return {.program = call.program,
          .version = kProgramVersion,
          .procedure = call.procedure->number,
          .type = MessageType::reply,
          .serial = call.serial,
          .status = MessageStatus::ok};
}

// The error for calls about `part`, if this daemon is without.
std::optional<driver::Error> absence(const SessionServices& services, Part part) {
  const auto none = [](bool there, const char* text, virErrorDomain domain) {
    return there ? std::nullopt : std::optional(driver::Error(VIR_ERR_NO_SUPPORT, text, domain));
  };
  switch (part) {
    case Part::always:
      break;
    case Part::secrets:
      return none(services.secrets != nullptr, "this daemon keeps no secrets", VIR_FROM_SECRET);
    case Part::storage:
      return none(services.storage != nullptr, "this daemon has no storage", VIR_FROM_STORAGE);
    case Part::native_formats:
      return none(services.native_formats != nullptr, "there is no native format of domains", VIR_FROM_QEMU);
    case Part::networks:
      return none(services.networks != nullptr, "this daemon has no networks", VIR_FROM_NETWORK);
    case Part::interfaces:
      return none(services.interfaces != nullptr, "this daemon does not manage the host's interfaces",
                  VIR_FROM_INTERFACE);
    case Part::network_filters:
      return none(services.network_filters != nullptr, "this daemon has no network filters",
                  VIR_FROM_NWFILTER);
  }
  return std::nullopt;
}

// With another domain, clients take these codes for what they meant before 0.8.0 (virterror.h,
// virErrorNumber).
bool is_filter_error(virErrorNumber code) {
  return code == VIR_ERR_INVALID_NWFILTER || code == VIR_ERR_NO_NWFILTER || code == VIR_ERR_BUILD_FIREWALL;
}

}  // namespace

protocol::Error to_protocol(const driver::Error& error) {
  protocol::Error wire;
  wire.code = error.code();
  wire.domain = is_filter_error(error.code()) ? VIR_FROM_NWFILTER : error.domain();
  wire.message = error.message();
  wire.level = error.level();
  wire.str1 = std::string(error.str1());
  wire.str2 = error.str2();
  wire.str3 = error.str3();
  wire.int1 = error.int1();
  wire.int2 = error.int2();
  return wire;
}

Session::Session(Transport& transport, SessionServices& services, const Peer& peer, std::uint64_t id)
    : transport_(&transport), services_(services), peer_(peer), streams_(*this) {
  caller_ = {.user_id = peer.user_id,
             .group_id = peer.group_id,
             .process_id = peer.process_id,
             .read_only = peer.read_only,
             .connection_id = id};
}

Session::~Session() {
  on_closed();
}

void Session::on_closed() {
  if (std::exchange(transport_, nullptr) == nullptr) return;
  for (auto& [callback, subscription] : subscriptions_) subscription.end();
  subscriptions_.clear();
  streams_.close_all();
  events_.clear();
  // An admin connection starts no domains, and its id is another server's, too.
  if (services_.administration == nullptr) {
    services_.hypervisor.connection_closed(caller_.connection_id);
    if (services_.storage != nullptr) services_.storage->connection_closed(caller_.connection_id);
  }
}

bool Session::accepting() const {
  return in_flight_ < services_.max_client_requests && backlog() < kSendBacklog && !streams_.full();
}

void Session::open(std::string uri, driver::UriFlavour flavour, bool read_only) {
  uri_ = std::move(uri);
  caller_.flavour = flavour;
  caller_.read_only = peer_.read_only || read_only;
}

void Session::receive(Frame& frame) {
  heard_ = true;
  const Header& header = frame.header;
  if (header.program == kKeepaliveProgram) {
    receive_keepalive(header);
  } else if (is_call(header.type)) {
    receive_call(frame);
  } else if (header.type == MessageType::stream || header.type == MessageType::stream_hole) {
    streams_.receive(header, frame.payload);
  } else {
    services_.report(
        fmt::format("message of type {} from a client ignored", static_cast<unsigned>(header.type)));
  }
}

void Session::receive_keepalive(const Header& header) {
  if (header.version != kProgramVersion || header.type != MessageType::message) return;
  if (header.procedure == kKeepalivePing) {
    Header pong = header;
    pong.procedure = kKeepalivePong;
    pong.serial = 0;
    pong.status = MessageStatus::ok;
    send_raw(pong, {});
  }
}

void Session::keepalive_tick(bool listening) {
  if (!keepalive_ || transport_ == nullptr) return;
  if (std::exchange(heard_, false) || !listening) {
    unanswered_ = 0;
    return;
  }
  if (unanswered_ >= services_.keepalive_count) {
    transport_->abort("client does not answer keepalive messages");
    return;
  }
  ++unanswered_;
  send_raw({.program = kKeepaliveProgram,
            .version = kProgramVersion,
            .procedure = kKeepalivePing,
            .type = MessageType::message},
           {});
}

void Session::receive_call(Frame& frame) {
  const Header& header = frame.header;
  const bool is_admin = header.program == kAdminProgram;
  const Program* program =
      is_admin == (services_.administration != nullptr) ? find_program(header.program) : nullptr;
  if (program == nullptr) {
    send_error(header,
               rpc_error(fmt::format("Cannot find program {} version {}", header.program, header.version)));
    return;
  }
  if (header.version != kProgramVersion) {
    send_error(header, rpc_error(fmt::format("version mismatch (actual {:x}, expected {:x})", header.version,
                                             kProgramVersion)));
    return;
  }
  if (header.status != MessageStatus::ok) {
    send_error(header,
               rpc_error(fmt::format("Unexpected message status {}", static_cast<unsigned>(header.status))));
    return;
  }
  const Procedure* procedure = program->find(header.procedure);
  if (std::optional<driver::Error> refusal = refuse(procedure, header.procedure)) {
    send_error(header, *refusal);
    return;
  }
  dispatch({program->number(), procedure, header.serial}, frame);
}

std::optional<driver::Error> Session::refuse(const Procedure* procedure, std::uint32_t number) const {
  // Clients test for these first words and then see VIR_ERR_NO_SUPPORT.
  driver::Error unknown = rpc_error(fmt::format("unknown procedure: {}", number));
  if (procedure == nullptr || procedure->has(kEvent)) return unknown;
  if (procedure->has(kPreAuth)) {
    return procedure->support == Support::implemented ? std::nullopt : std::optional(unknown);
  }
  if (!peer_.authenticated) return rpc_error("authentication required");
  if (caller_.read_only && procedure->has(kWrite)) {
    return driver::Error(VIR_ERR_OPERATION_DENIED,
                         fmt::format("read only access prevents {}", api_name(procedure->name)),
                         api_error_domain(procedure->name));
  }
  if (!is_open() && !procedure->has(kPreOpen)) {
    return driver::Error(VIR_ERR_INTERNAL_ERROR, "connection not open", VIR_FROM_RPC);
  }
  if (!procedure->refusal.empty()) {
    return driver::Error(static_cast<virErrorNumber>(procedure->refusal_code),
                         std::string(procedure->refusal));
  }
  if (procedure->support != Support::implemented) return unknown;
  return absence(services_, procedure->part);
}

void Session::dispatch(const CallId& id, Frame& frame) {
  // The handler may end the session (a transport that fails while replying).
  std::shared_ptr<Session> self = shared_from_this();
  Call call(*this, id, std::move(frame.descriptors));
  try {
    if (!id.procedure->serve(call, frame.payload)) {
      answer_error(id, rpc_error("Unable to decode message payload"));
    }
  } catch (const driver::Error& error) {
    answer_error(id, error);
  } catch (const std::exception& error) {
    // Our own mistake or the end of memory: it costs this call and nothing else.
    services_.report(fmt::format("{}: {}", id.procedure->name, error.what()));
    answer_error(id, driver::internal_error(fmt::format("{}: {}", id.procedure->name, error.what())));
  }
  if (id.procedure->has(kSensitive)) driver::wipe(frame.payload.data(), frame.payload.size());
}

void Session::answer(const CallId& call, ResultWriter write, const void* result,
                     std::vector<FileDescriptor> descriptors) {
  if (transport_ == nullptr) return;
  Header header = reply_header(call);
  if (!descriptors.empty()) header.type = MessageType::reply_with_fds;
  begin_frame(outgoing_, header, static_cast<std::uint32_t>(descriptors.size()));
  Encoder encoder(outgoing_);
  write(encoder, result);
  if (!encoder.ok() || !finish_frame(outgoing_)) {
    answer_error(call,
                 rpc_error(fmt::format("the result of {} is too large to be sent", call.procedure->name)));
    return;
  }
  transport_->send(outgoing_, std::move(descriptors));
  if (call.procedure->has(kSensitive)) driver::wipe(outgoing_.data(), outgoing_.size());
}

void Session::answer_error(const CallId& call, const driver::Error& error) {
  send_error(reply_header(call), error);
}

void Session::send_error(const Header& header, const driver::Error& error) {
  if (transport_ == nullptr) return;
  Header reply = header;
  reply.type = header.type == MessageType::stream ? MessageType::stream : MessageType::reply;
  reply.status = MessageStatus::error;
  begin_frame(outgoing_, reply);
  Encoder encoder(outgoing_);
  encode(encoder, to_protocol(error));
  if (!encoder.ok() || !finish_frame(outgoing_)) {
    send_error(header, rpc_error("the error of this call is too large to be sent"));
    return;
  }
  transport_->send(outgoing_, {});
}

void Session::send_stream_error(const Header& call, const driver::Error& error) {
  Header header = call;
  header.type = MessageType::stream;
  send_error(header, error);
}

void Session::send_stream_hole(const Header& call, std::int64_t length) {
  std::vector<std::byte> payload;
  Encoder encoder(payload);
  encoder.hyper(static_cast<std::uint64_t>(length));
  encoder.word(0);
  Header header = call;
  header.type = MessageType::stream_hole;
  header.status = MessageStatus::more;
  send_raw(header, payload);
}

void Session::send_raw(const Header& header, std::span<const std::byte> payload) {
  if (transport_ == nullptr) return;
  begin_frame(outgoing_, header);
  outgoing_.insert(outgoing_.end(), payload.begin(), payload.end());
  if (finish_frame(outgoing_)) transport_->send(outgoing_, {});
}

void Session::request_ends() {
  bool was_accepting = accepting();
  --in_flight_;
  if (!was_accepting || in_flight_ == 0) resume();
}

void Session::announce_close(bool announce) {
  if (announce && announces_close_)
    throw driver::Error(VIR_ERR_OPERATION_INVALID, "A close callback is already registered", VIR_FROM_RPC);
  announces_close_ = announce;
}

void Session::send_close_reason(int reason) {
  constexpr std::uint32_t kConnectionClosed = 362;
  if (!announces_close_) return;
  protocol::ConnectEventConnectionClosedMsg message{.reason = reason};
  send_event(
      kConnectionClosed,
      [](Encoder& to, const void* value) {
        encode(to, *static_cast<const protocol::ConnectEventConnectionClosedMsg*>(value));
      },
      &message);
}

void Session::set_identity(std::optional<uid_t> user, std::optional<gid_t> group,
                           std::optional<pid_t> process) {
  caller_.user_id = user;
  caller_.group_id = group;
  caller_.process_id = process;
}

std::int32_t Session::subscribe(EventKind kind,
                                const std::function<EndSubscription(std::int32_t callback_id)>& begin) {
  if (subscriptions_.size() >= kMostSubscriptions) {
    throw driver::Error(
        VIR_ERR_OPERATION_FAILED,
        fmt::format("client has {} event callbacks, which is the most", subscriptions_.size()), VIR_FROM_RPC);
  }
  std::int32_t callback_id = next_callback_id_;
  subscriptions_.insert_or_assign(callback_id, Subscription{kind, begin(callback_id)});
  ++next_callback_id_;
  return callback_id;
}

bool Session::unsubscribe(EventKind kind, std::int32_t callback_id) {
  auto found = subscriptions_.find(callback_id);
  if (found == subscriptions_.end() || found->second.kind != kind) return false;
  found->second.end();
  subscriptions_.erase(found);
  return true;
}

void Session::send_event(std::uint32_t number, ResultWriter write, const void* message) {
  if (transport_ == nullptr) return;
  begin_frame(outgoing_, {.program = kRemoteProgram,
                          .version = kProgramVersion,
                          .procedure = number,
                          .type = MessageType::message});
  Encoder encoder(outgoing_);
  write(encoder, message);
  if (!encoder.ok() || !finish_frame(outgoing_)) return;  // no event comes near a limit
  if (events_.empty() && backlog() < kSendBacklog) {
    transport_->send(outgoing_, {});
    return;
  }
  if (events_.size() >= kMostEvents || event_bytes_ + outgoing_.size() > kMostEventBytes) {
    transport_->abort("client does not read its events");
    return;
  }
  event_bytes_ += outgoing_.size();
  events_.push_back(outgoing_);
}

void Session::flush_events() {
  while (transport_ != nullptr && !events_.empty() && backlog() < kSendBacklog) {
    event_bytes_ -= events_.front().size();
    transport_->send(events_.front(), {});
    events_.pop_front();
  }
}

void Session::on_room() {
  flush_events();
  if (transport_ != nullptr) streams_.on_room();
}

ReplyDuty::~ReplyDuty() {
  if (call_.procedure != nullptr) {
    fail(driver::internal_error(fmt::format("{} was given up without an answer", call_.procedure->name)));
  }
}

void ReplyDuty::succeed(ResultWriter write, const void* result) {
  CallId call = std::exchange(call_, CallId{});
  std::shared_ptr<Session> session = session_.lock();
  if (call.procedure == nullptr || !session) return;
  session->answer(call, write, result, {});
  session->request_ends();
}

void ReplyDuty::fail(const driver::Error& error) {
  CallId call = std::exchange(call_, CallId{});
  std::shared_ptr<Session> session = session_.lock();
  if (call.procedure == nullptr || !session) return;
  session->answer_error(call, error);
  session->request_ends();
}

ReplyDuty Call::defer() {
  session_.request_begins();
  return {session_.weak_from_this(), id_};
}

void Call::succeed(ResultWriter write, const void* result) {
  session_.answer(id_, write, result, std::move(returned_));
  if (stream_) {
    session_.streams().open({.program = id_.program,
                             .version = kProgramVersion,
                             .procedure = id_.procedure->number,
                             .type = MessageType::stream,
                             .serial = id_.serial,
                             .status = MessageStatus::more},
                            std::move(stream_));
  }
}

void Call::report(const std::exception& error) {
  session_.services().report(fmt::format("{}: {}", id_.procedure->name, error.what()));
}

void Call::open_stream(std::unique_ptr<driver::Stream> body) {
  if (!session_.streams().can_open(id_.procedure->number, id_.serial)) {
    throw driver::Error(
        VIR_ERR_OPERATION_FAILED,
        fmt::format("client has {} streams open, which is the most", session_.streams().size()),
        VIR_FROM_STREAMS);
  }
  stream_ = std::move(body);
}

}  // namespace warren::daemon::rpc
