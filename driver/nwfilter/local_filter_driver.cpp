#include "driver/nwfilter/local_filter_driver.h"

#include <utility>

#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>
#include <net/if.h>

#include "driver/link/link.h"
#include "driver/watch/host_watch.h"

namespace warren::driver::nwfilter {

namespace {

namespace asio = boost::asio;
using loop::Task;

Error no_filter(std::string_view key, std::string_view value) {
  return {VIR_ERR_NO_NWFILTER, fmt::format("no nwfilter with matching {} '{}'", key, value),
          VIR_FROM_NWFILTER};
}

Error no_binding(std::string_view device) {
  return {VIR_ERR_NO_NWFILTER_BINDING, fmt::format("no nwfilter binding for port dev '{}'", device),
          VIR_FROM_NWFILTER};
}

// Their frames go past the bridges' hooks, where the rules are: an answer that they are filtered were a lie.
void refuse_macvtap(const config::FilterBinding& binding) {
  const auto is_macvtap = [&binding] {
    const std::string& name = binding.port_device;
    const auto link = link::is_link_name(name) ? link::find_link(name) : std::nullopt;
    return link && link->kind == "macvtap";
  };
  if (!binding.link_device.empty() || is_macvtap())
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("{}: macvtaps cannot be filtered; leave out the <filterref> of the interface, or "
                            "put it on a bridge",
                            binding.port_device),
                VIR_FROM_NWFILTER);
}

}  // namespace

struct LocalFilterDriver::Service : std::enable_shared_from_this<Service> {
  using Self = std::shared_ptr<Service>;
  using Work = std::move_only_function<FilterTable::Change(FilterTable&)>;

  Service(asio::io_context& loop_taken, FilterSettings settings)
      : loop(loop_taken), watch_of_host(settings.watch), table(std::move(settings)), turn(loop_taken) {}

  void start() {
    const std::weak_ptr<Service> weak = weak_from_this();
    watcher.emplace(TapEvents{
        .gone = [this, weak](const std::string& tap,
                             std::uint64_t number) { tell(weak, tap, number, std::nullopt); },
        .learned = [this, weak](
                       const std::string& tap, std::uint64_t number,
                       const std::vector<LearnedAddress>& learned) { tell(weak, tap, number, learned); },
        .report = [this](std::string_view text) { table.report(text); }});
    for (const auto& [tap, binding] : table.bindings()) watch(binding);
    if (watch_of_host == nullptr) return;
    watching = watch_of_host->subscribe({.links = nullptr, .rules = [weak](const std::string& changed) {
                                           const Self self = weak.lock();
                                           if (self != nullptr && changed == watch::kFilterTable)
                                             self->rules_changed();
                                         }});
  }

  // No thread is left that would touch anything; what waits on the loop finds that out.
  void close() {
    is_closed = true;
    if (watch_of_host != nullptr) watch_of_host->unsubscribe(watching);
    watcher.reset();
    pool.join();
  }

  void watch(const TapBinding& binding) {
    const config::FilterBinding& definition = binding.status.binding;
    WatchedTap tap{.tap = definition.port_device,
                   .number = binding.number,
                   .mac = definition.mac,
                   .known = binding.status.learned};
    if (binding.misses_ip || !tap.known.empty()) tap.learning = learning_of(definition);
    if (const auto servers = definition.filter.parameters.find("DHCPSERVER");
        servers != definition.filter.parameters.end())
      tap.servers = servers->second;
    watcher->watch(std::move(tap));
  }

  // From the watcher's thread, which ends before the loop does.
  void tell(const std::weak_ptr<Service>& weak, const std::string& tap, std::uint64_t number,
            std::optional<std::vector<LearnedAddress>> learned) {
    asio::post(loop, [weak, tap, number, learned = std::move(learned)]() mutable {
      const Self self = weak.lock();
      if (self == nullptr || self->is_closed || !self->is_bound(tap, number)) return;
      auto done = [self, tap](std::expected<void, Error> outcome) {
        if (!outcome && outcome.error().code() != VIR_ERR_NO_NWFILTER_BINDING)
          self->table.report(fmt::format("{}: {}", tap, outcome.error().detail()));
      };
      if (!learned) {
        loop::run_task<void>(self->loop, end(self, tap, number), std::move(done));
      } else if (self->pending.insert_or_assign(tap, std::move(*learned)).second) {
        // A guest that changes its mind faster than rules are made has one change under way, to the last.
        loop::run_task<void>(self->loop, learn(self, tap, number), std::move(done));
      }
    });
  }

  // By somebody else. Until they are back guests do as they please: at once, and once more if it happens
  // meanwhile.
  void rules_changed() {
    if (table.bindings().empty() || std::exchange(is_to_reapply, true) || is_reapplying) return;
    is_reapplying = true;
    loop::run_task<void>(
        loop, reapply_changed(shared_from_this()),
        [self = shared_from_this()](std::expected<void, Error> outcome) {
          self->is_reapplying = false;
          if (outcome) return;
          self->table.report(
              fmt::format("the filters of taps were changed by somebody else, and cannot be put in place "
                          "again: {}; guests are not filtered until a filter of theirs is defined again",
                          outcome.error().detail()));
        });
  }

  static Task<> reapply_changed(Self self) {
    while (std::exchange(self->is_to_reapply, false)) {
      co_await reapply(self);
      self->table.report("the filters of taps were changed by somebody else, and are in place again");
    }
  }

  // Makes a change on the pool's thread, and then in the table. The turn is the caller's.
  static Task<> change(Self self, Work work) {
    std::move_only_function<FilterTable::Change()> step = [self, work = std::move(work)]() mutable {
      return work(self->table);
    };
    FilterTable::Change made = co_await loop::run_blocking<FilterTable::Change>(self->pool, std::move(step));
    std::vector<std::string> taps;
    for (const auto& [tap, binding] : made.bindings) taps.push_back(tap);
    const std::string gone = made.removed_binding;
    self->table.commit(std::move(made));
    if (!gone.empty()) self->pending.erase(gone);
    if (self->is_closed) co_return;
    if (!gone.empty()) self->watcher->forget(gone);
    for (const std::string& tap : taps) self->watch(self->table.bindings().at(tap));
  }

  static Task<FilterHandle> define(Self self, std::string xml, unsigned int flags) {
    check_flags(flags, VIR_NWFILTER_DEFINE_VALIDATE, "virNWFilterDefineXMLFlags");
    const loop::Turn::Hold hold = co_await self->turn.take();
    std::string name;
    Work work = [xml = std::move(xml), flags, &name](FilterTable& table) {
      FilterDefinition definition = parse_filter(xml, (flags & VIR_NWFILTER_DEFINE_VALIDATE) != 0);
      name = definition.name;
      return table.define(std::move(definition));
    };
    co_await change(self, std::move(work));
    co_return self->table.find(name)->handle();
  }

  static Task<> undefine(Self self, Uuid uuid) {
    const loop::Turn::Hold hold = co_await self->turn.take();
    Work work = [uuid](FilterTable& table) { return table.undefine(uuid); };
    co_await change(self, std::move(work));
  }

  static Task<FilterBindingHandle> bind(Self self, std::string xml, unsigned int flags) {
    check_flags(flags, VIR_NWFILTER_BINDING_CREATE_VALIDATE, "virNWFilterBindingCreateXML");
    const loop::Turn::Hold hold = co_await self->turn.take();
    FilterBindingHandle handle;
    Work work = [xml = std::move(xml), flags, &handle](FilterTable& table) {
      config::FilterBinding binding =
          config::parse_binding(xml, (flags & VIR_NWFILTER_BINDING_CREATE_VALIDATE) != 0);
      refuse_macvtap(binding);
      handle = binding.handle();
      return table.bind(std::move(binding));
    };
    co_await change(self, std::move(work));
    co_return handle;
  }

  static Task<> unbind(Self self, std::string tap, std::optional<Uuid> owner) {
    const loop::Turn::Hold hold = co_await self->turn.take();
    const auto found = self->table.bindings().find(tap);
    if (owner && found != self->table.bindings().end() && found->second.status.binding.owner_uuid != *owner)
      throw no_binding(tap);
    Work work = [tap](FilterTable& table) { return table.unbind(tap); };
    co_await change(self, std::move(work));
  }

  // Whether it is still the binding that somebody was told of, and not another of the same tap's name.
  bool is_bound(const std::string& tap, std::uint64_t number) const {
    const auto found = table.bindings().find(tap);
    return found != table.bindings().end() && found->second.number == number;
  }

  // The tap went away. One of the same name that has come since stays filtered.
  static Task<> end(Self self, std::string tap, std::uint64_t number) {
    const loop::Turn::Hold hold = co_await self->turn.take();
    if (!self->is_bound(tap, number) || ::if_nametoindex(tap.c_str()) != 0) co_return;
    Work work = [tap](FilterTable& table) { return table.unbind(tap); };
    co_await change(self, std::move(work));
  }

  // An address of the guest before is never the next one's.
  static Task<> learn(Self self, std::string tap, std::uint64_t number) {
    const loop::Turn::Hold hold = co_await self->turn.take();
    if (!self->is_bound(tap, number)) co_return;  // what waited for it went with it
    auto waiting = self->pending.extract(tap);
    if (waiting.empty()) co_return;
    std::vector<LearnedAddress> learned = std::move(waiting.mapped());
    // The watcher goes on from what it knows: it is not told again.
    std::move_only_function<FilterTable::Change()> step = [self, tap,
                                                           learned = std::move(learned)]() mutable {
      return self->table.learn(tap, std::move(learned));
    };
    FilterTable::Change made = co_await loop::run_blocking<FilterTable::Change>(self->pool, std::move(step));
    self->table.commit(std::move(made));
  }

  static Task<> reapply(Self self) {
    const loop::Turn::Hold hold = co_await self->turn.take();
    std::move_only_function<loop::Done()> step = [self]() {
      self->table.apply_all();
      return loop::Done{};
    };
    co_await loop::run_blocking<loop::Done>(self->pool, std::move(step));
  }

  asio::io_context& loop;
  watch::HostWatch* const watch_of_host;
  std::uint64_t watching = 0;
  bool is_reapplying = false, is_to_reapply = false;
  FilterTable table;  // changed by the pool's thread while a turn is held; committed on the loop
  loop::Turn turn;
  std::optional<TapWatcher> watcher;
  std::map<std::string, std::vector<LearnedAddress>> pending;  // learned, and not yet in the table
  bool is_closed = false;
  asio::thread_pool pool{1};
};

std::unique_ptr<FilterDriver> make_filter_driver(asio::io_context& loop, FilterSettings settings) {
  return std::make_unique<LocalFilterDriver>(loop, std::move(settings));
}

LocalFilterDriver::LocalFilterDriver(asio::io_context& loop, FilterSettings settings)
    : service_(std::make_shared<Service>(loop, std::move(settings))) {
  service_->start();
}

LocalFilterDriver::~LocalFilterDriver() {
  service_->close();
}

std::vector<FilterHandle> LocalFilterDriver::list_filters(const Caller&, unsigned int flags) const {
  check_flags(flags, 0, "virConnectListAllNWFilters");
  std::vector<FilterHandle> handles;
  for (const auto& [name, filter] : service_->table.filters()) handles.push_back(filter.handle());
  return handles;
}

FilterHandle LocalFilterDriver::filter_by_name(const Caller&, const std::string& name) const {
  if (const FilterDefinition* filter = service_->table.find(name)) return filter->handle();
  throw no_filter("name", name);
}

FilterHandle LocalFilterDriver::filter_by_uuid(const Caller&, const Uuid& uuid) const {
  if (const FilterDefinition* filter = service_->table.find(uuid)) return filter->handle();
  throw no_filter("uuid", uuid.to_string());
}

std::string LocalFilterDriver::filter_xml(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, 0, "virNWFilterGetXMLDesc");
  if (const FilterDefinition* filter = service_->table.find(uuid)) return format_filter(*filter);
  throw no_filter("uuid", uuid.to_string());
}

void LocalFilterDriver::define_filter(const Caller&, std::string xml, unsigned int flags,
                                      Completion<FilterHandle> completion) {
  loop::run_task(service_->loop, Service::define(service_, std::move(xml), flags), std::move(completion));
}

void LocalFilterDriver::undefine_filter(const Caller&, const Uuid& filter, Completion<void> completion) {
  loop::run_task(service_->loop, Service::undefine(service_, filter), std::move(completion));
}

std::vector<FilterBindingHandle> LocalFilterDriver::list_bindings(const Caller&, unsigned int flags) const {
  check_flags(flags, 0, "virConnectListAllNWFilterBindings");
  std::vector<FilterBindingHandle> handles;
  for (const auto& [tap, binding] : service_->table.bindings())
    handles.push_back(binding.status.binding.handle());
  return handles;
}

FilterBindingHandle LocalFilterDriver::binding_by_port_device(const Caller&,
                                                              const std::string& device) const {
  const auto found = service_->table.bindings().find(device);
  if (found == service_->table.bindings().end()) throw no_binding(device);
  return found->second.status.binding.handle();
}

std::string LocalFilterDriver::binding_xml(const Caller&, const std::string& device,
                                           unsigned int flags) const {
  check_flags(flags, 0, "virNWFilterBindingGetXMLDesc");
  const auto found = service_->table.bindings().find(device);
  if (found == service_->table.bindings().end()) throw no_binding(device);
  if (found->second.is_unreadable)
    throw Error(VIR_ERR_OPERATION_INVALID,
                fmt::format("the binding of {} could not be read when the daemon began, and nothing passes "
                            "the tap; delete it (virsh nwfilter-binding-delete {}) and create it again",
                            device, device),
                VIR_FROM_NWFILTER);
  return config::format_binding(found->second.status.binding);
}

void LocalFilterDriver::create_binding(const Caller&, std::string xml, unsigned int flags,
                                       Completion<FilterBindingHandle> completion) {
  loop::run_task(service_->loop, Service::bind(service_, std::move(xml), flags), std::move(completion));
}

void LocalFilterDriver::delete_binding(const Caller&, const std::string& device, std::optional<Uuid> owner,
                                       Completion<void> completion) {
  loop::run_task(service_->loop, Service::unbind(service_, device, owner), std::move(completion));
}

void LocalFilterDriver::reapply(Completion<void> completion) {
  loop::run_task(service_->loop, Service::reapply(service_), std::move(completion));
}

}  // namespace warren::driver::nwfilter
