// Keeps the connection to a running domain's guest agent: connects, finds out whether the agent answers, and
// connects again. Implementation header (Asio).
//
// Connected means that the agent has answered a synchronization since the guest's last start or reset, and
// that none has failed since. Whoever talks to it holds slot(): an agent job, which does not keep other
// changes of the domain from running. Loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "driver/agent/connection.h"
#include "driver/domain/job_slot.h"

namespace warren::driver::domain {

class GuestAgent : public std::enable_shared_from_this<GuestAgent> {
 public:
  using Outcome = std::expected<agent::Reply, agent::Failure>;
  using StateChanged = std::move_only_function<void(bool is_connected)>;

  // `path` is the channel's socket. `changed` is called from the loop, until close().
  GuestAgent(asio::io_context& loop, std::string path, const std::string& domain_name, StateChanged changed);

  void start();
  void close();
  // The agent that was there is gone, whatever the socket says.
  void guest_was_reset();
  bool is_connected() const noexcept { return is_connected_; }
  JobSlot& slot() noexcept { return slot_; }

  Task<std::shared_ptr<Outcome>> exchange(agent::Exchange exchange);

 private:
  void connect();
  void connect_later();
  void probe();
  void probed(const Outcome& outcome);
  void disconnected();
  void set_connected(bool is_connected);

  asio::io_context& loop_;
  const std::string path_;
  StateChanged changed_;
  JobSlot slot_;
  asio::steady_timer timer_;
  std::shared_ptr<agent::Connection> connection_;
  bool is_connected_ = false;
};

}  // namespace warren::driver::domain
