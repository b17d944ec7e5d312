#include "driver/network/dnsmasq.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <fmt/format.h>

namespace warren::driver::network {

namespace asio = loop::asio;
using loop::Done;
using loop::Task;

Dnsmasq::Dnsmasq(asio::io_context& loop, asio::thread_pool& pool, std::string network, DnsmasqFiles files,
                 Listener listener, DnsmasqLimits limits)
    : loop_(loop),
      pool_(pool),
      network_(std::move(network)),
      files_(std::move(files)),
      listener_(std::move(listener)),
      limits_(limits),
      turn_(loop),
      delay_(loop) {}

std::shared_ptr<Dnsmasq> Dnsmasq::make(asio::io_context& loop, asio::thread_pool& pool, std::string network,
                                       DnsmasqFiles files, Listener listener, DnsmasqLimits limits) {
  return std::shared_ptr<Dnsmasq>(
      new Dnsmasq(loop, pool, std::move(network), std::move(files), std::move(listener), limits));
}

Dnsmasq::~Dnsmasq() {
  forget();
}

void Dnsmasq::forget() {
  boost::system::error_code ignored;
  if (watch_) watch_->close(ignored);
  watch_.reset();
  process_ = {};
}

void Dnsmasq::take(DnsmasqProcess process) {
  forget();
  process_ = std::move(process);
  watch_ = std::make_shared<asio::posix::stream_descriptor>(loop_, process_.pidfd.duplicate().release());
  watch_->async_wait(asio::posix::stream_descriptor::wait_read,
                     [weak = weak_from_this(), watch = watch_](const boost::system::error_code& failed) {
                       const auto self = weak.lock();
                       if (failed || !self || self->watch_ != watch) return;
                       self->died();
                     });
}

void Dnsmasq::died() {
  forget();
  if (wanted_) asio::co_spawn(loop_, revive(shared_from_this()), asio::detached);
}

void Dnsmasq::notify(DnsmasqNotice::Kind kind, std::string text) {
  // A copy: who is told may stop and destroy this.
  if (const Listener listener = listener_) listener({kind, std::move(text)});
}

bool Dnsmasq::may_restart() {
  const auto now = std::chrono::steady_clock::now();
  while (!deaths_.empty() && now - deaths_.front() > std::chrono::minutes(1)) deaths_.pop_front();
  if (deaths_.size() >= limits_.restarts_per_minute) return false;
  deaths_.push_back(now);
  return true;
}

Task<> Dnsmasq::revive(std::shared_ptr<Dnsmasq> self) {
  std::string reason = "it died each time";
  while (self->may_restart()) {
    self->delay_.expires_after(self->limits_.first_delay *
                               (1 << std::min<std::size_t>(self->deaths_.size() - 1, 6)));
    boost::system::error_code ignored;
    co_await self->delay_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto hold = co_await self->turn_.take();
    // Somebody stopped it, or started it, meanwhile.
    if (!self->wanted_ || self->is_running()) co_return;
    std::move_only_function<DnsmasqProcess()> start = [files = self->files_, network = self->network_] {
      return start_dnsmasq(files, network);
    };
    try {
      self->take(co_await loop::run_blocking<DnsmasqProcess>(self->pool_, std::move(start)));
      self->notify(DnsmasqNotice::Kind::restarted,
                   fmt::format("network {}: dnsmasq died and was started again", self->network_));
      co_return;
    } catch (const std::exception&) {
      reason = loop::error_of(std::current_exception()).detail();
    }
  }
  if (!self->wanted_) co_return;
  self->notify(DnsmasqNotice::Kind::gave_up,
               fmt::format("network {}: dnsmasq is not started again, after {} times in a minute: guests get "
                           "no addresses and names until the network is started again: {}",
                           self->network_, self->limits_.restarts_per_minute, reason));
}

Task<> Dnsmasq::start() {
  const auto self = shared_from_this();
  const auto hold = co_await turn_.take();
  wanted_ = false;
  forget();
  std::move_only_function<DnsmasqProcess()> start = [files = files_, network = network_] {
    return start_dnsmasq(files, network);
  };
  take(co_await loop::run_blocking<DnsmasqProcess>(pool_, std::move(start)));
  deaths_.clear();
  wanted_ = true;
}

Task<bool> Dnsmasq::adopt() {
  const auto self = shared_from_this();
  const auto hold = co_await turn_.take();
  using Found = std::optional<DnsmasqProcess>;
  std::move_only_function<Found()> find = [files = files_] { return find_dnsmasq(files); };
  Found found = co_await loop::run_blocking<Found>(pool_, std::move(find));
  if (!found) co_return false;
  take(std::move(*found));
  deaths_.clear();
  wanted_ = true;
  co_return true;
}

Task<> Dnsmasq::stop() {
  const auto self = shared_from_this();
  wanted_ = false;
  delay_.cancel();
  const auto hold = co_await turn_.take();
  // Also one that was started by a daemon before this one, and never adopted.
  std::move_only_function<Done()> stop = [files = files_, patience = limits_.time_to_end] {
    if (const auto process = find_dnsmasq(files)) stop_dnsmasq(*process, patience);
    return Done{};
  };
  std::move_only_function<Done()> stop_ours = [process = std::exchange(process_, {}),
                                               patience = limits_.time_to_end] {
    if (process.pid > 0) stop_dnsmasq(process, patience);
    return Done{};
  };
  forget();
  co_await loop::run_blocking<Done>(pool_, std::move(stop_ours));
  co_await loop::run_blocking<Done>(pool_, std::move(stop));
}

void Dnsmasq::reload() noexcept {
  if (is_running()) process_.signal(SIGHUP);
}

}  // namespace warren::driver::network
