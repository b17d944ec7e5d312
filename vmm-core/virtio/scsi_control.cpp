// Task management and events of the SCSI host device (virtio 1.2 §5.6.6.2, §5.6.6.3).
#include <algorithm>
#include <utility>

#include "vmm-core/virtio/scsi_parts.h"

namespace warren::vmm::virtio {

namespace {

// The place of a response's first byte.
std::byte* first_byte(const Chain& chain) noexcept {
  return static_cast<std::byte*>(chain.writable.front().iov_base);
}

}  // namespace

void Scsi::Events::tell(std::uint32_t event, ScsiUnitAddress address, std::uint32_t reason) noexcept {
  if (!device_.driver_present_) return;
  if (count_ == waiting_.size()) {
    missed_ = true;
    return;
  }
  waiting_[count_++] = {event, lun_of(address), reason};
  if (device_.is_running(kEventQueue)) device_.work(kEventQueue);
}

void Scsi::Events::clear() noexcept {
  count_ = 0;
  missed_ = false;
}

ServedDevice::Served Scsi::Events::serve() noexcept {
  std::size_t told = 0;
  bool has_room = true;
  Chain chain;
  while (told != count_ && (has_room = device_.queue(kEventQueue).pop(chain))) {
    ScsiEvent event = waiting_[told];
    if (chain.writable_bytes < sizeof(event)) {
      device_.count_malformed();
      chain.ticket.complete(0);
      continue;
    }
    if (std::exchange(missed_, false)) event.event |= kEventsMissed;
    Writer(chain.writable).write(std::as_bytes(std::span(&event, 1)));
    chain.ticket.complete(sizeof(event));
    ++told;
  }
  std::copy(waiting_.begin() + static_cast<std::ptrdiff_t>(told),
            waiting_.begin() + static_cast<std::ptrdiff_t>(count_), waiting_.begin());
  count_ -= told;
  // Buffers wait for events, not the other way round.
  return has_room ? Served::waiting : Served::all;
}

ServedDevice::Served Scsi::TaskManagement::serve() noexcept {
  Chain chain;
  unsigned served = 0;
  for (; served < kShare && device_.queue(kControlQueue).pop(chain); ++served) take(chain);
  device_.settle();
  return served < kShare ? Served::all : Served::more;
}

void Scsi::TaskManagement::take(Chain& chain) noexcept {
  Reader reader(chain.readable);
  Reader again = reader;
  std::uint32_t type = 0;
  if (reader.read_object(type) && type == kTaskManagement && chain.writable_bytes >= 1) {
    ScsiFunctionRequest request;
    if (again.read_object(request)) {
      Pending pending{.ticket = std::move(chain.ticket), .response = first_byte(chain), .scope = {}};
      bool waits = false;
      const ScsiResponse response = manage(request, pending, waits);
      if (waits) return;
      *pending.response = static_cast<std::byte>(response);
      pending.ticket.complete(1);
      return;
    }
  } else if ((type == kNotificationQuery || type == kNotificationSubscribe) &&
             chain.writable_bytes >= sizeof(ScsiNotificationResponse)) {
    ScsiNotificationRequest request;
    if (again.read_object(request)) {
      const ScsiNotificationResponse response{.events = 0,
                                              .response = static_cast<std::uint8_t>(notify(request))};
      Writer(chain.writable).write(std::as_bytes(std::span(&response, 1)));
      chain.ticket.complete(sizeof(response));
      return;
    }
  }
  device_.count_malformed();
  chain.ticket.complete(0);
}

// Nothing is told of but by the event queue: what is subscribed to is nothing.
ScsiResponse Scsi::TaskManagement::notify(const ScsiNotificationRequest& request) noexcept {
  const auto place = place_of(request.lun);
  if (!place || !device_.has_target(place->target)) return ScsiResponse::bad_target;
  return place->is_well_known || device_.find(place->address()) != nullptr ? ScsiResponse::ok
                                                                           : ScsiResponse::incorrect_lun;
}

template <typename Each>
void Scsi::TaskManagement::for_each_command(const Scope& scope, Each each) noexcept {
  for (auto& queue : device_.requests_) {
    for (Command& command : queue->commands()) {
      if (command.unit == nullptr) continue;
      const ScsiUnitAddress address = command.unit->address();
      const bool is_in = address.target == scope.target && (!scope.lun || *scope.lun == address.lun) &&
                         (!scope.id || *scope.id == command.id);
      if (is_in) each(command);
    }
  }
}

bool Scsi::TaskManagement::has_aborted(const Scope& scope) noexcept {
  bool found = false;
  for_each_command(scope,
                   [&](const Command& command) { found = found || command.given_up != ScsiResponse::ok; });
  return found;
}

void Scsi::TaskManagement::finish(const Scope& scope) noexcept {
  if (!scope.resets) return;
  for (auto& unit : device_.units_)
    if (unit->address().target == scope.target && (!scope.lun || *scope.lun == unit->address().lun))
      unit->logical().reset();
}

ScsiResponse Scsi::TaskManagement::manage(const ScsiFunctionRequest& request, Pending& pending,
                                          bool& waits) noexcept {
  const auto place = place_of(request.lun);
  if (!place || !device_.has_target(place->target)) return ScsiResponse::bad_target;
  const auto function = static_cast<ScsiFunction>(request.function);
  Scope scope{.target = place->target, .lun = place->lun, .id = {}};
  if (function == ScsiFunction::nexus_reset) {
    scope.lun.reset();
  } else if (place->is_well_known || device_.find(place->address()) == nullptr) {
    return ScsiResponse::incorrect_lun;
  }
  if (function == ScsiFunction::abort_task || function == ScsiFunction::query_task) scope.id = request.id;
  switch (function) {
    case ScsiFunction::query_task:
    case ScsiFunction::query_task_set: {
      bool found = false;
      for_each_command(scope, [&found](const Command&) { found = true; });
      return found ? ScsiResponse::function_succeeded : ScsiResponse::ok;
    }
    case ScsiFunction::nexus_reset:
    case ScsiFunction::unit_reset:
      scope.resets = true;
      break;
    case ScsiFunction::abort_task:
    case ScsiFunction::abort_task_set:
    case ScsiFunction::clear_task_set:
      break;
    default:  // there is no auto contingent allegiance to clear
      return ScsiResponse::function_rejected;
  }
  const auto free =
      std::ranges::find_if(pending_, [](const Pending& each) { return each.response == nullptr; });
  if (free == pending_.end()) return ScsiResponse::failure;
  for_each_command(scope, [&scope](Command& command) {
    command.unit->abort(command, scope.resets ? ScsiResponse::reset : ScsiResponse::aborted);
  });
  if (!has_aborted(scope)) {
    finish(scope);
    return ScsiResponse::ok;
  }
  pending.scope = scope;
  *free = std::move(pending);
  any_pending_ = waits = true;
  return ScsiResponse::ok;
}

void Scsi::TaskManagement::look_again() noexcept {
  if (!any_pending_) return;
  any_pending_ = false;
  bool answered = false;
  for (Pending& pending : pending_) {
    if (pending.response == nullptr) continue;
    if (has_aborted(pending.scope)) {
      any_pending_ = true;
      continue;
    }
    finish(pending.scope);
    *std::exchange(pending.response, nullptr) = static_cast<std::byte>(ScsiResponse::ok);
    pending.ticket.complete(1);
    answered = true;
  }
  if (answered && device_.is_running(kControlQueue)) device_.signal(kControlQueue);
}

void Scsi::TaskManagement::clear() noexcept {
  for (Pending& pending : pending_) pending = {};
  any_pending_ = false;
}

}  // namespace warren::vmm::virtio
