#include "driver/interface/local_interface_driver.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/interface/live_interface.h"
#include "driver/loop/task.h"

namespace warren::driver::interface {

namespace {

namespace asio = boost::asio;

constexpr unsigned int kActive = VIR_CONNECT_LIST_INTERFACES_ACTIVE;
constexpr unsigned int kInactive = VIR_CONNECT_LIST_INTERFACES_INACTIVE;

// Live, defined, or both.
struct Known {
  std::string name;
  std::optional<link::Link> live;
  std::optional<InterfaceDefinition> definition;

  bool is_active() const { return live && interface::is_active(*live); }
  InterfaceHandle handle() const {
    const auto mac = live ? live->mac : definition ? definition->mac : std::nullopt;
    return {name, mac ? config::format_mac_address(*mac) : std::string()};
  }
};

std::vector<Known> list_known(const Ifupdown& ifupdown) {
  std::vector<Known> known;
  for (link::Link& live : list_live()) known.push_back({live.name, live, std::nullopt});
  for (InterfaceDefinition& definition : ifupdown.list()) {
    const auto found = std::ranges::find(known, definition.name, &Known::name);
    if (found != known.end()) {
      found->definition = std::move(definition);
    } else {
      std::string name = definition.name;
      known.push_back({std::move(name), std::nullopt, std::move(definition)});
    }
  }
  std::ranges::sort(known, {}, &Known::name);
  return known;
}

Known require_known(const Ifupdown& ifupdown, const std::string& name) {
  Known known{name, find_live(name), ifupdown.find(name)};
  if (!known.live && !known.definition)
    throw Error(VIR_ERR_NO_INTERFACE, fmt::format("couldn't find interface named '{}'", name),
                VIR_FROM_INTERFACE);
  return known;
}

InterfaceHandle find_by_mac(const Ifupdown& ifupdown, const std::string& text) {
  const auto mac = config::parse_mac_address(text);
  if (!mac) throw invalid_argument(fmt::format("'{}' is no MAC address", text.substr(0, 64)));
  std::vector<InterfaceHandle> found;
  for (const Known& known : list_known(ifupdown))
    if (known.handle().mac == config::format_mac_address(*mac)) found.push_back(known.handle());
  if (found.empty())
    throw Error(VIR_ERR_NO_INTERFACE, fmt::format("couldn't find interface with MAC address '{}'", text),
                VIR_FROM_INTERFACE);
  if (found.size() > 1)
    throw Error(VIR_ERR_MULTIPLE_INTERFACES,
                fmt::format("the MAC address '{}' matches {} interfaces", text, found.size()),
                VIR_FROM_INTERFACE);
  return found.front();
}

std::string xml_of(const Known& known, bool inactive) {
  if (known.definition && (inactive || !known.live)) return format_interface(*known.definition);
  InterfaceDefinition definition = describe(*known.live);
  if (known.definition) definition.start = known.definition->start;
  return format_interface(definition);
}

void start(const Ifupdown& ifupdown, const std::string& name) {
  if (require_known(ifupdown, name).is_active())
    throw Error(VIR_ERR_OPERATION_INVALID, fmt::format("interface {} is active already", name),
                VIR_FROM_INTERFACE);
  ifupdown.start(name);
}

void stop(const Ifupdown& ifupdown, const std::string& name) {
  const Known known = require_known(ifupdown, name);
  // Not is_active(): a bridge without a carrier is up all the same, and can be stopped.
  if (!known.live || !known.live->up)
    throw Error(VIR_ERR_OPERATION_INVALID, fmt::format("interface {} is not active", name),
                VIR_FROM_INTERFACE);
  ifupdown.stop(name);
}

template <typename T>
bool is_refused(unsigned int flags, unsigned int supported, std::string_view function,
                Completion<T>& completion) {
  if ((flags & ~supported) == 0) return false;
  completion(std::unexpected(unsupported_flags(flags, supported, function)));
  return true;
}

loop::Task<> run(asio::thread_pool& pool, std::move_only_function<loop::Done()> work) {
  co_await loop::run_blocking<loop::Done>(pool, std::move(work));
}

}  // namespace

std::unique_ptr<InterfaceDriver> make_interface_driver(asio::io_context& loop, InterfaceSettings settings) {
  return std::make_unique<LocalInterfaceDriver>(loop, std::move(settings));
}

LocalInterfaceDriver::LocalInterfaceDriver(asio::io_context& loop, InterfaceSettings settings)
    : loop_(loop), ifupdown_(std::make_shared<const Ifupdown>(std::move(settings))) {}

LocalInterfaceDriver::~LocalInterfaceDriver() {
  thread_.join();
}

template <typename T>
void LocalInterfaceDriver::answer(std::move_only_function<T()> work, Completion<T> completion) {
  loop::run_task<T>(loop_, loop::run_blocking<T>(thread_, std::move(work)), std::move(completion));
}

void LocalInterfaceDriver::act(std::move_only_function<void()> work, Completion<void> completion) {
  std::move_only_function<loop::Done()> done = [work = std::move(work)]() mutable {
    work();
    return loop::Done{};
  };
  loop::run_task<void>(loop_, run(thread_, std::move(done)), std::move(completion));
}

void LocalInterfaceDriver::list_interfaces(const Caller&, unsigned int flags,
                                           Completion<std::vector<InterfaceHandle>> completion) {
  if (is_refused(flags, kActive | kInactive, "virConnectListAllInterfaces", completion)) return;
  std::move_only_function<std::vector<InterfaceHandle>()> work = [ifupdown = ifupdown_, flags] {
    std::vector<InterfaceHandle> handles;
    for (const Known& known : list_known(*ifupdown))
      if ((flags & (kActive | kInactive)) == 0 || (flags & (known.is_active() ? kActive : kInactive)) != 0)
        handles.push_back(known.handle());
    return handles;
  };
  answer(std::move(work), std::move(completion));
}

void LocalInterfaceDriver::interface_by_name(const Caller&, std::string name,
                                             Completion<InterfaceHandle> completion) {
  std::move_only_function<InterfaceHandle()> work = [ifupdown = ifupdown_, name = std::move(name)] {
    return require_known(*ifupdown, name).handle();
  };
  answer(std::move(work), std::move(completion));
}

void LocalInterfaceDriver::interface_by_mac(const Caller&, std::string mac,
                                            Completion<InterfaceHandle> completion) {
  std::move_only_function<InterfaceHandle()> work = [ifupdown = ifupdown_, mac = std::move(mac)] {
    return find_by_mac(*ifupdown, mac);
  };
  answer(std::move(work), std::move(completion));
}

void LocalInterfaceDriver::interface_xml(const Caller&, std::string name, unsigned int flags,
                                         Completion<std::string> completion) {
  if (is_refused(flags, VIR_INTERFACE_XML_INACTIVE, "virInterfaceGetXMLDesc", completion)) return;
  std::move_only_function<std::string()> work = [ifupdown = ifupdown_, name = std::move(name), flags] {
    return xml_of(require_known(*ifupdown, name), (flags & VIR_INTERFACE_XML_INACTIVE) != 0);
  };
  answer(std::move(work), std::move(completion));
}

void LocalInterfaceDriver::interface_is_active(const Caller&, std::string name, Completion<bool> completion) {
  std::move_only_function<bool()> work = [ifupdown = ifupdown_, name = std::move(name)] {
    return require_known(*ifupdown, name).is_active();
  };
  answer(std::move(work), std::move(completion));
}

void LocalInterfaceDriver::define_interface(const Caller&, std::string xml, unsigned int flags,
                                            Completion<InterfaceHandle> completion) {
  if (is_refused(flags, VIR_INTERFACE_DEFINE_VALIDATE, "virInterfaceDefineXML", completion)) return;
  std::move_only_function<InterfaceHandle()> work = [ifupdown = ifupdown_, xml = std::move(xml), flags] {
    const InterfaceDefinition definition = parse_interface(xml, (flags & VIR_INTERFACE_DEFINE_VALIDATE) != 0);
    ifupdown->define(definition);
    return require_known(*ifupdown, definition.name).handle();
  };
  answer(std::move(work), std::move(completion));
}

void LocalInterfaceDriver::undefine_interface(const Caller&, std::string name, Completion<void> completion) {
  act(
      [ifupdown = ifupdown_, name = std::move(name)] {
        (void)require_known(*ifupdown, name);
        ifupdown->undefine(name);
      },
      std::move(completion));
}

void LocalInterfaceDriver::start_interface(const Caller&, std::string name, unsigned int flags,
                                           Completion<void> completion) {
  if (is_refused(flags, 0, "virInterfaceCreate", completion)) return;
  act([ifupdown = ifupdown_, name = std::move(name)] { start(*ifupdown, name); }, std::move(completion));
}

void LocalInterfaceDriver::stop_interface(const Caller&, std::string name, unsigned int flags,
                                          Completion<void> completion) {
  if (is_refused(flags, 0, "virInterfaceDestroy", completion)) return;
  act([ifupdown = ifupdown_, name = std::move(name)] { stop(*ifupdown, name); }, std::move(completion));
}

void LocalInterfaceDriver::begin_change(const Caller&, unsigned int flags, Completion<void> completion) {
  if (is_refused(flags, 0, "virInterfaceChangeBegin", completion)) return;
  act([ifupdown = ifupdown_] { ifupdown->begin_change(); }, std::move(completion));
}

void LocalInterfaceDriver::commit_change(const Caller&, unsigned int flags, Completion<void> completion) {
  if (is_refused(flags, 0, "virInterfaceChangeCommit", completion)) return;
  act([ifupdown = ifupdown_] { ifupdown->commit_change(); }, std::move(completion));
}

void LocalInterfaceDriver::roll_back_change(const Caller&, unsigned int flags, Completion<void> completion) {
  if (is_refused(flags, 0, "virInterfaceChangeRollback", completion)) return;
  act([ifupdown = ifupdown_] { ifupdown->roll_back_change(); }, std::move(completion));
}

}  // namespace warren::driver::interface
