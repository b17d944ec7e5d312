#include "vmm-core/kvm/virtual_machine.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "vmm-core/kvm/ioctl.h"

namespace warren::vmm::kvm {
namespace {

kvm_ioeventfd make_ioeventfd(GuestAddress address, std::uint32_t size, std::optional<std::uint64_t> match,
                             int event_descriptor) noexcept {
  kvm_ioeventfd event{};
  event.addr = address.value;
  event.len = size;
  event.fd = event_descriptor;
  if (match) {
    event.datamatch = *match;
    event.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
  }
  return event;
}

}  // namespace

VirtualMachine::VirtualMachine(const System& system)
    : vm_(WARREN_KVM_IOCTL(system.descriptor(), KVM_CREATE_VM, 0)), slots_(std::make_unique<Slots>()) {
  // As many as the oldest kernels have, where it does not say.
  constexpr int kFewestSlots = 32;
  maximum_slots_ =
      static_cast<std::uint32_t>(std::max(system.check_extension(KVM_CAP_NR_MEMSLOTS), kFewestSlots));
  system.require(KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP");
  system.require(KVM_CAP_PIT2, "KVM_CAP_PIT2");
  system.require(KVM_CAP_IRQFD, "KVM_CAP_IRQFD");
  system.require(KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD");
  system.require(KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI");
  system.require(KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT");
}

void VirtualMachine::map_memory(const GuestMemory& memory) {
  for (const auto& region : memory.regions()) {
    if (!add(region.start, region.size, region.host)) throw_errno("KVM_SET_USER_MEMORY_REGION");
  }
}

int VirtualMachine::set_slot(std::size_t number, const Slot& slot) const noexcept {
  kvm_userspace_memory_region description{};
  description.slot = static_cast<std::uint32_t>(number);
  description.flags = slot.size == 0 ? 0 : slots_->flags;
  description.guest_phys_addr = slot.start.value;
  description.memory_size = slot.size;
  // KVM takes the host address of the mapping as a number.
  description.userspace_addr = reinterpret_cast<std::uint64_t>(slot.host);
  return try_ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &description) == 0 ? 0 : errno;
}

bool VirtualMachine::add(GuestAddress start, std::uint64_t size, std::byte* host) noexcept {
  const std::lock_guard lock(slots_->mutex);
  auto& all = slots_->all;
  auto place = std::ranges::find(all, std::uint64_t{0}, &Slot::size);
  if (place == all.end()) {
    errno = ENOSPC;
    if (all.size() >= maximum_slots_) return false;
    try {
      place = all.insert(all.end(), Slot{});
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
  const Slot slot{start, size, host};
  if (const int failed = set_slot(static_cast<std::size_t>(place - all.begin()), slot); failed != 0) {
    errno = failed;
    return false;
  }
  *place = slot;
  return true;
}

void VirtualMachine::remove(GuestAddress start) noexcept {
  const std::lock_guard lock(slots_->mutex);
  auto& all = slots_->all;
  for (std::size_t number = 0; number < all.size(); ++number) {
    if (all[number].size == 0 || all[number].start != start) continue;
    all[number] = {};
    set_slot(number, all[number]);
    return;
  }
}

void VirtualMachine::log_dirty_pages(bool on) {
  set_flags(on ? KVM_MEM_LOG_DIRTY_PAGES : 0);
}

void VirtualMachine::set_flags(std::uint32_t flags) {
  const std::lock_guard lock(slots_->mutex);
  slots_->flags = flags;
  for (std::size_t number = 0; number < slots_->all.size(); ++number) {
    if (slots_->all[number].size == 0) continue;
    errno = set_slot(number, slots_->all[number]);
    if (errno != 0) throw_errno("KVM_SET_USER_MEMORY_REGION");
  }
}

std::uint64_t VirtualMachine::count_dirty_pages() {
  constexpr std::uint64_t kPagesPerWord = std::uint64_t{64} * 4096;
  const std::lock_guard lock(slots_->mutex);
  std::uint64_t pages = 0;
  for (std::size_t number = 0; number < slots_->all.size(); ++number) {
    const Slot& slot = slots_->all[number];
    if (slot.size == 0) continue;
    std::vector<std::uint64_t> bitmap((slot.size + kPagesPerWord - 1) / kPagesPerWord);
    kvm_dirty_log log{};
    log.slot = static_cast<std::uint32_t>(number);
    log.dirty_bitmap = bitmap.data();
    WARREN_KVM_IOCTL(vm_.get(), KVM_GET_DIRTY_LOG, &log);
    for (const std::uint64_t word : bitmap) pages += static_cast<std::uint64_t>(std::popcount(word));
  }
  return pages;
}

FileDescriptor VirtualMachine::statistics() const noexcept {
  return FileDescriptor(try_ioctl(vm_.get(), KVM_GET_STATS_FD, 0));
}

void VirtualMachine::create_interrupt_controllers(GuestAddress identity_map, GuestAddress tss,
                                                  bool reinject) {
  std::uint64_t identity = identity_map.value;
  WARREN_KVM_IOCTL(vm_.get(), KVM_SET_IDENTITY_MAP_ADDR, &identity);
  WARREN_KVM_IOCTL(vm_.get(), KVM_SET_TSS_ADDR, tss.value);
  WARREN_KVM_IOCTL(vm_.get(), KVM_CREATE_IRQCHIP, 0);
  kvm_pit_config timer{};
  timer.flags = KVM_PIT_SPEAKER_DUMMY;
  WARREN_KVM_IOCTL(vm_.get(), KVM_CREATE_PIT2, &timer);
  if (reinject) return;  // what KVM does by itself
  kvm_reinject_control control{};
  WARREN_KVM_IOCTL(vm_.get(), KVM_REINJECT_CONTROL, &control);
}

InterruptControllerState VirtualMachine::interrupt_controllers() const {
  InterruptControllerState state;
  for (std::uint32_t i = 0; i < state.chips.size(); ++i) {
    state.chips[i].chip_id = i;  // KVM_IRQCHIP_PIC_MASTER, _PIC_SLAVE, _IOAPIC
    WARREN_KVM_IOCTL(vm_.get(), KVM_GET_IRQCHIP, &state.chips[i]);
  }
  WARREN_KVM_IOCTL(vm_.get(), KVM_GET_PIT2, &state.timer);
  return state;
}

void VirtualMachine::set_interrupt_controllers(const InterruptControllerState& state) {
  for (auto chip : state.chips) WARREN_KVM_IOCTL(vm_.get(), KVM_SET_IRQCHIP, &chip);
  auto timer = state.timer;
  WARREN_KVM_IOCTL(vm_.get(), KVM_SET_PIT2, &timer);
}

bool VirtualMachine::set_line(std::uint32_t gsi, bool asserted) noexcept {
  kvm_irq_level level{};
  level.irq = gsi;
  level.level = asserted ? 1 : 0;
  return try_ioctl(vm_.get(), KVM_IRQ_LINE, &level) == 0;
}

bool VirtualMachine::signal_message(std::uint64_t address, std::uint32_t data) noexcept {
  kvm_msi msi{};
  msi.address_lo = static_cast<std::uint32_t>(address);
  msi.address_hi = static_cast<std::uint32_t>(address >> 32);
  msi.data = data;
  return try_ioctl(vm_.get(), KVM_SIGNAL_MSI, &msi) >= 0;
}

void VirtualMachine::set_routes(std::span<const kvm_irq_routing_entry> routes) {
  std::vector<std::byte> buffer(sizeof(kvm_irq_routing) + routes.size_bytes());
  auto* table = new (buffer.data()) kvm_irq_routing{};  // a header and, behind it, the entries
  table->nr = static_cast<std::uint32_t>(routes.size());
  std::memcpy(buffer.data() + sizeof(kvm_irq_routing), routes.data(), routes.size_bytes());
  WARREN_KVM_IOCTL(vm_.get(), KVM_SET_GSI_ROUTING, table);
}

void VirtualMachine::add_irqfd(int event_descriptor, std::uint32_t gsi) {
  kvm_irqfd event{};
  event.fd = static_cast<std::uint32_t>(event_descriptor);
  event.gsi = gsi;
  WARREN_KVM_IOCTL(vm_.get(), KVM_IRQFD, &event);
}

void VirtualMachine::remove_irqfd(int event_descriptor, std::uint32_t gsi) noexcept {
  kvm_irqfd event{};
  event.fd = static_cast<std::uint32_t>(event_descriptor);
  event.gsi = gsi;
  event.flags = KVM_IRQFD_FLAG_DEASSIGN;
  (void)try_ioctl(vm_.get(), KVM_IRQFD, &event);
}

bool VirtualMachine::add_resampling_irqfd(int event_descriptor, std::uint32_t gsi, int resample) noexcept {
  kvm_irqfd event{};
  event.fd = static_cast<std::uint32_t>(event_descriptor);
  event.gsi = gsi;
  event.flags = KVM_IRQFD_FLAG_RESAMPLE;
  event.resamplefd = static_cast<std::uint32_t>(resample);
  return try_ioctl(vm_.get(), KVM_IRQFD, &event) == 0;
}

void VirtualMachine::note_vfio_group(int group, bool present) noexcept {
  if (!vfio_ && present) {
    kvm_create_device device{};
    device.type = KVM_DEV_TYPE_VFIO;
    if (try_ioctl(vm_.get(), KVM_CREATE_DEVICE, &device) != 0) return;
    vfio_ = FileDescriptor(static_cast<int>(device.fd));
  }
  if (!vfio_) return;
  const std::int32_t descriptor = group;
  kvm_device_attr attribute{};
  attribute.group = KVM_DEV_VFIO_GROUP;
  attribute.attr = present ? KVM_DEV_VFIO_GROUP_ADD : KVM_DEV_VFIO_GROUP_DEL;
  attribute.addr = reinterpret_cast<std::uint64_t>(&descriptor);  // KVM takes the address as a number
  (void)try_ioctl(vfio_.get(), KVM_SET_DEVICE_ATTR, &attribute);
}

void VirtualMachine::add_ioeventfd(GuestAddress address, std::uint32_t size,
                                   std::optional<std::uint64_t> match, int event_descriptor) {
  auto event = make_ioeventfd(address, size, match, event_descriptor);
  WARREN_KVM_IOCTL(vm_.get(), KVM_IOEVENTFD, &event);
}

void VirtualMachine::remove_ioeventfd(GuestAddress address, std::uint32_t size,
                                      std::optional<std::uint64_t> match, int event_descriptor) noexcept {
  auto event = make_ioeventfd(address, size, match, event_descriptor);
  event.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
  (void)try_ioctl(vm_.get(), KVM_IOEVENTFD, &event);
}

std::uint64_t VirtualMachine::clock() const {
  kvm_clock_data data{};
  WARREN_KVM_IOCTL(vm_.get(), KVM_GET_CLOCK, &data);
  return data.clock;
}

void VirtualMachine::set_clock(std::uint64_t nanoseconds) {
  kvm_clock_data data{};
  data.clock = nanoseconds;
  WARREN_KVM_IOCTL(vm_.get(), KVM_SET_CLOCK, &data);
}

}  // namespace warren::vmm::kvm
