// A network's dnsmasq while the network runs: started, found again, watched, and started again if it dies.
//
// The loop's thread; its files are written before (dnsmasq_configuration.h). It outlives the daemon: when
// this is destroyed it goes on, and adopt() finds it again. Implementation header (Asio).
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "driver/loop/task.h"
#include "driver/loop/turn.h"
#include "driver/network/dnsmasq_configuration.h"
#include "driver/network/dnsmasq_process.h"

namespace warren::driver::network {

struct DnsmasqLimits {
  // Of these in a minute, the next death is the last.
  unsigned restarts_per_minute = 5;
  // Before the first restart, and twice that before each further one.
  std::chrono::milliseconds first_delay{100};
  std::chrono::milliseconds time_to_end{5000};
};

struct DnsmasqNotice {
  enum class Kind { restarted, gave_up } kind;
  std::string text;  // for the log
};

class Dnsmasq : public std::enable_shared_from_this<Dnsmasq> {
 public:
  using Listener = std::function<void(const DnsmasqNotice&)>;

  // `loop` and `pool` outlive it; `listener` is called on the loop until stop() or the end of this.
  static std::shared_ptr<Dnsmasq> make(loop::asio::io_context& loop, loop::asio::thread_pool& pool,
                                       std::string network, DnsmasqFiles files, Listener listener,
                                       DnsmasqLimits limits = {});
  ~Dnsmasq();
  Dnsmasq(const Dnsmasq&) = delete;
  Dnsmasq& operator=(const Dnsmasq&) = delete;

  // Starts one, in place of one that runs. Throws Error with what it said; none runs then.
  loop::Task<> start();
  // False if none is there that was started with these files.
  loop::Task<bool> adopt();
  // It has ended, and is not started again. Throws Error only if it cannot be killed.
  loop::Task<> stop();
  // It reads its hosts again. Nothing if none runs: the next one reads them anyway.
  void reload() noexcept;
  bool is_running() const noexcept { return process_.pid > 0; }

 private:
  Dnsmasq(loop::asio::io_context& loop, loop::asio::thread_pool& pool, std::string network,
          DnsmasqFiles files, Listener listener, DnsmasqLimits limits);
  void take(DnsmasqProcess process);
  void forget();
  void died();
  bool may_restart();
  void notify(DnsmasqNotice::Kind kind, std::string text);
  static loop::Task<> revive(std::shared_ptr<Dnsmasq> self);

  loop::asio::io_context& loop_;
  loop::asio::thread_pool& pool_;
  const std::string network_;
  const DnsmasqFiles files_;
  Listener listener_;
  const DnsmasqLimits limits_;
  loop::Turn turn_;
  loop::asio::steady_timer delay_;
  DnsmasqProcess process_;  // pid -1: none
  std::shared_ptr<loop::asio::posix::stream_descriptor> watch_;
  bool wanted_ = false;
  std::deque<std::chrono::steady_clock::time_point> deaths_;  // of the last minute
};

}  // namespace warren::driver::network
