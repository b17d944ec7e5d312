#include "driver/domain/guest_agent.h"

namespace warren::driver::domain {

namespace {

constexpr std::chrono::milliseconds kReconnectInterval{1'000};

}  // namespace

GuestAgent::GuestAgent(asio::io_context& loop, std::string path, const std::string& domain_name,
                       std::chrono::milliseconds patience)
    : loop_(loop), path_(std::move(path)), slot_(loop, domain_name, patience), timer_(loop) {}

void GuestAgent::set_open(bool is_open) {
  if (std::exchange(is_open_, is_open) == is_open) return;
  timer_.cancel();
  if (is_open) return connect();
  if (auto connection = std::exchange(connection_, nullptr)) connection->close();
}

void GuestAgent::connect() {
  connection_ = agent::Connection::open(loop_, path_, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    self->connection_ = nullptr;
    self->connect_later();
  });
  if (!connection_) connect_later();
}

// The worker has hung up, or somebody else has filled the socket's queue.
void GuestAgent::connect_later() {
  timer_.expires_after(kReconnectInterval);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code cancelled) {
    auto self = weak.lock();
    if (!cancelled && self && self->is_open_ && !self->connection_) self->connect();
  });
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
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::shared_ptr<Outcome>)>(
      initiate, asio::use_awaitable, std::move(exchange));
}

}  // namespace warren::driver::domain
