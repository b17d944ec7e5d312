// Streams of a session: data in one or both directions beside a call that opened them (a console, a volume).
//
// After the call's reply, packets with the call's procedure and serial carry data (status CONTINUE; empty
// from the daemon means end of data), holes (only in streams opened as sparse), the finish (OK, confirmed
// with OK) and the abort (ERROR, confirmed with OK). The protocol has no flow control but the transport's.
// So: towards the client a stream is read only while the transport's backlog is below kStreamBacklog; from
// the client a stream whose queue is longer than kStreamQueue holds up the reading of the whole connection
// until it has drained. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "daemon/rpc/packet.h"
#include "driver/contract/error.h"
#include "driver/contract/volume_stream.h"

namespace warren::daemon::rpc {

class Session;

// Most bytes that a session's streams leave waiting in its transport.
inline constexpr std::size_t kStreamBacklog = std::size_t{1} << 20;
// Most bytes from the client that wait for the other end before the connection is held up.
inline constexpr std::size_t kStreamQueue = std::size_t{256} << 10;

class StreamTable {
 public:
  // Most streams one client may have open at a time.
  static constexpr std::size_t kMost = 64;

  explicit StreamTable(Session& session);
  ~StreamTable();

  // Whether a stream of this call can be opened: there is a place, and no open stream with its serial.
  bool can_open(std::uint32_t procedure, std::uint32_t serial) const;
  // Adds the stream of a call whose reply has been sent, and begins to read from it.
  void open(const Header& call, std::unique_ptr<driver::Stream> body);
  // A STREAM or STREAM_HOLE message. Those of streams that are over are late, and ignored.
  void receive(const Header& header, std::span<const std::byte> payload);
  // Whether a stream's queue holds up the connection.
  bool full() const;
  // The transport has taken something: read on.
  void on_room();
  // The session is over: aborts every stream.
  void close_all();
  std::size_t size() const { return streams_.size(); }

 private:
  struct Stream;
  using Key = std::pair<std::uint32_t, std::uint32_t>;  // procedure, serial

  // Each runs `step` on a stream and turns what it throws into the stream's error.
  template <class Step>
  void guard(const std::shared_ptr<Stream>& stream, Step step);
  void take_packet(Stream& stream, const Header& header, std::span<const std::byte> payload);
  void pump_to_client(const std::shared_ptr<Stream>& stream);
  void pump_from_client(const std::shared_ptr<Stream>& stream);
  bool write_items(Stream& stream);
  void send(const Stream& stream, MessageType type, MessageStatus status, std::span<const std::byte> payload);
  void close(Stream& stream);

  Session& session_;
  std::map<Key, std::shared_ptr<Stream>> streams_;
  std::vector<std::byte> buffer_;  // of one packet
};

}  // namespace warren::daemon::rpc
