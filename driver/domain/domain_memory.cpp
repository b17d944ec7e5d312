// Memory devices of a running machine: what its worker tells of them, and what the guest is asked to have.
#include <algorithm>

#include <fmt/format.h>

#include "driver/domain/domain.h"
#include "driver/domain/machine_translation.h"

namespace warren::driver::domain {

namespace control = vmm::control;

// It is in the live definition, which learns where it is.
Task<> Domain::plug_memory(config::MemoryDevice memory) {
  Worker& worker = require_worker();
  std::string doing = fmt::format("plug device {} into domain '{}'", memory.info.alias, name_);
  if (memory.model == config::MemoryModel::dimm) {
    const control::PlugDimm command{dimm_of(memory, *live_)};
    Request<void> request = [&worker, command](auto reply) {
      worker.client().plug_dimm(command, std::move(reply));
    };
    co_await worker.ask<void>(std::move(request), std::move(doing));
  } else {
    co_await worker.plug_device(plug_of(memory, {}, *live_), {}, {}, std::move(doing));
  }
  co_await fetch_memory();
  co_await write_status();
}

Task<> Domain::request_memory(std::string alias, std::uint64_t kib) {
  Worker& worker = require_worker();
  const control::RequestMemory command{alias, kib * 1024};
  Request<void> request = [&worker, command](auto reply) {
    worker.client().request_memory(command, std::move(reply));
  };
  co_await worker.ask<void>(std::move(request),
                            fmt::format("resize memory device {} of domain '{}'", alias, name_));
}

// Where a module is, and what the guest has of virtio memory. True when the live definition said otherwise.
bool Domain::note_memory(const std::vector<control::MemoryDeviceStatus>& devices) {
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  for (config::MemoryDevice& memory : live->devices.memories) {
    const auto found = std::ranges::find(devices, memory.info.alias, &control::MemoryDeviceStatus::id);
    if (found == devices.end()) continue;
    if (memory.dimm) {
      memory.dimm->base = found->address;
      continue;
    }
    memory.requested_kib = std::min(found->requested_bytes / 1024, memory.size_kib);
    const std::uint64_t now = std::min(found->bytes / 1024, memory.size_kib);
    std::uint64_t& total = live->memory.current_kib;
    total = total - std::min(total, memory.current_kib) + now;
    memory.current_kib = now;
  }
  if (*live == *live_) return false;
  live_ = std::move(live);
  return true;
}

Task<> Domain::fetch_memory() {
  if (live_->devices.memories.empty()) co_return;
  const auto worker = worker_;
  try {
    const control::Status found = co_await worker->status();
    if (found.memory_devices) note_memory(*found.memory_devices);
  } catch (const std::exception& error) {
    // A worker that has ended is looked after by whoever is told of its end.
    log(LogPriority::warning, fmt::format("cannot learn of its memory devices: {}", error.what()));
  }
}

Task<> Domain::memory_resized(std::weak_ptr<Worker> from, control::MemoryResized resized) {
  auto hold = co_await slot_.acquire(job_of("guest's change of its memory", {}), JobSlot::Urgency::urgent);
  const auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active()) co_return;
  const auto& memories = live_->devices.memories;
  const auto found = std::ranges::find(memories, resized.id,
                                       [](const config::MemoryDevice& device) { return device.info.alias; });
  if (found == memories.end()) co_return;
  if (!note_memory({{.id = resized.id,
                     .address = 0,
                     .bytes = resized.bytes,
                     .requested_bytes = found->requested_kib * 1024}}))
    co_return;
  co_await write_status();
  publish();
  emit(MemoryDeviceSizeEvent{resized.id, resized.bytes / 1024});
}

// The guest does not let go of a device that it was asked for.
}  // namespace warren::driver::domain
