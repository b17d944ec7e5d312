// A domain's host devices: taken from the host when it starts or gets one, and given back.
#include <algorithm>

#include <fmt/format.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

std::shared_ptr<HeldHostDevices> Domain::hold_host_devices(std::vector<BoundDevice> before) const {
  return std::make_shared<HeldHostDevices>(*environment_->pci, environment_->host_devices,
                                           environment_->functions, uuid_, name_, std::move(before));
}

Task<std::shared_ptr<Domain::OpenedHostDevice>> Domain::take_host_device(config::HostDevice device) {
  if (!host_devices_) {
    host_devices_ = hold_host_devices({});
    host_devices_->keep();
  }
  auto held = host_devices_;
  auto environment = environment_;
  std::move_only_function<Done()> take = [environment, held, device] {
    held->take(device);
    return Done{};
  };
  co_await run_blocking<Done>(environment_->io_threads, std::move(take));
  // Noted before it is done.
  co_await write_status();
  std::move_only_function<std::shared_ptr<OpenedHostDevice>()> open = [environment, held, device] {
    auto opened = std::make_shared<OpenedHostDevice>();
    held->bind();
    opened->access = held->open(std::span(&device, 1), opened->names, opened->descriptors);
    return opened;
  };
  co_return co_await run_blocking<std::shared_ptr<OpenedHostDevice>>(environment_->io_threads,
                                                                     std::move(open));
}

Task<> Domain::give_back_host_devices() {
  if (!host_devices_) co_return;
  std::vector<config::HostDevice> rest;
  if (live_ && worker_ && !worker_->has_ended()) rest = config::assigned_devices(live_->devices);
  std::move_only_function<std::vector<std::string>()> work = [environment = environment_,
                                                              held = host_devices_, rest = std::move(rest)] {
    return held->give_back_but(rest);
  };
  const auto complaints =
      co_await run_blocking<std::vector<std::string>>(environment_->io_threads, std::move(work));
  for (const std::string& complaint : complaints) log(LogPriority::error, complaint);
}

Task<> Domain::adopt_host_devices(std::vector<BoundDevice> bound) {
  std::vector<config::HostDevice> devices = config::assigned_devices(live_->devices);
  if (bound.empty() && devices.empty()) co_return;
  host_devices_ = hold_host_devices(std::move(bound));
  host_devices_->keep();
  std::move_only_function<Done()> work = [environment = environment_, held = host_devices_,
                                          devices = std::move(devices)] {
    for (const config::HostDevice& device : devices) held->take_over(device);
    return Done{};
  };
  co_await run_blocking<Done>(environment_->io_threads, std::move(work));
}

Task<> Domain::roll_back_host_devices(std::vector<BoundDevice> bound) {
  if (bound.empty()) co_return;
  host_devices_ = hold_host_devices(std::move(bound));
  host_devices_->keep();
  co_await give_back_host_devices();
  host_devices_ = nullptr;
}

// All of its memory is found and locked when it gets its first device, and each is reset: that takes the
// kernel a while.
void Domain::allow_locking(Worker& worker, const config::DomainDefinition& live) const {
  constexpr std::uint64_t kKibPerSecond = 1 << 20;
  constexpr std::chrono::seconds kResets{20};
  if (config::assigned_devices(live.devices).empty()) return;
  const std::uint64_t kib = std::max(live.memory.maximum_kib, live.memory.limit_kib);
  allow_locked_memory(worker.pid(), kib);
  worker.set_deadline(environment_->command_deadline + kResets + std::chrono::seconds(kib / kKibPerSecond));
}

}  // namespace warren::driver::domain
