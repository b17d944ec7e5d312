// A guest agent's socket: one exchange at a time, each brought into step first. Implementation header (Asio).
//
// An exchange sends guest-sync-delimited with an id of its own and drops whatever comes before the reply to
// it, so a reply that is late for an earlier exchange is never taken for this one's. What an agent sends
// unasked is dropped without being kept. Loop's thread; nothing blocks.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include "driver/agent/json.h"
#include "driver/agent/message_reader.h"

namespace warren::driver::agent {

enum class Failure {
  not_synchronized,  // no reply to the synchronization in time
  timed_out,         // in step, but no reply to the command in time
  disconnected,      // the socket was closed, by the agent's side or by close()
  malformed,         // a reply that cannot be taken
};

struct Reply {
  Value value;
  std::string text;  // as the guest sent it
};

struct Exchange {
  std::string line;     // empty: the synchronization is all
  std::string command;  // for messages
  std::chrono::milliseconds synchronization_deadline{5'000};
  std::optional<std::chrono::milliseconds> deadline;  // none: for as long as it takes
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Of an exchange without a command the reply is that of the synchronization.
  using Answer = std::move_only_function<void(std::expected<Reply, Failure>)>;

  // Connects; null when nobody listens there. `closed` is called once, not for close().
  static std::shared_ptr<Connection> open(boost::asio::io_context& loop, const std::string& path,
                                          std::move_only_function<void()> closed);
  explicit Connection(boost::asio::io_context& loop);
  ~Connection();

  // There must be none under way. The answer never comes before this returns.
  void exchange(Exchange exchange, Answer answer);
  bool is_busy() const noexcept { return state_ != State::idle; }
  // Ends an exchange with Failure::disconnected.
  void close();

 private:
  enum class State { idle, synchronizing, waiting };

  void read();
  void received(std::string_view bytes);
  bool line_received(std::string line);
  void write(std::string text);
  void flush();
  void expire_in(std::chrono::milliseconds time, Failure failure);
  void finish(std::expected<Reply, Failure> outcome);
  void lost();

  boost::asio::io_context& loop_;
  boost::asio::local::stream_protocol::socket socket_;
  boost::asio::steady_timer timer_;
  std::move_only_function<void()> closed_;
  MessageReader reader_;
  std::string output_;  // not begun to be sent
  std::string sending_;
  std::string input_;
  State state_ = State::idle;
  std::int64_t id_;
  Exchange exchange_;
  Answer answer_;
};

}  // namespace warren::driver::agent
