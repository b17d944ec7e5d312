// Keeps the connection to a running domain's guest agent for as long as the guest has the agent's port open.
// Implementation header (Asio).
//
// Whoever talks to it holds slot(): an agent job, which does not keep other changes of the domain from
// running. Loop's thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "driver/agent/connection.h"
#include "driver/domain/job_slot.h"

namespace warren::driver::domain {

class GuestAgent : public std::enable_shared_from_this<GuestAgent> {
 public:
  using Outcome = std::expected<agent::Reply, agent::Failure>;

  // `path` is the channel's socket; `patience` that of its jobs.
  GuestAgent(asio::io_context& loop, std::string path, const std::string& domain_name,
             std::chrono::milliseconds patience);

  // The guest has opened or closed the port. What is under way with an agent that is gone ends with
  // Failure::disconnected.
  void set_open(bool is_open);
  // For good.
  void close() { set_open(false); }
  bool is_open() const noexcept { return is_open_; }
  // Open, and the socket is this daemon's.
  bool is_connected() const noexcept { return connection_ != nullptr; }
  JobSlot& slot() noexcept { return slot_; }

  Task<std::shared_ptr<Outcome>> exchange(agent::Exchange exchange);

 private:
  void connect();
  void connect_later();

  asio::io_context& loop_;
  const std::string path_;
  JobSlot slot_;
  asio::steady_timer timer_;
  std::shared_ptr<agent::Connection> connection_;
  bool is_open_ = false;
};

}  // namespace warren::driver::domain
