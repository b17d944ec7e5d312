// A passt that dies while its domain runs: another takes its place, and the guest sees its cable go out and
// come back.
//
// It is the worker who notices, by the connection: so one that hangs up without dying is replaced as well,
// and a daemon that comes back learns from the worker's status what was lost meanwhile (failure classes T15,
// T29).
#include <algorithm>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace {

// Of these in a minute, the next death is the last.
constexpr std::size_t kRestartsPerMinute = 5;
// Before the first restart of a minute, so that the guest sees the cable out; twice that before each further
// one.
constexpr std::chrono::milliseconds kFirstDelay{100};

const config::Interface* find_user_interface(const config::DomainDefinition& live, const std::string& alias) {
  const auto& all = live.devices.interfaces;
  const auto found = std::ranges::find_if(all, [&](const config::Interface& each) {
    return each.type == config::InterfaceType::user && each.info.alias == alias;
  });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

bool Domain::may_restart_passt(const std::string& alias) {
  auto& deaths = passt_deaths_[alias];
  const auto now = std::chrono::steady_clock::now();
  while (!deaths.empty() && now - deaths.front() > std::chrono::minutes(1)) deaths.pop_front();
  if (deaths.size() >= kRestartsPerMinute) return false;
  deaths.push_back(now);
  return true;
}

Task<> Domain::interface_lost(std::weak_ptr<Worker> from, std::string alias) {
  const auto self = shared_from_this();
  std::string reason = "it died each time";
  while (may_restart_passt(alias)) {
    asio::steady_timer timer(environment_->loop);
    timer.expires_after(kFirstDelay * (1 << std::min<std::size_t>(passt_deaths_[alias].size() - 1, 6)));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    auto hold = co_await slot_.acquire(job_of("restart of a passt", {}), JobSlot::Urgency::urgent);
    const std::shared_ptr<Worker> worker = from.lock();
    if (!worker || worker != worker_ || !is_active() || find_user_interface(*live_, alias) == nullptr)
      co_return;
    try {
      // The news may be old: of one that was replaced meanwhile.
      const vmm::control::Status found = co_await worker->status();
      const auto lost = found.lost_interfaces.value_or(std::vector<std::string>());
      if (std::ranges::find(lost, alias) == lost.end()) co_return;
      co_await restart_passt(*worker, *find_user_interface(*live_, alias));
      log(LogPriority::warning, fmt::format("the passt of interface {} was lost and is replaced", alias));
      co_return;
    } catch (const std::exception&) {
      reason = error_of(std::current_exception()).detail();
      log(LogPriority::warning, fmt::format("cannot replace the passt of interface {}: {}", alias, reason));
    }
  }
  log(LogPriority::error,
      fmt::format(
          "the passt of interface {} is not started again, after {} times in a minute: its link stays "
          "down until it is attached again: {}",
          alias, kRestartsPerMinute, reason));
}

Task<> Domain::restart_passt(Worker& worker, config::Interface interface) {
  std::move_only_function<vmm::FileDescriptor()> start = [interface,
                                                          settings = resource_access({}).links.passt] {
    // It may have hung up, and live on.
    end_passt(settings.directory, passt_name(interface));
    return start_passt(interface, settings);
  };
  vmm::FileDescriptor connection =
      co_await run_blocking<vmm::FileDescriptor>(environment_->io_threads, std::move(start));
  // Named apart from what it was plugged in with.
  const vmm::control::ReconnectInterface command{interface.info.alias, interface.info.alias + ".stream"};
  Request<void> request = [&worker, &command, &connection](auto reply) {
    worker.client().reconnect_interface(command, std::move(connection), std::move(reply));
  };
  co_await worker.ask<void>(std::move(request),
                            fmt::format("connect interface {} of domain '{}' again", command.id, name_));
}

}  // namespace warren::driver::domain
