#include "driver/domain/link_loss.h"

#include <fstream>
#include <set>
#include <string>
#include <variant>

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "driver/config/domain_xml_parts.h"
#include "driver/config/xml_writer.h"
#include "driver/domain/local_driver.h"
#include "driver/link/link.h"
#include "driver/watch/host_watch.h"

namespace warren::driver::domain {

namespace {

// A worker that ends takes its taps along, and a bridge that is made again gets its ports back.
constexpr std::chrono::milliseconds kBeforeLooking{500};

struct Loss {
  enum class Kind { none, gone, unplugged };
  Kind kind = Kind::none;
};

// What a tap of a running worker has lost, once what was under way is over. Blocks briefly.
Loss look_at(const config::Interface& interface, pid_t worker) {
  const std::optional<link::Link> tap = link::find_link(interface.target);
  // proc(5): the state follows the name, which is in parentheses.
  std::string status;
  std::getline(std::ifstream(fmt::format("/proc/{}/stat", worker)), status);
  const std::size_t name_end = status.rfind(") ");
  if (name_end == std::string::npos || status.find_first_of("ZX", name_end) == name_end + 2) return {};
  if (!tap) return {Loss::Kind::gone};
  const std::string bridge = config::bridge_of(interface);
  if (tap->master != 0 || bridge.empty() || config::direct_plug_of(interface) != nullptr ||
      config::is_on_open_vswitch(interface)) {
    return {};  // ports of Open vSwitch have its datapath for a master, or none
  }
  // Of a bridge that is not there its network tells.
  return {link::exists(bridge) ? Loss::Kind::unplugged : Loss::Kind::none};
}

class Watched final : public LinkLoss {
 public:
  Watched(LocalDriver& driver, watch::HostWatch& watch) : state_(std::make_shared<State>(driver, watch)) {
    state_->id = watch.subscribe({.links =
                                      [state = std::weak_ptr(state_)](const auto& events) {
                                        if (const auto self = state.lock()) self->changed(events);
                                      },
                                  .rules = nullptr});
  }
  ~Watched() override {
    state_->watch.unsubscribe(state_->id);
    state_->timer.cancel();
  }

 private:
  struct State : std::enable_shared_from_this<State> {
    State(LocalDriver& the_driver, watch::HostWatch& the_watch)
        : driver(the_driver),
          environment(the_driver.environment()),
          watch(the_watch),
          timer(environment.loop) {}

    void changed(const std::vector<link::LinkEvent>& events);
    void plug_into(const std::string& bridge);
    void look_soon();
    void look();
    static Task<> look_at_one(std::shared_ptr<State> self, std::shared_ptr<Domain> domain,
                              config::Interface interface);
    void tell(const Domain& domain, const config::Interface& interface, Loss loss);

    LocalDriver& driver;
    Environment& environment;
    watch::HostWatch& watch;
    asio::steady_timer timer;
    bool is_waiting = false;
    std::set<std::string> suspects;  // links that went, or left their bridge
    std::uint64_t id = 0;
  };

  std::shared_ptr<State> state_;
};

void Watched::State::changed(const std::vector<link::LinkEvent>& events) {
  for (const link::LinkEvent& event : events) {
    if (const auto* added = std::get_if<link::LinkAdded>(&event)) plug_into(added->link);
    if (const auto* removed = std::get_if<link::LinkRemoved>(&event)) suspects.insert(removed->link);
    if (const auto* moved = std::get_if<link::LinkMoved>(&event); moved != nullptr && moved->bridge.empty())
      suspects.insert(moved->link);
    if (const auto* renamed = std::get_if<link::LinkRenamed>(&event)) {
      suspects.insert(renamed->before);
      plug_into(renamed->link);
    }
  }
  if (!suspects.empty()) look_soon();
}

// A bridge that was made again; taps that are in it already stay as they are.
void Watched::State::plug_into(const std::string& bridge) {
  const auto domains = environment.table.all();  // a copy: they may come and go
  for (const auto& [name, domain] : domains) {
    const auto snapshot = domain->snapshot();
    if (!snapshot || !snapshot->live) continue;
    std::set<std::string> networks;  // "" for interfaces that are in none
    for (const config::Interface& interface : snapshot->live->devices.interfaces)
      if (!interface.target.empty() && config::bridge_of(interface) == bridge)
        networks.insert(interface.source_network);
    for (const std::string& network : networks) domain->network_started(network);
  }
}

void Watched::State::look_soon() {
  if (std::exchange(is_waiting, true)) return;
  timer.expires_after(kBeforeLooking);
  timer.async_wait([weak = weak_from_this()](boost::system::error_code failed) {
    const auto self = weak.lock();
    if (failed || !self) return;
    self->is_waiting = false;
    self->look();
  });
}

void Watched::State::look() {
  const std::set<std::string> names = std::exchange(suspects, {});
  const auto domains = environment.table.all();
  for (const auto& [name, domain] : domains) {
    const auto snapshot = domain->snapshot();
    if (!snapshot || !snapshot->live) continue;
    for (const config::Interface& interface : snapshot->live->devices.interfaces) {
      if (interface.target.empty() || !names.contains(interface.target)) continue;
      if (domain->job()) {
        // It may be what ends the domain, or unplugs the interface.
        suspects.insert(interface.target);
        continue;
      }
      run_task<void>(environment.loop, look_at_one(shared_from_this(), domain, interface),
                     [](std::expected<void, Error>) {});
    }
  }
  if (!suspects.empty()) look_soon();
}

Task<> Watched::State::look_at_one(std::shared_ptr<State> self, std::shared_ptr<Domain> domain,
                                   config::Interface interface) {
  std::move_only_function<Loss()> work = [interface, pid = domain->snapshot()->pid] {
    return look_at(interface, pid);
  };
  const Loss loss = co_await run_blocking<Loss>(self->environment.io_threads, std::move(work));
  const auto snapshot = domain->snapshot();
  if (loss.kind == Loss::Kind::none || !snapshot || !snapshot->live) co_return;
  for (const config::Interface& now : snapshot->live->devices.interfaces)
    if (now.info.alias == interface.info.alias && now.target == interface.target)
      self->tell(*domain, now, loss);
}

void Watched::State::tell(const Domain& domain, const config::Interface& interface, Loss loss) {
  const std::string which =
      fmt::format("domain {}: interface {} ({})", domain.name(), interface.target,
                  interface.mac ? config::format_mac_address(*interface.mac) : interface.info.alias);
  if (loss.kind == Loss::Kind::unplugged) {
    environment.log(
        LogPriority::warning,
        fmt::format("{} was taken out of bridge {} by somebody else; to put it back: ip link set {} "
                    "master {}",
                    which, config::bridge_of(interface), interface.target, config::bridge_of(interface)));
    return;
  }
  environment.log(
      LogPriority::error,
      fmt::format("{}: its link on the host was removed by somebody else; the guest's link is down "
                  "until the interface is detached and attached again (virsh detach-interface, "
                  "attach-interface)",
                  which));
  if (!interface.link_up.value_or(true)) return;
  config::Interface down = interface;
  down.link_up = false;
  config::XmlWriter writer;
  config::format_interface(writer, down, {.live = true});
  driver.update_device({}, domain.snapshot()->handle.uuid, writer.take(), VIR_DOMAIN_AFFECT_LIVE,
                       [self = shared_from_this(), which](std::expected<void, Error> outcome) {
                         if (outcome) return;
                         self->environment.log(
                             LogPriority::warning,
                             fmt::format("{}: the guest cannot be told that its link is down: {}", which,
                                         outcome.error().message()));
                       });
}

}  // namespace

std::unique_ptr<LinkLoss> watch_links(DomainDriver& driver, watch::HostWatch& watch) {
  return std::make_unique<Watched>(dynamic_cast<LocalDriver&>(driver), watch);
}

}  // namespace warren::driver::domain
