#include "vmm-core/vfio/assigned_device.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include <linux/vfio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::vfio {
namespace {

using namespace pci;

constexpr std::uint16_t kControl = 2;  // of the MSI and MSI-X capabilities
constexpr std::uint16_t kMsiEnable = 1 << 0;
constexpr std::uint16_t kMsixEnable = 1 << 15, kMsixFunctionMask = 1 << 14;
// So many vectors are asked for at once; one beyond them costs asking anew.
constexpr std::size_t kVectorsAtOnce = 64;

// From the device's bytes, as pci::Function wants to have them; load_configuration() says the rest.
Identity identity_of(const ConfigurationView& view) {
  const auto two = [&](std::uint16_t offset) {
    return static_cast<std::uint16_t>(view.value(offset) | view.value(static_cast<std::uint16_t>(offset + 1))
                                                               << 8);
  };
  return {.vendor = two(kVendorId),
          .device = two(kDeviceId),
          .revision = view.value(kRevisionId),
          .class_code = static_cast<std::uint32_t>(view.value(kClassCode) | two(kClassCode + 1) << 8),
          .subsystem_vendor = two(kSubsystemVendorId),
          .subsystem = two(kSubsystemId)};
}

// The device has its own PCI Express capability.
Place without_capability(Place place) {
  place.express = false;
  place.interrupt_pin = nullptr;
  place.external_pin = nullptr;
  return place;
}

bool touches(std::uint16_t offset, std::size_t size, std::size_t first, std::size_t length) noexcept {
  return offset < first + length && first < offset + size;
}

std::size_t vectors_of(const ConfigurationView& view) {
  std::size_t vectors = 0;
  if (view.msi()) vectors = view.msi()->vectors;
  if (view.msix()) vectors = std::max<std::size_t>(vectors, view.msix()->vectors);
  return vectors;
}

}  // namespace

OpenedDevice open_device(std::string host_name, std::unique_ptr<DeviceFile> file, bool behind_port,
                         std::shared_ptr<const void> keeper) {
  vfio_device_info information{};
  information.argsz = sizeof information;
  if (const int result = file->request(VFIO_DEVICE_GET_INFO, &information); result < 0)
    throw Error::from_errno(-result, host_name + ": VFIO_DEVICE_GET_INFO");
  if ((information.flags & VFIO_DEVICE_FLAGS_PCI) == 0 ||
      information.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX ||
      information.num_irqs <= VFIO_PCI_MSIX_IRQ_INDEX)
    throw Error(std::errc::not_supported, host_name + ": it is no PCI device");
  Region region = read_region(*file, VFIO_PCI_CONFIG_REGION_INDEX);
  std::vector<std::byte> bytes(region.size >= kExtendedSize ? kExtendedSize : kConventionalSize);
  if (region.size < bytes.size())
    throw Error(std::errc::not_supported, host_name + ": its configuration space is too small");
  for (std::size_t offset = 0; offset < bytes.size(); offset += 4) {
    if (!file->read(region.position + offset, std::span(bytes).subspan(offset, 4)))
      throw Error(std::errc::io_error, host_name + ": its configuration space cannot be read");
  }
  ConfigurationView view(bytes, host_name, behind_port);
  return {.host_name = std::move(host_name),
          .keeper = std::move(keeper),
          .file = std::move(file),
          .configuration = std::move(region),
          .view = view,
          .can_reset = (information.flags & VFIO_DEVICE_FLAGS_RESET) != 0};
}

AssignedDevice::AssignedDevice(std::string name, OpenedDevice opened, Place place,
                               const Surroundings& surroundings, Notices notices)
    : Function(std::move(name), identity_of(opened.view),
               without_capability({place.memory, place.ports, nullptr})),
      host_name_(std::move(opened.host_name)),
      keeper_(std::move(opened.keeper)),
      file_(std::move(opened.file)),
      registers_(std::move(opened.configuration)),
      view_(opened.view),
      can_reset_(opened.can_reset),
      interrupts_(*file_, view_.has_interrupt_pin() ? std::move(place.external_pin) : nullptr,
                  vectors_of(view_)) {
  load_configuration();
  make_bars(surroundings.slots);
  if (view_.msix()) make_msix(surroundings.messages);
  for (const auto& window : windows_)
    if (window) window->map_pages();
  if (view_.msi()) {
    for (std::size_t i = 0; i < view_.msi()->vectors; ++i)
      msi_routes_.push_back(surroundings.messages.allocate());
  }
  if (notices.thread != nullptr) {
    wanted_back_ = std::make_unique<Notice>(*file_, VFIO_PCI_REQ_IRQ_INDEX, *notices.thread,
                                            std::move(notices.wanted_back));
    failed_ =
        std::make_unique<Notice>(*file_, VFIO_PCI_ERR_IRQ_INDEX, *notices.thread, std::move(notices.failed));
  }
  reset_device();
  interrupts_.use_pin();
}

AssignedDevice::~AssignedDevice() {
  wanted_back_.reset();
  failed_.reset();
  interrupts_.use_none();
  // Before the pages go.
  for (const auto& window : windows_)
    if (window) window->disappear();
}

void AssignedDevice::refuse(const std::string& why) const {
  throw Error(std::errc::not_supported, name() + " (" + host_name_ + "): " + why);
}

void AssignedDevice::load_configuration() {
  ConfigurationSpace& space = configuration();
  for (std::uint16_t i = 0; i < kConventionalSize; ++i) space.set8(i, view_.value(i));
  const auto writable16 = [&](std::size_t offset, std::uint16_t mask) {
    space.set_writable16(static_cast<std::uint16_t>(offset), mask);
  };
  if (const auto& msi = view_.msi()) {
    writable16(msi->offset + kControl, kMsiEnable | 7 << 4);
    space.set_writable32(static_cast<std::uint16_t>(msi->offset + 4), ~3U);
    if (msi->is_64bit) space.set_writable32(static_cast<std::uint16_t>(msi->offset + 8), ~0U);
    writable16(msi->data_offset(), 0xffff);
    if (msi->maskable)
      space.set_writable32(msi->mask_offset(), msi->vectors == 32 ? ~0U : (1U << msi->vectors) - 1);
  }
  if (const auto& msix = view_.msix()) writable16(msix->offset + kControl, kMsixEnable | kMsixFunctionMask);
  space.set_defaults();
}

void AssignedDevice::make_bars(MemorySlots& slots) {
  constexpr std::uint32_t kTypeMask = 3 << 1;
  for (unsigned i = 0; i < kBars; ++i) {
    const std::uint32_t low = view_.bars()[i];
    const bool is_io = (low & kBarIo) != 0, is_64bit = !is_io && (low & kTypeMask) == kBarMemory64;
    Region region = read_region(*file_, VFIO_PCI_BAR0_REGION_INDEX + i);
    if (region.size == 0) continue;
    if (!std::has_single_bit(region.size) || (is_64bit && i + 1 == kBars))
      refuse("BAR " + std::to_string(i) + " of " + std::to_string(region.size) + " bytes is malformed");
    BarKind kind = is_io ? BarKind::io : BarKind::memory32;
    if (is_64bit) kind = (low & kBarPrefetchable) != 0 ? BarKind::memory64_prefetchable : BarKind::memory64;
    const std::uint64_t size = region.size;
    if (is_io) region.mappable.clear();
    windows_[i] = std::make_unique<BarWindow>(*file_, slots, std::move(region));
    add_bar({.index = i, .kind = kind, .size = size, .handler = windows_[i].get(), .listener = this});
    if (is_64bit) ++i;
  }
}

BarWindow& AssignedDevice::window_of_table(unsigned bar, std::uint64_t offset, std::uint64_t size) {
  BarWindow* window = windows_[bar].get();
  if (window == nullptr || (view_.bars()[bar] & kBarIo) != 0 || offset > window->size() ||
      size > window->size() - offset)
    refuse("its MSI-X tables are not inside its BARs");
  return *window;
}

void AssignedDevice::make_msix(MsiRouter& messages) {
  const MsixLayout& layout = *view_.msix();
  msix_ = std::make_unique<Msix>(messages, layout.vectors);
  BarWindow& table = window_of_table(layout.table_bar, layout.table_offset, msix_->table_size());
  BarWindow& pending = window_of_table(layout.pending_bar, layout.pending_offset, msix_->pending_size());
  if (&table == &pending && layout.table_offset < layout.pending_offset + msix_->pending_size() &&
      layout.pending_offset < layout.table_offset + msix_->table_size())
    refuse("its MSI-X table and pending bits overlap");
  table.intercept(layout.table_offset, msix_->table_size(), table_);
  pending.intercept(layout.pending_offset, msix_->pending_size(), msix_->pending_bits());
}

bool AssignedDevice::read_device(std::uint16_t offset, std::span<std::byte> data) noexcept {
  return file_->read(registers_.position + offset, data);
}

void AssignedDevice::write_device(std::uint16_t offset, std::span<const std::byte> data) noexcept {
  (void)file_->write(registers_.position + offset, data);
}

// What the device decodes and may do is what the guest's register says; its interrupts by pin, too.
void AssignedDevice::write_command() noexcept {
  const std::uint16_t command = configuration().get16(kCommand);
  write_device(kCommand, std::as_bytes(std::span(&command, 1)));
}

// The device has to decode before its pages are there: an access to one that does not is an error of the
// host's.
void AssignedDevice::bar_mapped(unsigned bar, GuestAddress address) noexcept {
  write_command();
  windows_[bar]->appear(address);
}

void AssignedDevice::bar_unmapped(unsigned bar) noexcept {
  windows_[bar]->disappear();
}

void AssignedDevice::config_read(std::uint16_t offset, std::span<std::byte> data) noexcept {
  if (offset + data.size() > view_.size()) {
    std::ranges::fill(data, std::byte{0xff});
    return;
  }
  std::array<std::byte, 4> own{};
  if (offset < kConventionalSize) {
    Function::config_read(offset, std::span(own).first(data.size()));
  } else {
    for (std::size_t i = 0; i < data.size(); ++i)
      own[i] = static_cast<std::byte>(view_.value(static_cast<std::uint16_t>(offset + i)));
  }
  bool is_emulated = true;
  for (std::size_t i = 0; i < data.size(); ++i)
    is_emulated = is_emulated && view_.emulated(static_cast<std::uint16_t>(offset + i)) == 0xff;
  if (!is_emulated && !read_device(offset, data)) std::ranges::fill(data, std::byte{0xff});
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::byte mask{view_.emulated(static_cast<std::uint16_t>(offset + i))};
    data[i] = (own[i] & mask) | (data[i] & ~mask);
  }
}

void AssignedDevice::config_write(std::uint16_t offset, std::span<const std::byte> data) noexcept {
  if (offset + data.size() > view_.size()) return;
  const std::lock_guard lock(mutex_);
  if (offset < kConventionalSize) Function::config_write(offset, data);
  if (touches(offset, data.size(), kCommand, 2)) write_command();
  // The bytes that are the device's, in one piece where they are.
  const auto is_own = [&](std::size_t i) {
    return view_.emulated(static_cast<std::uint16_t>(offset + i)) != 0xff;
  };
  for (std::size_t i = 0; i < data.size();) {
    std::size_t end = i;
    while (end < data.size() && is_own(end)) ++end;
    if (end != i) write_device(static_cast<std::uint16_t>(offset + i), data.subspan(i, end - i));
    i = end + 1;
  }
  if (view_.msi() && touches(offset, data.size(), view_.msi()->offset, view_.msi()->size())) msi_changed();
  if (view_.msix() && touches(offset, data.size(), view_.msix()->offset + kControl, 2)) msix_changed();
}

void AssignedDevice::msi_changed() noexcept {
  const MsiLayout& layout = *view_.msi();
  const ConfigurationSpace& space = configuration();
  const auto at = [&](unsigned offset) { return static_cast<std::uint16_t>(layout.offset + offset); };
  const unsigned control = space.get16(at(kControl));
  if ((control & kMsiEnable) == 0) {
    msi_vectors_ = 0;
    if (interrupts_.kind() == InterruptKind::msi) interrupts_.use_pin();
    return;
  }
  const std::size_t vectors = std::min<std::size_t>(std::size_t{1} << (control >> 4 & 7), layout.vectors);
  const std::uint64_t high = layout.is_64bit ? space.get32(at(8)) : 0;
  const std::uint64_t address = high << 32 | space.get32(at(4));
  const std::uint32_t data = space.get16(layout.data_offset()) & ~static_cast<std::uint32_t>(vectors - 1);
  const std::uint32_t masks = layout.maskable ? space.get32(layout.mask_offset()) : 0;
  for (std::size_t i = 0; i < vectors; ++i) {
    (void)msi_routes_[i]->set_message({address, data | static_cast<std::uint32_t>(i)});
    msi_routes_[i]->hold((masks >> i & 1) != 0);
  }
  if (interrupts_.kind() == InterruptKind::msi && msi_vectors_ == vectors) return;
  msi_vectors_ = vectors;
  interrupts_.use_messages(InterruptKind::msi, vectors);
  for (std::size_t i = 0; i < vectors; ++i) interrupts_.set_vector(i, msi_routes_[i]->event_descriptor());
}

void AssignedDevice::msix_changed() noexcept {
  const unsigned control = configuration().get16(static_cast<std::uint16_t>(view_.msix()->offset + kControl));
  const bool enabled = (control & kMsixEnable) != 0;
  msix_->set_control(enabled, (control & kMsixFunctionMask) != 0);
  if (!enabled) {
    if (interrupts_.kind() == InterruptKind::msix) interrupts_.use_pin();
    return;
  }
  if (interrupts_.kind() == InterruptKind::msix) return;
  interrupts_.use_messages(InterruptKind::msix, std::min<std::size_t>(msix_->vectors(), kVectorsAtOnce));
  for (std::uint16_t i = 0; i < msix_->vectors(); ++i)
    if (!msix_->is_masked(i)) use_vector(i);
}

// A vector that is masked later keeps its descriptor, where signals wait.
void AssignedDevice::use_vector(std::uint16_t vector) noexcept {
  interrupts_.set_vector(vector, msix_->event_descriptor(vector));
}

void AssignedDevice::Table::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  device_.msix_->table().read(offset, data);
}

void AssignedDevice::Table::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  const std::lock_guard lock(device_.mutex_);
  device_.msix_->table().write(offset, data);
  const auto vector = static_cast<std::uint16_t>(offset / kMsixEntrySize);
  if (device_.interrupts_.kind() == InterruptKind::msix && !device_.msix_->is_masked(vector))
    device_.use_vector(vector);
}

void AssignedDevice::reset_device() noexcept {
  const std::uint16_t off = 0;
  write_device(kCommand, std::as_bytes(std::span(&off, 1)));
  if (can_reset_) (void)file_->request(VFIO_DEVICE_RESET, nullptr);
}

void AssignedDevice::reset() {
  const std::lock_guard lock(mutex_);
  interrupts_.use_none();
  msi_vectors_ = 0;
  if (msix_) msix_->reset();
  Function::reset();
  reset_device();
  interrupts_.use_pin();
}

void AssignedDevice::inspect(InspectNode& node) const {
  Function::inspect(node);
  node.add("host_device", host_name_);
  node.add("resettable", can_reset_);
  interrupts_.inspect(node);
  for (unsigned i = 0; i < kBars; ++i)
    if (windows_[i]) windows_[i]->inspect(node.child("window" + std::to_string(i)));
  if (msix_) msix_->inspect(node.child("msix"));
}

AssignedDevice::Notice::Notice(DeviceFile& file, std::uint32_t index, EventThread& thread,
                               std::function<void()> action)
    : file_(file),
      index_(index),
      thread_(thread),
      action_(std::move(action)),
      event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) throw_errno("make an eventfd for a device's notices");
  // Not every device has it.
  if (!pass(event_.get())) return;
  thread_.run([this] { thread_.add(event_.get(), EPOLLIN, *this); });
  registered_ = true;
}

AssignedDevice::Notice::~Notice() {
  if (!registered_) return;
  (void)pass(-1);
  thread_.run([this] { thread_.remove(event_.get()); });
}

bool AssignedDevice::Notice::pass(int descriptor) noexcept {
  std::array<std::byte, sizeof(vfio_irq_set) + sizeof(std::int32_t)> request{};
  vfio_irq_set header{};
  header.argsz = request.size();
  header.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  header.index = index_;
  header.count = 1;
  const std::int32_t event = descriptor;
  std::memcpy(request.data(), &header, sizeof header);
  std::memcpy(request.data() + sizeof header, &event, sizeof event);
  return file_.request(VFIO_DEVICE_SET_IRQS, request.data()) == 0;
}

void AssignedDevice::Notice::on_event(std::uint32_t) noexcept {
  std::uint64_t times = 0;
  if (::read(event_.get(), &times, sizeof times) == sizeof times && action_) action_();
}

}  // namespace warren::vmm::vfio
