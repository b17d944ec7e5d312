#include "driver/watch/host_watch.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/nftables/ruleset_monitor.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::watch {

namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using link::LinkEvent;
using link::LinkMonitor;
using nftables::RulesetMonitor;

// Somebody who flushes the ruleset loads another one, in several transactions; ours go after those.
constexpr std::chrono::milliseconds kRulesAreQuiet{200};
// Who flushes it over and over again is not to make us do the same as fast.
constexpr std::chrono::milliseconds kBetweenRules{1000};
// While a transaction of ours may have been the one.
constexpr std::chrono::milliseconds kAskAgain{50};
constexpr std::chrono::seconds kAfterFailure{5};

}  // namespace

struct HostWatch::State : std::enable_shared_from_this<State> {
  State(asio::io_context& the_loop, std::function<void(std::string_view)> the_report)
      : loop(the_loop), report(std::move(the_report)), stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  void open() {
    try {
      links.emplace(LinkMonitor::Watch::links);
    } catch (const Error& error) {
      report(fmt::format("links that others remove are not noticed: {}", error.detail()));
    }
    try {
      rules.emplace(std::vector<std::string>{kNetworkTable, kFilterTable});
    } catch (const Error& error) {
      report(fmt::format("rules that others flush are not put in place again: {}", error.detail()));
    }
    if (stop && (links || rules)) thread = std::thread([this] { run(); });
  }

  void close() {
    is_closed = true;
    if (!thread.joinable()) return;
    const std::uint64_t one = 1;
    while (::write(stop.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread.join();
  }

  // ---- the watch's thread

  void run() {
    std::optional<Clock::time_point> look_at;  // at the rules
    while (true) {
      std::array<pollfd, 3> wait{{{.fd = stop.get(), .events = POLLIN, .revents = 0},
                                  {.fd = is_resting ? -1
                                         : links    ? links->descriptor()
                                                    : -1,
                                   .events = POLLIN,
                                   .revents = 0},
                                  {.fd = is_resting ? -1
                                         : rules    ? rules->descriptor()
                                                    : -1,
                                   .events = POLLIN,
                                   .revents = 0}}};
      if (::poll(wait.data(), wait.size(), timeout_ms(look_at)) < 0 && errno != EINTR) return;
      if (wait[0].revents != 0) return;
      is_resting = false;
      try {
        if (wait[1].revents != 0) tell_links(links->read());
        if (wait[2].revents != 0) rules->read();
        if (rules) look_at_rules(look_at);
      } catch (const std::exception& error) {
        if (!has_failed)
          report(fmt::format("what others do to links and rules may be missed: {}", error.what()));
        has_failed = is_resting = true;
      }
    }
  }

  int timeout_ms(const std::optional<Clock::time_point>& look_at) const {
    using std::chrono::milliseconds;
    if (is_resting) return static_cast<int>(milliseconds(kAfterFailure).count());
    if (!look_at) return -1;
    const auto left = std::chrono::ceil<milliseconds>(*look_at - Clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }

  void look_at_rules(std::optional<Clock::time_point>& look_at) {
    const auto now = Clock::now();
    if (!rules->has_news()) return look_at.reset();
    if (!look_at) look_at = std::max(now + kRulesAreQuiet, told_rules + kBetweenRules);
    if (now < *look_at) return;
    const std::set<std::string> tables = rules->changed_by_others();
    if (!tables.empty()) told_rules = now;
    look_at.reset();
    if (rules->has_news()) look_at = now + kAskAgain;
    for (const std::string& table : tables) tell_rules(table);
  }

  void tell_links(std::vector<LinkEvent> events) {
    if (events.empty()) return;
    asio::post(loop, [weak = weak_from_this(), events = std::move(events)] {
      if (const auto self = weak.lock())
        self->tell([&events](const Handlers& handlers) {
          if (handlers.links) handlers.links(events);
        });
    });
  }
  void tell_rules(const std::string& table) {
    asio::post(loop, [weak = weak_from_this(), table] {
      if (const auto self = weak.lock())
        self->tell([&table](const Handlers& handlers) {
          if (handlers.rules) handlers.rules(table);
        });
    });
  }

  // ---- the loop's

  template <typename Call>
  void tell(Call call) {
    if (is_closed) return;
    std::vector<std::uint64_t> ids;
    for (const auto& [id, handlers] : subscribers) ids.push_back(id);
    for (const std::uint64_t id : ids) {
      const auto found = subscribers.find(id);
      if (found == subscribers.end()) continue;
      const Handlers handlers = found->second;  // a handler may end its own subscription
      call(handlers);
    }
  }

  asio::io_context& loop;
  const std::function<void(std::string_view)> report;
  vmm::FileDescriptor stop;
  std::thread thread;

  // The watch's thread once it runs.
  std::optional<LinkMonitor> links;
  std::optional<RulesetMonitor> rules;
  Clock::time_point told_rules{};
  bool has_failed = false;  // and was reported
  bool is_resting = false;  // a socket that fails all the time is not asked all the time

  // The loop's.
  std::map<std::uint64_t, Handlers> subscribers;
  std::uint64_t next = 1;
  bool is_closed = false;
};

HostWatch::HostWatch(asio::io_context& loop, std::function<void(std::string_view)> report)
    : state_(std::make_shared<State>(loop, std::move(report))) {
  state_->open();
}

HostWatch::~HostWatch() {
  state_->close();
}

std::uint64_t HostWatch::subscribe(Handlers handlers) {
  state_->subscribers.emplace(state_->next, std::move(handlers));
  return state_->next++;
}

void HostWatch::unsubscribe(std::uint64_t id) noexcept {
  state_->subscribers.erase(id);
}

}  // namespace warren::driver::watch
