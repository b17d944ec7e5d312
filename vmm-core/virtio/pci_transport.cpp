#include "vmm-core/virtio/pci_transport.h"

#include <algorithm>
#include <cstring>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint16_t kVendor = 0x1af4;
constexpr std::uint16_t kModernDeviceBase = 0x1040;  // plus the device type (§4.1.2)
constexpr std::uint16_t kNoVector = 0xffff;

// Our BAR: one page for each structure, then MSI-X.
constexpr unsigned kBar = 0;
constexpr std::uint64_t kCommonOffset = 0x0000, kInterruptOffset = 0x1000, kDeviceOffset = 0x2000,
                        kNotifyOffset = 0x3000, kMsixTableOffset = 0x4000, kMsixPendingOffset = 0x6000,
                        kBarSize = 0x8000, kRegionSize = 0x1000;
constexpr std::uint32_t kNotifyMultiplier = 4;

// virtio_pci_cap (§4.1.4); the body begins behind its two header bytes.
enum StructureType : std::uint8_t { kCommon = 1, kNotify = 2, kInterrupt = 3, kDevice = 4, kPciAccess = 5 };
struct [[gnu::packed]] StructureCapability {
  std::uint8_t length = 0;
  std::uint8_t type = 0;
  std::uint8_t bar = kBar;
  std::uint8_t id = 0;
  std::uint8_t padding[2] = {};
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
};
static_assert(sizeof(StructureCapability) == 14);

// Offsets in the common configuration (§4.1.4.3).
enum CommonRegister : std::uint64_t {
  kDeviceFeatureSelect = 0x00,
  kDeviceFeature = 0x04,
  kDriverFeatureSelect = 0x08,
  kDriverFeature = 0x0c,
  kConfigurationVector = 0x10,
  kQueueCount = 0x12,
  kStatus = 0x14,
  kGeneration = 0x15,
  kQueueSelect = 0x16,
  kQueueSize = 0x18,
  kQueueVector = 0x1a,
  kQueueEnable = 0x1c,
  kQueueNotifyOffset = 0x1e,
  kQueueDescriptors = 0x20,
  kQueueDriver = 0x28,
  kQueueDevice = 0x30,
  kCommonSize = 0x38,
};

// Device status (§2.1).
constexpr std::uint8_t kDriverOk = 4, kFeaturesOk = 8, kNeedsReset = 64, kDriverBits = 0x8f;

// Interrupt status (§4.1.4.5).
constexpr std::uint8_t kQueueInterrupt = 1, kConfigurationInterrupt = 2;

std::uint32_t class_code_of(DeviceType type) noexcept {
  switch (type) {
    case DeviceType::net:
      return 0x020000;
    case DeviceType::block:
    case DeviceType::scsi:
      return 0x010000;
    case DeviceType::console:
      return 0x078000;
    case DeviceType::input:
      return 0x098000;
    case DeviceType::rng:
    case DeviceType::balloon:
    case DeviceType::vsock:
    case DeviceType::memory:
      return 0x00ff00;
  }
  return 0x00ff00;
}

pci::Identity identity_of(DeviceType type) {
  pci::Identity identity;
  identity.vendor = kVendor;
  identity.device = static_cast<std::uint16_t>(kModernDeviceBase + static_cast<std::uint16_t>(type));
  identity.revision = 1;
  identity.class_code = class_code_of(type);
  identity.subsystem_vendor = kVendor;
  identity.subsystem = 0x1100;
  return identity;
}

std::uint64_t little(std::span<const std::byte> data) noexcept {
  std::uint64_t value = 0;
  std::memcpy(&value, data.data(), std::min<std::size_t>(data.size(), sizeof(value)));
  return value;
}

}  // namespace

// VIRTIO_PCI_CAP_PCI_CFG (§4.1.4.9): reaches the BAR through configuration space.
class PciTransport::ConfigurationAccess final : public IoHandler {
 public:
  // Offsets in the capability.
  static constexpr std::uint64_t kBarField = 4, kOffsetField = 8, kLengthField = 12, kDataField = 16;

  explicit ConfigurationAccess(IoHandler& bar) : bar_(bar) {}

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
    std::uint32_t length = 0;
    if (offset != kDataField || !window(length) || data.size() < length) return;
    bar_.read(offset_, data.first(length));
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
    for (const auto byte : data) {
      const std::uint64_t at = offset++;
      if (at == kBarField) selected_bar_ = std::to_integer<std::uint8_t>(byte);
      put(offset_, at, kOffsetField, byte);
      put(length_, at, kLengthField, byte);
    }
    const std::uint64_t first = offset - data.size();
    std::uint32_t length = 0;
    if (first == kDataField && window(length) && data.size() >= length)
      bar_.write(offset_, data.first(length));
  }

 private:
  static void put(std::uint32_t& field, std::uint64_t at, std::uint64_t start, std::byte byte) noexcept {
    if (at < start || at >= start + 4) return;
    const unsigned shift = static_cast<unsigned>(8 * (at - start));
    field = (field & ~(0xffu << shift)) | (std::to_integer<std::uint32_t>(byte) << shift);
  }
  // Whether the window is one that a driver may set up.
  bool window(std::uint32_t& length) const noexcept {
    length = length_;
    return selected_bar_ == kBar && (length_ == 1 || length_ == 2 || length_ == 4) &&
           offset_ % length_ == 0 && offset_ < kBarSize;
  }

  IoHandler& bar_;
  std::uint8_t selected_bar_ = 0;
  std::uint32_t offset_ = 0;
  std::uint32_t length_ = 0;
};

PciTransport::PciTransport(std::string name, std::unique_ptr<Device> device, pci::Place place,
                           const Surroundings& surroundings)
    : pci::Function(std::move(name), identity_of(device->type()), std::move(place)),
      device_(std::move(device)),
      surroundings_(surroundings),
      registers_(device_->queue_count()),
      doorbells_(device_->queue_count()),
      queue_vectors_(device_->queue_count()) {
  for (std::uint16_t i = 0; i < device_->queue_count(); ++i) {
    queues_.push_back(std::make_unique<Queue>(surroundings_.memory));
    queue_pointers_.push_back(queues_.back().get());
    bells_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bells_.back()) throw_errno(this->name() + ": doorbell");
    bell_descriptors_.push_back(bells_.back().get());
    registers_[i].size = device_->queue_size();
    queue_vectors_[i] = kNoVector;
  }
  add_bar(
      {.index = kBar, .kind = pci::BarKind::memory32, .size = kBarSize, .handler = this, .listener = this});
  add_capabilities();
  // A vector for each queue and one for the configuration.
  add_msix(surroundings_.msi, static_cast<std::uint16_t>(device_->queue_count() + 1), kBar, kMsixTableOffset,
           kMsixPendingOffset);
  use_interrupt_pin();
}

PciTransport::~PciTransport() {
  device_->deactivate();
}

void PciTransport::add_capabilities() {
  const auto add = [this](StructureType type, std::uint64_t offset, std::uint64_t size) {
    StructureCapability body;
    body.length = sizeof(body) + 2;
    body.type = type;
    body.offset = static_cast<std::uint32_t>(offset);
    body.size = static_cast<std::uint32_t>(size);
    add_capability(pci::kCapabilityVendor, std::as_bytes(std::span(&body, 1)));
  };
  add(kCommon, kCommonOffset, kCommonSize);
  add(kInterrupt, kInterruptOffset, 1);
  add(kDevice, kDeviceOffset, kRegionSize);

  struct [[gnu::packed]] {
    StructureCapability structure;
    std::uint32_t multiplier = kNotifyMultiplier;
  } notify;
  notify.structure.length = sizeof(notify) + 2;
  notify.structure.type = kNotify;
  notify.structure.offset = static_cast<std::uint32_t>(kNotifyOffset);
  notify.structure.size = kNotifyMultiplier * device_->queue_count();
  add_capability(pci::kCapabilityVendor, std::as_bytes(std::span(&notify, 1)));

  struct [[gnu::packed]] {
    StructureCapability structure;
    std::uint32_t data = 0;
  } access, writable;
  access.structure.length = sizeof(access) + 2;
  access.structure.type = kPciAccess;
  writable.structure = {
      .length = 0, .type = 0, .bar = 0xff, .id = 0, .padding = {}, .offset = ~0u, .size = ~0u};
  writable.data = ~0u;
  configuration_access_ = std::make_unique<ConfigurationAccess>(static_cast<IoHandler&>(*this));
  add_capability(pci::kCapabilityVendor, std::as_bytes(std::span(&access, 1)),
                 std::as_bytes(std::span(&writable, 1)), *configuration_access_);
}

std::uint64_t PciTransport::offered_features() const noexcept {
  return device_->features() | kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex |
         (device_->offers_packed() ? kFeaturePacked : 0);
}

// --- The BAR
// ----------------------------------------------------------------------------------------------------

void PciTransport::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  if (offset >= kMsixPendingOffset) return read_pending(offset - kMsixPendingOffset, data);
  if (offset >= kMsixTableOffset) return read_table(offset - kMsixTableOffset, data);
  std::ranges::fill(data, std::byte{0});
  if (offset >= kNotifyOffset) return;
  if (offset >= kDeviceOffset) return device_->read_configuration(offset - kDeviceOffset, data);
  if (offset >= kInterruptOffset) {
    if (offset != kInterruptOffset) return;
    // Reading takes the interrupt back (§4.1.4.5.1).
    data[0] = static_cast<std::byte>(interrupt_status_.exchange(0, std::memory_order_acq_rel));
    set_interrupt(false);
    return;
  }
  const std::lock_guard lock(mutex_);
  read_common(offset, data);
}

void PciTransport::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  if (offset >= kMsixPendingOffset) return;
  if (offset >= kMsixTableOffset) return write_table(offset - kMsixTableOffset, data);
  if (offset >= kNotifyOffset) return ring((offset - kNotifyOffset) / kNotifyMultiplier);
  if (offset >= kDeviceOffset) return device_->write_configuration(offset - kDeviceOffset, data);
  if (offset >= kInterruptOffset) return;
  const std::lock_guard lock(mutex_);
  write_common(offset, data);
}

// The kernel takes rings of a mapped BAR; what arrives here came another way, or before the BAR was mapped.
void PciTransport::ring(std::uint64_t queue) noexcept {
  if (queue >= bells_.size()) return;
  // A full counter has rung already. Who serves the queue may be another program, which has the same open
  // file and may have made it one that waits; so it is not written to when it would.
  //
  // DEVNOTE: that program may yet fill it in between. Nothing writes an eventfd without the wait but its
  // flag.
  pollfd bell{.fd = bells_[queue].get(), .events = POLLOUT, .revents = 0};
  if (::poll(&bell, 1, 0) != 1 || (bell.revents & POLLOUT) == 0) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(bells_[queue].get(), &one, sizeof(one));
}

void PciTransport::bar_mapped(unsigned, GuestAddress address) noexcept {
  for (std::size_t i = 0; i < bells_.size(); ++i) {
    try {
      doorbells_[i] = surroundings_.doorbells.add_mmio(
          GuestAddress{address.value + kNotifyOffset + i * kNotifyMultiplier}, 0, std::nullopt,
          bells_[i].get());
    } catch (const Error&) {
      doorbells_[i] = nullptr;  // the slow way works too: see ring()
    }
  }
}

void PciTransport::bar_unmapped(unsigned) noexcept {
  for (auto& doorbell : doorbells_) doorbell = nullptr;
}

// --- Common configuration (§4.1.4.3)
// ------------------------------------------------------------------------------

void PciTransport::read_common(std::uint64_t offset, std::span<std::byte> data) noexcept {
  std::array<std::byte, kCommonSize> image{};
  const auto put = [&image](std::uint64_t at, auto value) {
    std::memcpy(image.data() + at, &value, sizeof(value));
  };
  put(kDeviceFeatureSelect, device_feature_select_);
  const auto half = [](std::uint64_t features, std::uint32_t select) {
    return select < 2 ? static_cast<std::uint32_t>(features >> (32 * select)) : 0u;
  };
  put(kDeviceFeature, half(offered_features(), device_feature_select_));
  put(kDriverFeatureSelect, driver_feature_select_);
  put(kDriverFeature, half(driver_features_, driver_feature_select_));
  put(kConfigurationVector, configuration_vector_.load(std::memory_order_relaxed));
  put(kQueueCount, device_->queue_count());
  put(kStatus, status_.load(std::memory_order_acquire));
  put(kGeneration, configuration_generation_.load(std::memory_order_acquire));
  put(kQueueSelect, queue_select_);
  if (queue_select_ < registers_.size()) {
    const QueueRegisters& queue = registers_[queue_select_];
    put(kQueueSize, queue.size);
    put(kQueueVector, queue_vectors_[queue_select_].load(std::memory_order_relaxed));
    put(kQueueEnable, static_cast<std::uint16_t>(queue.enabled ? 1 : 0));
    put(kQueueNotifyOffset, queue_select_);
    put(kQueueDescriptors, queue.descriptors);
    put(kQueueDriver, queue.driver);
    put(kQueueDevice, queue.device);
  } else {
    put(kQueueVector, kNoVector);  // and size 0: no such queue (§4.1.4.3.1)
  }
  read_bytes(image, offset, data);
}

void PciTransport::write_common(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  const std::uint64_t value = little(data);
  const std::size_t size = data.size();
  // Registers take accesses of their own width only (§4.1.3.1).
  if (offset == kDeviceFeatureSelect && size == 4) {
    device_feature_select_ = static_cast<std::uint32_t>(value);
  } else if (offset == kDriverFeatureSelect && size == 4) {
    driver_feature_select_ = static_cast<std::uint32_t>(value);
  } else if (offset == kDriverFeature && size == 4) {
    // Settled once FEATURES_OK is set (§3.1.1).
    if (driver_feature_select_ > 1 || (status_.load(std::memory_order_relaxed) & kFeaturesOk) != 0) return;
    const unsigned shift = 32 * driver_feature_select_;
    driver_features_ = (driver_features_ & ~(std::uint64_t{0xffffffff} << shift)) | (value << shift);
  } else if (offset == kConfigurationVector && size == 2) {
    configuration_vector_.store(checked_vector(value), std::memory_order_relaxed);
  } else if (offset == kStatus && size == 1) {
    write_status(static_cast<std::uint8_t>(value));
  } else if (offset == kQueueSelect && size == 2) {
    queue_select_ = static_cast<std::uint16_t>(value);
  } else {
    write_queue_register(offset, value, size);
  }
}

// A vector that does not exist reads back as none (§4.1.5.1.2.1).
std::uint16_t PciTransport::checked_vector(std::uint64_t value) noexcept {
  return value < msix().vectors() ? static_cast<std::uint16_t>(value) : kNoVector;
}

void PciTransport::write_queue_register(std::uint64_t offset, std::uint64_t value,
                                        std::size_t size) noexcept {
  if (queue_select_ >= registers_.size()) return;
  QueueRegisters& queue = registers_[queue_select_];
  if (offset == kQueueVector && size == 2) {
    queue_vectors_[queue_select_].store(checked_vector(value), std::memory_order_relaxed);
    return;
  }
  // Nothing of a live queue changes (§4.1.4.3.2).
  if (queue.enabled) return;
  const auto put_address = [&](std::uint64_t start, std::uint64_t& field) {
    if (offset == start && size == 8) {
      field = value;
    } else if (offset == start && size == 4) {
      field = (field & ~std::uint64_t{0xffffffff}) | value;
    } else if (offset == start + 4 && size == 4) {
      field = (field & 0xffffffff) | (value << 32);
    }
  };
  put_address(kQueueDescriptors, queue.descriptors);
  put_address(kQueueDriver, queue.driver);
  put_address(kQueueDevice, queue.device);
  if (offset == kQueueSize && size == 2) {
    if (value != 0 && value <= device_->queue_size()) queue.size = static_cast<std::uint16_t>(value);
  } else if (offset == kQueueEnable && size == 2 && value == 1) {
    queue.enabled = true;
  }
}

bool PciTransport::features_acceptable() const noexcept {
  // Nothing that was not offered, and VERSION_1: there is no legacy interface (§2.2, §6.2).
  return (driver_features_ & ~offered_features()) == 0 && (driver_features_ & kFeatureVersion1) != 0;
}

void PciTransport::write_status(std::uint8_t status) noexcept {
  if (status == 0) return reset_device();
  const std::uint8_t before = status_.load(std::memory_order_relaxed);
  // Bits are added, never taken back, but by a reset (§2.1.1).
  auto added = static_cast<std::uint8_t>(status & kDriverBits & ~before);
  if ((added & kFeaturesOk) != 0 && !features_acceptable()) added &= static_cast<std::uint8_t>(~kFeaturesOk);
  if (((before | added) & kFeaturesOk) == 0) added &= static_cast<std::uint8_t>(~kDriverOk);
  // The device may ask for a reset at any time: its bit is not to be lost.
  status_.fetch_or(added, std::memory_order_acq_rel);
  if ((added & kDriverOk) != 0) activate();
}

void PciTransport::activate() noexcept {
  bool sound = true;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    const QueueRegisters& queue = registers_[i];
    if (!queue.enabled) continue;
    QueueConfiguration configuration;
    configuration.size = queue.size;
    configuration.descriptors = {queue.descriptors};
    configuration.driver = {queue.driver};
    configuration.device = {queue.device};
    configuration.packed = (driver_features_ & kFeaturePacked) != 0;
    configuration.indirect = (driver_features_ & kFeatureIndirect) != 0;
    configuration.event_index = (driver_features_ & kFeatureEventIndex) != 0;
    sound = queues_[i]->activate(configuration) && sound;
  }
  // Rings outside RAM: damage that only a reset mends.
  if (!sound) request_reset();
  try {
    device_->activate({driver_features_, queue_pointers_, bell_descriptors_, this});
    active_ = true;
  } catch (const std::exception&) {
    request_reset();  // the host has no memory left for it
  }
}

void PciTransport::reset_device() noexcept {
  device_->deactivate();
  active_ = false;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    queues_[i]->deactivate();
    registers_[i] = {};
    registers_[i].size = device_->queue_size();
    queue_vectors_[i].store(kNoVector, std::memory_order_relaxed);
  }
  device_feature_select_ = driver_feature_select_ = 0;
  driver_features_ = 0;
  queue_select_ = 0;
  configuration_vector_.store(kNoVector, std::memory_order_relaxed);
  interrupt_status_.store(0, std::memory_order_release);
  status_.store(0, std::memory_order_release);
  set_interrupt(false);
}

// --- Interrupts (§4.1.5)
// ------------------------------------------------------------------------------------------

void PciTransport::raise(std::uint16_t vector, std::uint8_t reason) noexcept {
  if (has_msix() && msix().enabled()) {
    if (vector != kNoVector) msix().signal(vector);
    return;
  }
  interrupt_status_.fetch_or(reason, std::memory_order_acq_rel);
  set_interrupt(true);
}

void PciTransport::signal_queue(std::uint16_t queue) noexcept {
  raise(queue_vectors_[queue].load(std::memory_order_relaxed), kQueueInterrupt);
}

void PciTransport::signal_configuration() noexcept {
  configuration_generation_.fetch_add(1, std::memory_order_acq_rel);
  if ((status_.load(std::memory_order_acquire) & kDriverOk) == 0) return;
  raise(configuration_vector_.load(std::memory_order_relaxed), kConfigurationInterrupt);
}

void PciTransport::request_reset() noexcept {
  const std::uint8_t before = status_.fetch_or(kNeedsReset, std::memory_order_acq_rel);
  if ((before & kNeedsReset) == 0 && (before & kDriverOk) != 0) {
    raise(configuration_vector_.load(std::memory_order_relaxed), kConfigurationInterrupt);
  }
}

void PciTransport::read_table(std::uint64_t offset, std::span<std::byte> data) noexcept {
  std::ranges::fill(data, std::byte{0});
  if (offset < msix().table_size() && data.size() <= msix().table_size() - offset)
    msix().table().read(offset, data);
}

void PciTransport::write_table(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  if (offset < msix().table_size() && data.size() <= msix().table_size() - offset)
    msix().table().write(offset, data);
}

void PciTransport::read_pending(std::uint64_t offset, std::span<std::byte> data) noexcept {
  std::ranges::fill(data, std::byte{0});
  if (offset < msix().pending_size() && data.size() <= msix().pending_size() - offset) {
    msix().pending_bits().read(offset, data);
  }
}

// --- State
// --------------------------------------------------------------------------------------------------------

void PciTransport::reset() {
  {
    const std::lock_guard lock(mutex_);
    reset_device();
  }
  pci::Function::reset();
}

PciTransportState PciTransport::save() const {
  PciTransportState state;
  // Before our lock: the function's is the outer one, since capability accesses come with it held.
  state.function = save_function();
  const std::lock_guard lock(mutex_);
  state.status = status_.load();
  state.device_feature_select = device_feature_select_;
  state.driver_feature_select = driver_feature_select_;
  state.driver_features = driver_features_;
  state.configuration_vector = configuration_vector_.load();
  state.queue_select = queue_select_;
  state.interrupt_status = interrupt_status_.load();
  state.configuration_generation = configuration_generation_.load();
  state.queues = registers_;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    state.queues[i].vector = queue_vectors_[i].load();
    state.positions.push_back(queues_[i]->position());
  }
  return state;
}

void PciTransport::restore(const PciTransportState& state) {
  if (state.queues.size() != queues_.size() || state.positions.size() != queues_.size()) {
    throw Error(std::errc::invalid_argument, name() + ": saved state has another number of queues");
  }
  if ((state.driver_features & ~offered_features()) != 0) {
    throw Error(std::errc::invalid_argument, name() + ": saved state has features that are not offered here");
  }
  {
    const std::lock_guard lock(mutex_);
    reset_device();
  }
  restore_function(state.function);
  const std::lock_guard lock(mutex_);
  device_feature_select_ = state.device_feature_select;
  driver_feature_select_ = state.driver_feature_select;
  driver_features_ = state.driver_features;
  configuration_vector_.store(checked_vector(state.configuration_vector));
  queue_select_ = state.queue_select;
  interrupt_status_.store(state.interrupt_status);
  configuration_generation_.store(state.configuration_generation);
  registers_ = state.queues;
  for (std::size_t i = 0; i < queues_.size(); ++i)
    queue_vectors_[i].store(checked_vector(state.queues[i].vector));
  status_.store(state.status);
  if ((state.status & kDriverOk) == 0) return;
  activate();
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    // Once more, at the place where the saved queue was; the device is paused and has not looked at it yet.
    if (queues_[i]->active() && !queues_[i]->activate(queues_[i]->configuration(), state.positions[i]))
      request_reset();
  }
}

void PciTransport::inspect(InspectNode& node) const {
  pci::Function::inspect(node.child("pci"));
  {
    const std::lock_guard lock(mutex_);
    node.add("status", std::uint64_t{status_.load()});
    node.add("driver_features", driver_features_);
    node.add("configuration_vector", std::uint64_t{configuration_vector_.load()});
    node.add("interrupt_status", std::uint64_t{interrupt_status_.load()});
    device_->inspect(node.child("device"));
  }
}

}  // namespace warren::vmm::virtio
