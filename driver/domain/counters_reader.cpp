#include "driver/domain/counters_reader.h"

#include <array>
#include <cerrno>

#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/state/counters.h"

namespace warren::driver::domain {

namespace {

constexpr std::size_t kSlotCounters = 16;
using Slot = std::array<std::uint64_t, kSlotCounters>;
static_assert(sizeof(Slot) == sizeof(vmm::BlockCounters) && sizeof(Slot) == sizeof(vmm::NetCounters) &&
              sizeof(Slot) == sizeof(vmm::VcpuCounters));

Slot read_slot(const vmm::FileDescriptor& page, std::size_t table, std::size_t index, std::size_t most) {
  Slot slot{};
  if (index >= most) return slot;
  auto offset = static_cast<off_t>(table + index * sizeof(Slot));
  if (::pread(page.get(), slot.data(), sizeof(slot), offset) != static_cast<ssize_t>(sizeof(slot)))
    slot.fill(0);
  return slot;
}

// The slot of the device of that alias among `Most` of them. Owners are the last counter of a slot.
template <std::size_t Most>
Slot find_slot(const vmm::FileDescriptor& page, std::size_t table, std::string_view alias) {
  static_assert(offsetof(vmm::BlockCounters, owner) == sizeof(Slot) - sizeof(std::uint64_t) &&
                offsetof(vmm::NetCounters, owner) == sizeof(Slot) - sizeof(std::uint64_t));
  std::array<Slot, Most> slots;
  if (::pread(page.get(), slots.data(), sizeof(slots), static_cast<off_t>(table)) !=
      static_cast<ssize_t>(sizeof(slots)))
    return {};
  const std::uint64_t owner = vmm::counters_owner(alias);
  for (const Slot& slot : slots)
    if (slot.back() == owner) return slot;
  return {};
}

}  // namespace

CountersReader::CountersReader(vmm::FileDescriptor page) : page_(std::move(page)) {
  struct {
    std::uint64_t magic = 0;
    std::uint32_t version = 0;
    std::uint32_t size = 0;
  } header;
  if (::pread(page_.get(), &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header)) ||
      header.magic != vmm::kCountersMagic || header.version < 1 ||
      header.size < offsetof(vmm::CountersPage, balloon)) {
    throw internal_error("the worker's counters page is not one");
  }
}

BlockFigures CountersReader::disk(std::string_view alias) const {
  Slot s = find_slot<vmm::kMaximumCountedDisks>(page_, offsetof(vmm::CountersPage, disks), alias);
  return {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9]};
}

NetFigures CountersReader::interface(std::string_view alias) const {
  Slot s = find_slot<vmm::kMaximumCountedInterfaces>(page_, offsetof(vmm::CountersPage, interfaces), alias);
  return {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]};
}

BalloonFigures CountersReader::balloon() const {
  std::array<std::uint64_t, sizeof(vmm::BalloonCounters) / sizeof(std::uint64_t)> s{};
  // A worker of version 1 has none, nor room for it.
  if (::pread(page_.get(), s.data(), sizeof(s), offsetof(vmm::CountersPage, balloon)) !=
      static_cast<ssize_t>(sizeof(s)))
    return {};
  const auto at = [&s](std::size_t offset) { return s[offset / sizeof(std::uint64_t)]; };
  BalloonFigures figures{.actual_bytes = at(offsetof(vmm::BalloonCounters, actual_bytes)),
                         .statistics_time = at(offsetof(vmm::BalloonCounters, statistics_time)),
                         .statistics_present = at(offsetof(vmm::BalloonCounters, statistics_present))};
  for (std::size_t i = 0; i < figures.statistics.size(); ++i)
    figures.statistics[i] = at(offsetof(vmm::BalloonCounters, statistics) + i * sizeof(std::uint64_t));
  return figures;
}

std::uint64_t CountersReader::vcpu_thread(std::size_t index) const {
  Slot s = read_slot(page_, offsetof(vmm::CountersPage, vcpus), index, vmm::kMaximumCountedVcpus);
  return s[offsetof(vmm::VcpuCounters, thread_id) / sizeof(std::uint64_t)];
}

}  // namespace warren::driver::domain
