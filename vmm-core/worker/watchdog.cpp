// The machine's watchdogs: their places, and what becomes of a guest that has not reloaded it in time.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/devices/i6300esb_watchdog.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

using control::MachineState;
using control::StateCause;
using control::WatchdogAction;

// Called on the watchdog's thread, once for each time that it runs out.
std::function<void()> Worker::on_expiry(WatchdogAction action) {
  return [this, action] {
    try {
      boost::asio::post(loop_, [this, action] { watchdog_expired(action); });
    } catch (const std::exception&) {
      // No memory for one small message: a guest that still hangs is found when it is resumed or reset.
    }
  };
}

machine::TcoConfiguration Worker::tco_watchdog(const control::TcoWatchdogSpecification& watchdog) {
  return {watchdog.id, &own_thread(watchdog.id), on_expiry(watchdog.action)};
}

machine::PciDeviceConfiguration Worker::watchdog_device(const control::WatchdogSpecification& watchdog) {
  EventThread& thread = own_thread(watchdog.id);
  auto expired = on_expiry(watchdog.action);
  return {watchdog.id,
          {watchdog.address.bus, watchdog.address.slot, watchdog.address.function},
          [id = watchdog.id, &thread, expired](const machine::DeviceEnvironment&, pci::Place place) {
            auto device = std::make_unique<I6300esbWatchdog>(id, std::move(place), thread, expired);
            Pausable* pausable = device.get();
            return machine::BuiltDevice{std::move(device), pausable};
          }};
}

void Worker::watchdog_expired(WatchdogAction action) {
  // The guest was stopped, or came to its end, before this was looked at.
  if (!machine_ || state_ != MachineState::running) return;
  if (surroundings_.watchdog_expired) surroundings_.watchdog_expired({action});
  constexpr const char* kWhy = "the watchdog has expired";
  switch (action) {
    case WatchdogAction::none:
      return;
    case WatchdogAction::reset:
      if (on_reset_ == control::GuestAction::stop) machine_->pause();
      return guest_was_reset();
    case WatchdogAction::shutdown:
      // A guest that hangs may well not notice; that is what the other actions are for.
      machine_->press_power_button();
      return;
    case WatchdogAction::poweroff:
      machine_->pause();
      return enter(MachineState::shut_down, StateCause::watchdog, kWhy);
    case WatchdogAction::pause:
      machine_->pause();
      return enter(MachineState::paused, StateCause::watchdog, kWhy);
    case WatchdogAction::inject_nmi:
      machine_->inject_nmi();
  }
}

}  // namespace warren::vmm::worker
