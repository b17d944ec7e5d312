#include "tests/guest/virtio/device.h"

#include <new>

#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/virtio/packed_queue.h"
#include "tests/guest/virtio/split_queue.h"

namespace guest {
namespace {

constexpr std::uint16_t kVirtioVendor = 0x1af4, kModernBase = 0x1040;
constexpr std::uint8_t kVendorCapability = 0x09, kMsixCapability = 0x11;

// 64-bit fields are written in halves (§4.1.3.1).
void write_address(std::uint64_t field, std::uint64_t address) {
  write32(field, static_cast<std::uint32_t>(address));
  write32(field + 4, static_cast<std::uint32_t>(address >> 32));
}

}  // namespace

VirtioDevice::VirtioDevice(VirtioType type, unsigned number) {
  for (auto& function : pci_functions()) {
    if (function.vendor() != kVirtioVendor) continue;
    if (function.device() != kModernBase + static_cast<std::uint16_t>(type) || number-- > 0) continue;
    function_ = &function;
    find_registers();
    if (function_ == nullptr) return;
    if (has_msix()) disable_msix();
    reset();
    return;
  }
}

VirtioDevice::VirtioDevice(PciFunction* function) : function_(function) {
  if (function->vendor() != kVirtioVendor || function->device() < kModernBase)
    function_ = nullptr;
  else
    find_registers();
}

// Walks the vendor capabilities, struct virtio_pci_cap (§4.1.4); the first of each type counts.
void VirtioDevice::find_registers() {
  auto& function = *function_;
  function.enable();
  for (std::uint8_t at = function.find_capability(kVendorCapability); at != 0;
       at = function.find_capability(kVendorCapability, at)) {
    std::uint8_t type = function.read8(static_cast<std::uint16_t>(at + 3));
    std::uint8_t bar = function.read8(static_cast<std::uint16_t>(at + 4));
    if (type < 1 || type > 4 || bar > 5) continue;
    std::uint64_t address = function.bar(bar).address + function.read32(static_cast<std::uint16_t>(at + 8));
    if (type == 1 && common_ == 0) common_ = address;
    if (type == 2 && notify_ == 0) {
      notify_ = address;
      notify_multiplier_ = function.read32(static_cast<std::uint16_t>(at + 16));
    }
    if (type == 3 && isr_ == 0) isr_ = address;
    if (type == 4 && device_configuration_ == 0) {
      device_configuration_ = address;
      configuration_bytes_ = function.read32(static_cast<std::uint16_t>(at + 12));
    }
  }
  if (common_ == 0 || notify_ == 0 || isr_ == 0) {
    function_ = nullptr;
    return;
  }
  msix_ = function.find_capability(kMsixCapability);
  if (msix_ == 0) return;
  std::uint32_t table = function.read32(static_cast<std::uint16_t>(msix_ + 4));
  std::uint32_t pending = function.read32(static_cast<std::uint16_t>(msix_ + 8));
  msix_table_ = function.bar(table & 7).address + (table & ~7u);
  msix_pending_bits_ = function.bar(pending & 7).address + (pending & ~7u);
}

std::uint64_t VirtioDevice::notify_address(std::uint16_t queue) const {
  write16(common_ + common::kQueueSelect, queue);
  return notify_ + read16(common_ + common::kQueueNotifyOffset) * std::uint64_t{notify_multiplier_};
}

std::uint8_t VirtioDevice::status() const {
  return read8(common_ + common::kStatus);
}
void VirtioDevice::set_status(std::uint8_t status) {
  write8(common_ + common::kStatus, status);
}

void VirtioDevice::reset() {
  set_status(0);
  if (!wait_until([this] { return status() == 0; }, 1000)) stop("a virtio device does not reset");
  negotiated_ = 0;
}

std::uint64_t VirtioDevice::offered_features() const {
  write32(common_ + common::kDeviceFeatureSelect, 1);
  std::uint64_t high = read32(common_ + common::kDeviceFeature);
  write32(common_ + common::kDeviceFeatureSelect, 0);
  return high << 32 | read32(common_ + common::kDeviceFeature);
}

void VirtioDevice::write_features(std::uint64_t features) {
  write32(common_ + common::kDriverFeatureSelect, 0);
  write32(common_ + common::kDriverFeature, static_cast<std::uint32_t>(features));
  write32(common_ + common::kDriverFeatureSelect, 1);
  write32(common_ + common::kDriverFeature, static_cast<std::uint32_t>(features >> 32));
}

bool VirtioDevice::negotiate(std::uint64_t wanted) {
  reset();
  set_status(kAcknowledge);
  set_status(kAcknowledge | kDriver);
  negotiated_ = (wanted | kVersion1) & offered_features();
  write_features(negotiated_);
  set_status(kAcknowledge | kDriver | kFeaturesOk);
  return (status() & kFeaturesOk) != 0;
}

void VirtioDevice::select_queue(std::uint16_t index) {
  write16(common_ + common::kQueueSelect, index);
}
std::uint16_t VirtioDevice::queue_size() const {
  return read16(common_ + common::kQueueSize);
}

Queue& VirtioDevice::set_up_queue(std::uint16_t index, std::uint16_t size, std::uint16_t vector) {
  bool event_index = (negotiated_ & kEventIndex) != 0;
  select_queue(index);
  if (size > queue_size()) size = queue_size();
  Queue* queue;
  if (negotiated_ & kRingPacked)
    queue = new (allocate(sizeof(PackedQueue))) PackedQueue(size, event_index);
  else
    queue = new (allocate(sizeof(SplitQueue))) SplitQueue(size, event_index);
  write16(common_ + common::kQueueSize, size);
  write16(common_ + common::kQueueVector, vector);
  write_address(common_ + common::kQueueDescriptors, queue->descriptor_area());
  write_address(common_ + common::kQueueDriver, queue->driver_area());
  write_address(common_ + common::kQueueDevice, queue->device_area());
  write16(common_ + common::kQueueEnable, 1);
  return *queue;
}

void VirtioDevice::ring(std::uint16_t index) {
  write16(notify_address(index), index);
}

void VirtioDevice::notify(std::uint16_t index, Queue& queue) {
  if (queue.needs_notification()) ring(index);
}

std::uint16_t VirtioDevice::msix_entries() const {
  return static_cast<std::uint16_t>((function_->read16(static_cast<std::uint16_t>(msix_ + 2)) & 0x7ff) + 1);
}

void VirtioDevice::enable_msix() {
  function_->write16(static_cast<std::uint16_t>(msix_ + 2), 1 << 15);
}

void VirtioDevice::disable_msix() {
  function_->write16(static_cast<std::uint16_t>(msix_ + 2), 0);
}

void VirtioDevice::set_msix_entry(std::uint16_t index, std::uint8_t vector, bool masked) {
  std::uint64_t entry = msix_table_ + index * 16u;
  write32(entry + 12, 1);
  write32(entry, static_cast<std::uint32_t>(msi_address()));
  write32(entry + 4, 0);
  write32(entry + 8, msi_data(vector));
  write32(entry + 12, masked ? 1 : 0);
}

void VirtioDevice::set_function_mask(bool masked) {
  function_->write16(static_cast<std::uint16_t>(msix_ + 2),
                     static_cast<std::uint16_t>(1 << 15 | (masked ? 1 << 14 : 0)));
}

bool VirtioDevice::msix_pending(std::uint16_t index) const {
  return (read32(msix_pending_bits_ + index / 32 * 4u) >> index % 32 & 1) != 0;
}

std::optional<UsedElement> wait_used(Queue& queue, std::uint32_t milliseconds) {
  wait_until([&] { return queue.has_used(); }, milliseconds);
  return queue.take_used();
}

}  // namespace guest
