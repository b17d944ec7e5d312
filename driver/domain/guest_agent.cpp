#include "driver/domain/guest_agent.h"

namespace warren::driver::domain {

namespace {

constexpr std::chrono::milliseconds kReconnectInterval{1'000};
constexpr std::chrono::milliseconds kProbeDeadline{3'000};

}  // namespace

GuestAgent::GuestAgent(asio::io_context& loop, std::string path, const std::string& domain_name,
                       StateChanged changed)
    : loop_(loop),
      path_(std::move(path)),
      changed_(std::move(changed)),
      slot_(loop, domain_name),
      timer_(loop) {}

void GuestAgent::start() {
  connect();
}

void GuestAgent::close() {
  changed_ = nullptr;
  is_connected_ = false;
  timer_.cancel();
  if (auto connection = std::exchange(connection_, nullptr)) connection->close();
}

void GuestAgent::guest_was_reset() {
  if (!changed_) return;
  if (auto connection = std::exchange(connection_, nullptr)) connection->close();
  set_connected(false);
  connect_later();
}

void GuestAgent::connect() {
  std::weak_ptr<GuestAgent> weak = weak_from_this();
  connection_ = agent::Connection::open(loop_, path_, [weak] {
    if (auto self = weak.lock()) self->disconnected();
  });
  if (!connection_) return connect_later();
  probe();
}

void GuestAgent::connect_later() {
  timer_.expires_after(kReconnectInterval);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code cancelled) {
    auto self = weak.lock();
    if (cancelled || !self || !self->changed_ || self->connection_) return;
    self->connect();
  });
}

// An agent that starts answers what was asked before, or, if nobody kept that for it, the next probe.
void GuestAgent::probe() {
  if (!connection_ || connection_->is_busy()) return;
  connection_->exchange(
      {.line = {}, .command = "guest-sync-delimited", .synchronization_deadline = kProbeDeadline},
      [weak = weak_from_this(), from = std::weak_ptr(connection_)](Outcome outcome) {
        auto self = weak.lock();
        if (self && self->connection_ && self->connection_ == from.lock()) self->probed(outcome);
      });
}

void GuestAgent::probed(const Outcome& outcome) {
  if (outcome) return set_connected(true);
  if (outcome.error() == agent::Failure::disconnected) return;  // is told apart
  asio::post(loop_, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->probe();
  });
}

void GuestAgent::disconnected() {
  connection_ = nullptr;
  if (!changed_) return;
  set_connected(false);
  connect_later();
}

void GuestAgent::set_connected(bool is_connected) {
  if (std::exchange(is_connected_, is_connected) == is_connected || !changed_) return;
  changed_(is_connected);
}

Task<std::shared_ptr<GuestAgent::Outcome>> GuestAgent::exchange(agent::Exchange exchange) {
  auto self = shared_from_this();
  auto connection = connection_;
  if (!connection || connection->is_busy()) {
    co_return std::make_shared<Outcome>(std::unexpected(agent::Failure::disconnected));
  }
  auto initiate = [&loop = loop_, connection](auto handler, agent::Exchange wanted) {
    connection->exchange(std::move(wanted), [&loop, handler = std::move(handler)](Outcome outcome) mutable {
      // Not from within what ended it: that may be the stop of the domain.
      asio::post(loop, [handler = std::move(handler),
                        outcome = std::make_shared<Outcome>(std::move(outcome))]() mutable {
        std::move(handler)(std::move(outcome));
      });
    });
  };
  auto outcome = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::shared_ptr<Outcome>)>(
      initiate, asio::use_awaitable, std::move(exchange));
  if (!*outcome && outcome->error() == agent::Failure::not_synchronized && connection == connection_) {
    set_connected(false);
    probe();
  }
  co_return outcome;
}

}  // namespace warren::driver::domain
