// One client: the state machine between its packets and the driver.
//
// A session knows nothing of sockets: whoever owns the Transport hands it frames and is handed frames. Order
// of the checks of a call: program and version, procedure known, client authenticated, read-only permission,
// connection open, procedure served and its driver there; only then are the arguments decoded.
//
// Bounds (each client): requests in flight, streams, bytes of stream data each way, and events the client
// does not read. A client that leaves kMostEvents events unread is disconnected: it has lost its view of the
// state and has to ask again, which silently dropped events would hide. Loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/rpc/call.h"
#include "daemon/rpc/packet.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/stream.h"
#include "daemon/rpc/transport.h"
#include "driver/contract/caller.h"
#include "driver/contract/host.h"
#include "driver/contract/hypervisor.h"
#include "driver/contract/interfaces.h"
#include "driver/contract/native_format.h"
#include "driver/contract/network_filters.h"
#include "driver/contract/networks.h"
#include "driver/contract/secrets.h"
#include "driver/contract/storage.h"

namespace warren::daemon::rpc {

struct Administration;

// What sessions share. The drivers outlive them.
struct SessionServices {
  driver::HypervisorDriver& hypervisor;
  driver::HostDriver& host;
  // Null: this daemon has none, and refuses the calls for that Part.
  driver::SecretDriver* secrets = nullptr;
  driver::StorageDriver* storage = nullptr;
  driver::NativeFormats* native_formats = nullptr;
  driver::NetworkDriver* networks = nullptr;
  driver::InterfaceDriver* interfaces = nullptr;
  driver::NetworkFilterDriver* network_filters = nullptr;
  // Of the admin socket, whose sessions serve ADMIN and nothing else; null: all other programs.
  Administration* administration = nullptr;
  bool session_mode = false;             // a user's own daemon: URIs end in /session
  unsigned int max_client_requests = 5;  // in flight; nothing more is read beyond
  unsigned int keepalive_count = 5;      // unanswered pings before a client is given up
  // What a client did wrong, for the log; not called more often than the client's mistakes.
  std::function<void(std::string_view)> report = [](std::string_view) {};
};

// Who is at the other end, as the transport knows it.
struct Peer {
  std::optional<uid_t> user_id;
  std::optional<gid_t> group_id;
  std::optional<pid_t> process_id;
  bool read_only = false;  // the read-only socket
  bool authenticated = true;
  bool passes_descriptors = false;  // a unix socket
};

// Most events, and bytes of them, that wait for a client.
inline constexpr std::size_t kMostEvents = 16384;
inline constexpr std::size_t kMostEventBytes = std::size_t{8} << 20;
// Most event callbacks of one client.
inline constexpr std::size_t kMostSubscriptions = 16384;
// With more than this unsent, events wait in the session and nothing more is read.
inline constexpr std::size_t kSendBacklog = std::size_t{1} << 20;

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Transport& transport, SessionServices& services, const Peer& peer, std::uint64_t id);
  ~Session();

  // ---- for the transport
  void receive(Frame& frame);
  // Whether another frame may be given to receive().
  bool accepting() const;
  // Replies are owed or streams open: a half-closed connection is kept until this is false.
  bool busy() const { return in_flight_ > 0; }
  // The peer has taken all, or much, of the backlog.
  void on_room();
  // A keepalive interval has passed. `listening` says whether the peer could have been heard in it.
  void keepalive_tick(bool listening);
  bool wants_keepalive() const { return keepalive_; }
  // The connection is gone; the transport is not used any more.
  void on_closed();

  // ---- for handlers
  driver::HypervisorDriver& hypervisor() { return services_.hypervisor; }
  driver::HostDriver& host() { return services_.host; }
  // Only for calls whose line in the tables names that Part: others may come where there is no such driver.
  driver::SecretDriver& secrets() { return *services_.secrets; }
  driver::StorageDriver& storage() { return *services_.storage; }
  driver::NativeFormats& native_formats() { return *services_.native_formats; }
  driver::NetworkDriver& networks() { return *services_.networks; }
  driver::InterfaceDriver& interfaces() { return *services_.interfaces; }
  driver::NetworkFilterDriver& network_filters() { return *services_.network_filters; }
  const SessionServices& services() const { return services_; }
  const driver::Caller& caller() const { return caller_; }
  const Peer& peer() const { return peer_; }
  bool is_open() const { return uri_.has_value(); }
  const std::string& uri() const { return *uri_; }
  // CONNECT_OPEN: `uri` has been checked.
  void open(std::string uri, driver::UriFlavour flavour, bool read_only);
  // CONNECT_CLOSE: the connection ends once its reply has been sent.
  void close_when_sent() { transport_->close_when_sent(); }
  // Whether the client is told why its connection ends. Throws driver::Error if it is asked for twice.
  void announce_close(bool announce);
  // The daemon ends the connection: tells a client that asked, by a virConnectCloseReason. To be closed next.
  void send_close_reason(int reason);
  // Stands for another from now on (CONNECT_SET_IDENTITY); what is absent is not known of it.
  void set_identity(std::optional<uid_t> user, std::optional<gid_t> group, std::optional<pid_t> process);
  void enable_keepalive() { keepalive_ = true; }
  // Subscriptions of this client; they are dropped at its end. `begin` subscribes at the source of the
  // events, for the callback id it is given, and returns what ends the subscription. subscribe() gives the
  // callback id and throws driver::Error; unsubscribe() is false for an id that is not of that kind.
  enum class EventKind : std::uint8_t { domain, secret, storage_pool, network };
  using EndSubscription = std::move_only_function<void()>;
  std::int32_t subscribe(EventKind kind,
                         const std::function<EndSubscription(std::int32_t callback_id)>& begin);
  bool unsubscribe(EventKind kind, std::int32_t callback_id);
  // Sends an event: procedure `number` of REMOTE, `message` written by `write`.
  void send_event(std::uint32_t number, ResultWriter write, const void* message);

  // ---- for Call, ReplyDuty and StreamTable
  void answer(const CallId& call, ResultWriter write, const void* result,
              std::vector<FileDescriptor> descriptors);
  void answer_error(const CallId& call, const driver::Error& error);
  void send_stream_error(const Header& call, const driver::Error& error);
  void send_stream_hole(const Header& call, std::int64_t length);
  void send_raw(const Header& header, std::span<const std::byte> payload);
  std::size_t backlog() const { return transport_ != nullptr ? transport_->backlog() : 0; }
  void resume() {
    if (transport_ != nullptr) transport_->resume();
  }
  void request_begins() { ++in_flight_; }
  void request_ends();
  StreamTable& streams() { return streams_; }

 private:
  void receive_keepalive(const Header& header);
  void receive_call(Frame& frame);
  void dispatch(const CallId& id, Frame& frame);
  // The error that stands in the way of a call, if any.
  std::optional<driver::Error> refuse(const Procedure* procedure, std::uint32_t number) const;
  void send_error(const Header& header, const driver::Error& error);
  void flush_events();

  Transport* transport_;  // null once closed
  SessionServices& services_;
  Peer peer_;
  driver::Caller caller_;
  std::optional<std::string> uri_;
  std::vector<std::byte> outgoing_;  // the frame being written
  unsigned int in_flight_ = 0;
  StreamTable streams_;

  struct Subscription {
    EventKind kind;
    EndSubscription end;
  };
  std::map<std::int32_t, Subscription> subscriptions_;
  std::int32_t next_callback_id_ = 0;
  std::deque<std::vector<std::byte>> events_;  // frames that wait for room
  std::size_t event_bytes_ = 0;

  bool announces_close_ = false;
  bool keepalive_ = false;
  bool heard_ = false;           // since the last tick
  unsigned int unanswered_ = 0;  // pings
};

// The error a client gets, as libvirt lays it out.
protocol::Error to_protocol(const driver::Error& error);

}  // namespace warren::daemon::rpc
