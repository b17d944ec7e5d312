#include "vmm-core/pci/function.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm-core/os/error.h"

namespace warren::vmm::pci {
namespace {

constexpr std::uint16_t kMsixControl = 2;  // offset in the capability
constexpr std::uint16_t kMsixEnable = 1 << 15;
constexpr std::uint16_t kMsixFunctionMask = 1 << 14;
constexpr std::uint16_t kMsiControl = 2, kMsiAddress = 4, kMsiData = 12;  // offsets in the capability
constexpr std::uint16_t kMsiEnable = 1 << 0, kMsi64Bit = 1 << 7;
constexpr std::uint16_t kMsiBytes = 14;
constexpr std::uint16_t kWritableCommand = kCommandIo | kCommandMemory | kCommandBusMaster | kCommandParity |
                                           kCommandSystemError | kCommandInterruptDisable;

bool touches(std::uint16_t offset, std::size_t size, std::uint16_t first, std::size_t length) noexcept {
  return offset < first + length && first < offset + size;
}

template <typename T>
void append(std::vector<std::byte>& bytes, T value) {
  const auto raw = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

}  // namespace

// A BAR that holds nothing but the table, from its start, and the pending bits, from its middle.
class Function::MsixBar final : public IoHandler {
 public:
  explicit MsixBar(Msix& msix)
      : msix_(msix),
        size_(std::max<std::uint64_t>(4096,
                                      2 * std::bit_ceil(std::max(msix.table_size(), msix.pending_size())))) {}

  std::uint64_t size() const noexcept { return size_; }
  std::uint32_t pending_offset() const noexcept { return static_cast<std::uint32_t>(size_ / 2); }

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
    const std::uint64_t half = size_ / 2;
    if (offset + data.size() <= msix_.table_size()) {
      msix_.table().read(offset, data);
    } else if (offset >= half && offset - half + data.size() <= msix_.pending_size()) {
      msix_.pending_bits().read(offset - half, data);
    } else {
      std::ranges::fill(data, std::byte{0});
    }
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
    if (offset + data.size() <= msix_.table_size()) msix_.table().write(offset, data);
  }

 private:
  Msix& msix_;
  const std::uint64_t size_;
};

Function::Function(std::string name, const Identity& identity, Place place)
    : name_(std::move(name)),
      bars_(place.memory, place.ports),
      express_(place.express || identity.bridge),
      bars_end_(identity.bridge ? kPrimaryBus : kBar0 + 4 * kBars),
      pin_(std::move(place.interrupt_pin)) {
  configuration_.set16(kVendorId, identity.vendor);
  configuration_.set16(kDeviceId, identity.device);
  configuration_.set8(kRevisionId, identity.revision);
  configuration_.set8(kClassCode, static_cast<std::uint8_t>(identity.class_code));
  configuration_.set16(kClassCode + 1, static_cast<std::uint16_t>(identity.class_code >> 8));
  configuration_.set_writable16(kCommand, kWritableCommand);
  configuration_.set_writable8(kCacheLineSize, 0xff);
  configuration_.set_writable8(kInterruptLine, 0xff);
  if (identity.bridge) {
    configuration_.set8(kHeaderType, kHeaderTypeBridge);
  } else {
    configuration_.set16(kSubsystemVendorId, identity.subsystem_vendor);
    configuration_.set16(kSubsystemId, identity.subsystem);
    if (express_) add_express_capability(ExpressType::endpoint, 0);
  }
  configuration_.set_defaults();
}

// Mappings go with the BARs. Listeners are not told: they are parts of the device, which is gone already.
Function::~Function() = default;

void Function::add_bar(const BarDescription& description) {
  const std::lock_guard lock(mutex_);
  if (kBar0 + 4 * description.index >= bars_end_) {
    throw Error(std::errc::invalid_argument,
                name_ + ": a bridge has no BAR " + std::to_string(description.index));
  }
  bars_.add(description);
}

std::uint8_t Function::add_capability(std::uint8_t id, std::span<const std::byte> body,
                                      std::span<const std::byte> writable) {
  const std::lock_guard lock(mutex_);
  const std::uint8_t offset = configuration_.add_capability(id, body.size() + 2);
  for (std::size_t i = 0; i < body.size(); ++i) {
    const auto at = static_cast<std::uint16_t>(offset + 2 + i);
    configuration_.set8(at, std::to_integer<std::uint8_t>(body[i]));
    if (i < writable.size()) configuration_.set_writable8(at, std::to_integer<std::uint8_t>(writable[i]));
  }
  configuration_.set_defaults();
  return offset;
}

std::uint8_t Function::add_capability(std::uint8_t id, std::span<const std::byte> body,
                                      std::span<const std::byte> writable, IoHandler& handler) {
  const std::uint8_t offset = add_capability(id, body, writable);
  capability_handlers_.push_back({offset, static_cast<std::uint8_t>(body.size() + 2), 2, &handler});
  return offset;
}

void Function::add_registers(std::uint16_t offset, std::uint8_t size, IoHandler& handler) {
  capability_handlers_.push_back({static_cast<std::uint8_t>(offset), size, 0, &handler});
}

std::uint8_t Function::add_express_capability(ExpressType type, std::uint8_t port_number,
                                              IoHandler* handler) {
  constexpr std::uint32_t kRoleBasedErrors = 1 << 15;
  constexpr std::uint32_t kLink = 1 | 1 << 4;  // 2.5 GT/s, one lane
  std::vector<std::byte> body;
  std::vector<std::byte> writable;
  const auto add16 = [&](std::uint16_t value, std::uint16_t mask) {
    append(body, value);
    append(writable, mask);
  };
  const auto add32 = [&](std::uint32_t value) {
    append(body, value);
    append(writable, std::uint32_t{0});
  };
  add16(static_cast<std::uint16_t>(2 | static_cast<unsigned>(type) << 4), 0);
  add32(kRoleBasedErrors);
  add16(0, 0x7fff & ~0x0700U);  // device control: all but the phantom and extended tag bits it lacks
  add16(0, 0);
  add32(kLink | std::uint32_t{port_number} << 24);
  add16(0, 0x00c3);  // link control: ASPM, common clock and extended synch
  add16(kLink | (type == ExpressType::root_port ? 1 << 13 : 0), 0);  // link status, data link active
  add32(0);                                                          // slot: none
  add16(0, 0);
  add16(0, 0);
  add16(0, 0);  // root control and capabilities
  add16(0, 0);
  add32(0);
  add32(0);  // device capabilities 2
  add16(0, 0);
  add16(0, 0);
  add32(1 << 1);  // link capabilities 2: 2.5 GT/s
  add16(1, 0);
  add16(0, 0);
  add32(0);  // slot 2
  add16(0, 0);
  add16(0, 0);
  return handler != nullptr ? add_capability(kCapabilityExpress, body, writable, *handler)
                            : add_capability(kCapabilityExpress, body, writable);
}

void Function::add_msix(MsiRouter& router, std::uint16_t vectors, unsigned bar, std::uint32_t table_offset,
                        std::uint32_t pending_offset) {
  if (!msix_) msix_ = std::make_unique<Msix>(router, vectors);
  std::vector<std::byte> body;
  append(body, static_cast<std::uint16_t>(vectors - 1));
  append(body, static_cast<std::uint32_t>(table_offset | bar));
  append(body, static_cast<std::uint32_t>(pending_offset | bar));
  std::vector<std::byte> writable(body.size());
  writable[1] = static_cast<std::byte>((kMsixEnable | kMsixFunctionMask) >> 8);
  msix_capability_ = add_capability(kCapabilityMsix, body, writable);
}

void Function::add_msix_with_bar(MsiRouter& router, std::uint16_t vectors, unsigned bar) {
  msix_ = std::make_unique<Msix>(router, vectors);
  msix_bar_ = std::make_unique<MsixBar>(*msix_);
  add_bar({.index = bar, .kind = BarKind::memory32, .size = msix_bar_->size(), .handler = msix_bar_.get()});
  add_msix(router, vectors, bar, 0, msix_bar_->pending_offset());
}

void Function::add_msi(MsiRouter& router) {
  std::vector<std::byte> body;
  append(body, kMsi64Bit);
  append(body, std::uint64_t{0});
  append(body, std::uint16_t{0});
  std::vector<std::byte> writable;
  append(writable, kMsiEnable);
  append(writable, ~std::uint64_t{3});
  append(writable, std::uint16_t{0xffff});
  msi_route_ = router.allocate();
  msi_capability_ = add_capability(kCapabilityMsi, body, writable);
}

// Brings the route in line with the capability. Lock held.
void Function::update_msi() noexcept {
  if (!msi_route_) return;
  const auto at = [this](std::uint16_t offset) {
    return static_cast<std::uint16_t>(msi_capability_ + offset);
  };
  bool enabled = (configuration_.get16(at(kMsiControl)) & kMsiEnable) != 0;
  if (enabled) {
    const std::uint64_t high = configuration_.get32(at(kMsiAddress + 4));
    enabled = msi_route_->set_message({.address = high << 32 | configuration_.get32(at(kMsiAddress)),
                                       .data = configuration_.get16(at(kMsiData))});
  }
  msi_enabled_.store(enabled, std::memory_order_release);
}

bool Function::signal_msi() noexcept {
  if (!msi_enabled_.load(std::memory_order_acquire)) return false;
  msi_route_->signal();
  return true;
}

void Function::use_interrupt_pin() {
  const std::lock_guard lock(mutex_);
  configuration_.set8(kInterruptPin, 1);
  configuration_.set_defaults();
}

void Function::set_multifunction() {
  const std::lock_guard lock(mutex_);
  configuration_.set8(kHeaderType,
                      static_cast<std::uint8_t>(configuration_.get8(kHeaderType) | kHeaderTypeMultifunction));
  configuration_.set_defaults();
}

void Function::set_interrupt_line_register(std::uint8_t line) {
  const std::lock_guard lock(mutex_);
  configuration_.set8(kInterruptLine, line);
}

bool Function::is_bar_register(std::uint16_t offset) const noexcept {
  return offset >= kBar0 && offset < bars_end_;
}

const Function::CapabilityHandler* Function::capability_handler(std::uint16_t offset) const noexcept {
  for (const auto& handler : capability_handlers_) {
    if (offset >= handler.offset && offset < handler.offset + handler.size) return &handler;
  }
  return nullptr;
}

void Function::config_read(std::uint16_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  if (offset >= kConventionalSize) {
    // No extended capabilities: a zero header where the list would begin (PCIe 5.0 §7.6.2). A conventional
    // function has no such space at all.
    std::ranges::fill(data, express_ ? std::byte{0} : std::byte{0xff});
    return;
  }
  if (is_bar_register(offset)) {
    const std::uint32_t value = bars_.read((offset - kBar0) / 4U);
    std::memcpy(data.data(), std::as_bytes(std::span(&value, 1)).data() + offset % 4, data.size());
    return;
  }
  configuration_.read(offset, data);
  if (touches(offset, data.size(), kStatus, 1)) {
    const std::lock_guard pin_lock(pin_mutex_);
    if (interrupt_asserted_) data[static_cast<std::size_t>(kStatus - offset)] |= std::byte{kStatusInterrupt};
  }
  if (const auto* handler = capability_handler(offset)) {
    const std::size_t header =
        offset < handler->offset + handler->header ? handler->offset + 0U + handler->header - offset : 0;
    if (header < data.size()) {
      handler->handler->read(offset + header - handler->offset, data.subspan(header));
    }
  }
}

void Function::write_bar_register(std::uint16_t offset, std::span<const std::byte> data) noexcept {
  const unsigned index = (offset - kBar0) / 4U;
  std::uint32_t value = bars_.read(index);
  std::memcpy(std::as_writable_bytes(std::span(&value, 1)).data() + offset % 4, data.data(), data.size());
  bars_.write(index, value);
  update_decoding();
}

void Function::config_write(std::uint16_t offset, std::span<const std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  if (offset >= kConventionalSize) return;
  if (is_bar_register(offset)) {
    write_bar_register(offset, data);
    return;
  }
  configuration_.write(offset, data);
  if (touches(offset, data.size(), kCommand, 2)) command_changed();
  if (msix_ && touches(offset, data.size(), static_cast<std::uint16_t>(msix_capability_ + kMsixControl), 2)) {
    const std::uint16_t control =
        configuration_.get16(static_cast<std::uint16_t>(msix_capability_ + kMsixControl));
    msix_->set_control((control & kMsixEnable) != 0, (control & kMsixFunctionMask) != 0);
  }
  if (msi_route_ && touches(offset, data.size(), msi_capability_, kMsiBytes)) update_msi();
  write_capability(capability_handler(offset), offset, data);
}

void Function::write_capability(const CapabilityHandler* handler, std::uint16_t offset,
                                std::span<const std::byte> data) noexcept {
  if (handler == nullptr) return;
  const std::size_t header =
      offset < handler->offset + handler->header ? handler->offset + 0U + handler->header - offset : 0;
  if (header < data.size()) {
    handler->handler->write(offset + header - handler->offset, data.subspan(header));
  }
}

void Function::command_changed() noexcept {
  const std::uint16_t command = configuration_.get16(kCommand);
  bus_master_.store((command & kCommandBusMaster) != 0, std::memory_order_release);
  set_pin_disabled((command & kCommandInterruptDisable) != 0);
  update_decoding();
}

void Function::update_decoding() noexcept {
  const std::uint16_t command = configuration_.get16(kCommand);
  try {
    bars_.update((command & kCommandMemory) != 0, (command & kCommandIo) != 0, name_);
  } catch (const std::exception&) {
    // Out of memory: what is not mapped stays so, and is tried again like a BAR that something was in the way
    // of.
    refused_.store(true, std::memory_order_relaxed);
    return;
  }
  refused_.store(bars_.is_refused(), std::memory_order_relaxed);
}

void Function::set_interrupt(bool asserted) noexcept {
  const std::lock_guard lock(pin_mutex_);
  interrupt_asserted_ = asserted;
  drive_pin();
}

void Function::set_pin_disabled(bool disabled) noexcept {
  const std::lock_guard lock(pin_mutex_);
  interrupt_disabled_ = disabled;
  drive_pin();
}

void Function::drive_pin() noexcept {
  if (pin_) pin_->set(interrupt_asserted_ && !interrupt_disabled_);
}

std::optional<GuestAddress> Function::bar_address(unsigned index) const {
  const std::lock_guard lock(mutex_);
  return bars_.mapped_at(index);
}

void Function::reset() {
  const std::lock_guard lock(mutex_);
  bars_.reset();
  configuration_.reset();
  if (msix_) msix_->reset();
  update_msi();
  {
    const std::lock_guard pin_lock(pin_mutex_);
    interrupt_asserted_ = false;
  }
  command_changed();
}

FunctionState Function::save_function() const {
  const std::lock_guard lock(mutex_);
  FunctionState state{.configuration = configuration_.bytes()};
  for (unsigned i = 0; i < kBars; ++i) state.bar_addresses[i] = bars_.address(i);
  {
    const std::lock_guard pin_lock(pin_mutex_);
    state.interrupt_asserted = interrupt_asserted_;
  }
  if (msix_) state.msix = msix_->save();
  return state;
}

void Function::restore_function(const FunctionState& state) {
  const std::lock_guard lock(mutex_);
  if (state.version != 1 || state.msix.has_value() != (msix_ != nullptr)) {
    throw Error(std::errc::invalid_argument, name_ + ": the saved PCI state is of another device or version");
  }
  if (msix_) msix_->restore(*state.msix);  // throws before anything has changed
  configuration_.restore(state.configuration);
  bars_.unmap_all();
  for (unsigned i = 0; i < kBars; ++i) bars_.set_address(i, state.bar_addresses[i]);
  {
    const std::lock_guard pin_lock(pin_mutex_);
    interrupt_asserted_ = state.interrupt_asserted;
  }
  update_msi();
  command_changed();
}

void Function::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("vendor", std::uint32_t{configuration_.get16(kVendorId)});
  node.add("device", std::uint32_t{configuration_.get16(kDeviceId)});
  node.add("command", std::uint32_t{configuration_.get16(kCommand)});
  bars_.inspect(node);
  if (msix_) msix_->inspect(node.child("msix"));
  if (msi_route_) node.add("msi_enabled", msi_enabled_.load());
}

std::vector<BarDescription> Function::bars() const {
  const std::lock_guard lock(mutex_);
  std::vector<BarDescription> bars;
  for (unsigned i = 0; i < kBars; ++i) {
    if (const auto* description = bars_.description(i)) bars.push_back(*description);
  }
  return bars;
}

void Function::place_bar(unsigned index, std::uint64_t address) {
  const std::lock_guard lock(mutex_);
  bars_.set_address(index, address);
  update_decoding();
}

void Function::enable_decoding() {
  const std::lock_guard lock(mutex_);
  configuration_.set16(
      kCommand, static_cast<std::uint16_t>(configuration_.get16(kCommand) | kCommandIo | kCommandMemory));
  command_changed();
}

void Function::retry_refused_bars() {
  const std::lock_guard lock(mutex_);
  update_decoding();
}

}  // namespace warren::vmm::pci
